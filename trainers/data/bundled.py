"""Pictures that need no download: photographs of scikit-image and scikit-learn, and drawn ones.

Trained on are colour photographs of everyday scenes. Judged by are twelve pictures of other
scenes, at most 256 x 256 pixels around the middle: seven photographs and five drawn pictures
(`trainers.data.drawn`). A picture is fit to judge by when it ranks networks as better data does:
over 16 published x2 upscalers the mean over these twelve has a Spearman correlation of 0.97 with
the mean over Kodak's 24, of a single one 0.93 to 0.99. Left out on purpose: `china` (-0.32: a
better network gets its JPEG blocks wrong), `moon` and `retina` (0.3 and 0.5: nothing to sharpen),
`brick` (0.3), `hubble_deep_field` and `ihc` (no scenes), `color` and `logo`.

No scene is in both sets. The motorcycle is a stereo pair and stays in training whole.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.base import DataError, Pixels
from trainers.data.drawn import dead_leaves
from trainers.data.photo import Photo

_HOMES = {"skimage": ("scikit-image", "data"), "sklearn": ("scikit-learn", "datasets/images")}

TRAIN = (
    ("skimage", "motorcycle_left.png"),
    ("skimage", "motorcycle_right.png"),
    ("skimage", "coffee.png"),
    ("skimage", "rocket.jpg"),
    ("sklearn", "flower.jpg"),
)
VALIDATION = (
    ("skimage", "astronaut.png"),
    ("skimage", "chelsea.png"),
    ("skimage", "camera.png"),
    ("skimage", "coins.png"),
    ("skimage", "gravel.png"),
    ("skimage", "grass.png"),
    ("skimage", "page.png"),
)
DRAWN = 5
_JUDGED_SIDE = 256


def _locate(package: str, name: str) -> Path:
    """The installed file, found without importing the package (which takes seconds)."""
    distribution, folder = _HOMES[package]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(
            f"the bundled photographs need {distribution}, which is not installed: "
            f"pip install {distribution}, or name a folder of images as training data"
        )
    path = Path(spec.origin).parent / folder / name
    if not path.is_file():
        raise DataError(
            f"this {distribution} comes without its photograph {name} (looked for {path}): "
            "reinstall it from its wheel, or name a folder of images as training data"
        )
    return path


def _load(entries: tuple[tuple[str, str], ...]) -> list[Photo]:
    photos = []
    for package, name in entries:
        with Image.open(_locate(package, name)) as image:
            photos.append(Photo(Path(name).stem, np.asarray(image.convert("RGB"))))
    return photos


def training_photos() -> list[Photo]:
    """The five photographs (four scenes, 1.5 megapixels) to train on.

    Raises:
        DataError: a package or a file is not installed.
    """
    return _load(TRAIN)


def validation_photos() -> list[Photo]:
    """The twelve pictures to judge by, none larger than 256 x 256.

    Raises:
        DataError: a package or a file is not installed.
    """
    taken = [Photo(photo.name, middle(photo.pixels)) for photo in _load(VALIDATION)]
    return taken + [Photo(f"leaves-{k}", dead_leaves(k)) for k in range(DRAWN)]


def middle(pixels: Pixels) -> Pixels:
    """(H, W, 3) -> the part of at most 256 x 256 pixels around the middle."""
    top, left = (max(0, (length - _JUDGED_SIDE) // 2) for length in pixels.shape[:2])
    return pixels[top : top + _JUDGED_SIDE, left : left + _JUDGED_SIDE]

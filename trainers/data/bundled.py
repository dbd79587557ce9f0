"""Real photographs that are installed with scikit-image and scikit-learn: data without a download.

Taken are the colour photographs of everyday scenes. Left out on purpose: the grey textures (their
three channels would be equal), `retina` (smooth, and 40 % of all pixels), `hubble_deep_field`
(a composite, mostly black), `ihc` (a stained tissue), `color` and `logo` (drawn, not taken).

The split is by scene and fixed. By the PSNR of bicubic x2 the scenes fall into a hard group
(china 24.4 dB, motorcycle 30.0), a middle one (coffee 30.6, astronaut 31.7, rocket 32.4) and an
easy one (flower and chelsea, 35.2); validation takes one of each. The motorcycle is a stereo pair
and stays in training whole; chelsea has fur where flower is mostly out of focus.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from trainers.base import DataError
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
    ("sklearn", "china.jpg"),
    ("skimage", "astronaut.png"),
    ("skimage", "chelsea.png"),
)


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
    """The three photographs to judge by: foliage and roofs, cloth and lettering, fur.

    Raises:
        DataError: a package or a file is not installed.
    """
    return _load(VALIDATION)

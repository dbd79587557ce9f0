"""A user's folder of images, decoded once into memory; what cannot be used is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from trainers.base import DataError, Pixels
from trainers.data.photo import Photo

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_GIB = 4.0
_NAMED = 5
# What Pillow raises on damaged files, depending on the decoder.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
# Pillow squeezes more than eight bits per channel of these into 8 by clipping: a white picture.
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Skipped:
    """A file that was left out.

    Attributes:
        name: its path inside the folder.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Folder:
    """What a folder held.

    Attributes:
        grey: how many of the photographs were grey and had their channel repeated.
    """

    root: Path
    photos: tuple[Photo, ...]
    skipped: tuple[Skipped, ...]
    grey: int

    def notice(self) -> str | None:
        """One line on everything out of the ordinary, or None."""
        parts = []
        if self.skipped:
            named = [f"{s.name} ({s.reason})" for s in self.skipped[:_NAMED]]
            if len(self.skipped) > _NAMED:
                named.append(f"and {len(self.skipped) - _NAMED} more")
            total = len(self.skipped) + len(self.photos)
            parts.append(f"skipped {len(self.skipped)} of {total} files: {', '.join(named)}")
        if self.grey:
            parts.append(f"{self.grey} grey images had their channel repeated to RGB")
        return f"{self.root}: {'; '.join(parts)}" if parts else None


def _files(root: Path) -> list[Path]:
    if not root.exists():
        raise DataError(
            f"there is no folder {root} (looked for {root.absolute()}): check the path"
        )
    if not root.is_dir():
        raise DataError(f"{root} is a file: name the folder that holds the images")
    files = sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(root).parts)
    )
    if not files:
        raise DataError(
            f"the folder {root} is empty: put images ({', '.join(SUFFIXES)}) into it; "
            "subfolders are searched too"
        )
    return files


def _size(path: Path, smallest: int) -> tuple[int, int] | str:
    """Width and height from the file's header, or why the file cannot be used."""
    if path.suffix.lower() not in SUFFIXES:
        return "not an image"
    try:
        with Image.open(path) as image:
            if image.mode in _DEEP:
                return f"{image.mode} pixels, 8 bits per channel are needed"
            width, height = image.size
    except _BROKEN as error:
        return _why(error)
    if min(width, height) < smallest:
        return f"{width}x{height} is smaller than {smallest}x{smallest}"
    return width, height


def _why(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image inside"
    return f"cannot be decoded: {' '.join(str(error).split())[:60]}"


def _decode(path: Path) -> tuple[Pixels, bool]:
    """Pixels (H, W, 3) the way the camera was held, and whether the file is grey."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if "transparency" in upright.info:
            upright = upright.convert("RGBA")
        return np.asarray(upright.convert("RGB")), upright.mode in ("1", "L", "LA")


def _usable(root: Path, smallest: int, skipped: list[Skipped]) -> Iterator[tuple[Path, int]]:
    for path in _files(root):
        size = _size(path, smallest)
        if isinstance(size, str):
            skipped.append(Skipped(str(path.relative_to(root)), size))
        else:
            yield path, size[0] * size[1] * 3


def read_folder(root: Path, *, smallest: int, max_gib: float = MAX_GIB) -> Folder:
    """Decode every usable image under a folder, subfolders included, in the order of their paths.

    Files and folders whose name starts with a dot are not looked at.

    Args:
        root: the folder.
        smallest: pixels that both sides of an image must have.
        max_gib: memory that the decoded images may take, known from their headers beforehand.

    Raises:
        DataError: the folder is missing or empty, holds no usable image, or is too large.
    """
    skipped: list[Skipped] = []
    usable = list(_usable(root, smallest, skipped))
    gib = sum(size for _, size in usable) / 2**30
    if gib > max_gib:
        raise DataError(
            f"the {len(usable)} images in {root} take {gib:.1f} GiB decoded, the limit is "
            f"{max_gib:.1f} GiB: name a folder with fewer or smaller images"
        )
    photos, grey = [], 0
    for path, _ in usable:
        name = str(path.relative_to(root))
        try:
            pixels, is_grey = _decode(path)
        except _BROKEN as error:
            skipped.append(Skipped(name, _why(error)))
            continue
        photos.append(Photo(name, pixels))
        grey += is_grey
    found = Folder(root, tuple(photos), tuple(sorted(skipped, key=lambda s: s.name)), grey)
    if not photos:
        raise DataError(f"no usable image: {found.notice()}")
    return found


def split(
    photos: Sequence[Photo], *, seed: int, share: float = 0.1, most: int = 10
) -> tuple[list[Photo], list[Photo]]:
    """Divide photographs into training and validation, image by image.

    Args:
        photos: at least two.
        seed: which ones are drawn.
        share: of them that go to validation, at least one.
        most: validation images at most, since each is run whole at every evaluation.

    Raises:
        DataError: there is only one.
    """
    if len(photos) < 2:
        raise DataError(
            f"{len(photos)} usable image is too few to keep one for validation: "
            "add images, or name a validation folder"
        )
    count = min(most, max(1, round(share * len(photos))))
    drawn = set(np.random.default_rng(seed).permutation(len(photos))[:count].tolist())
    train = [photo for k, photo in enumerate(photos) if k not in drawn]
    return train, [photos[k] for k in sorted(drawn)]

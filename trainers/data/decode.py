"""Image files to pixels, at the precision of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from trainers.data import deep_png
from trainers.data.photo import Levels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

# What Pillow and tifffile raise on damaged files, depending on the decoder.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, KeyError, Image.DecompressionBombError)
_BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 258, 259, 262, 274
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
# Pillow's modes with more than 8 bits per channel, which it would squeeze into 8 by clipping.
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class BrokenImage(Exception):
    """A file that should be an image and cannot be read; the message says why."""


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image of a known format."""
    return path.suffix.lower() in SUFFIXES


def has_sixteen_bits(path: Path) -> bool:
    """Whether the header says 16 bits per channel, read without decoding.

    Raises:
        BrokenImage: there is no readable header.
    """
    try:
        if deep_png.is_deep(path):
            return True
        with Image.open(path) as image:
            return _tiff_bits(image) == 16
    except _DAMAGED as error:
        raise BrokenImage(_why(error)) from error


def decode(path: Path) -> tuple[Levels, bool]:
    """Read an image the way the camera was held.

    Transparency is dropped, grey is repeated to three channels.

    Returns:
        Levels (H, W, 3), of 16 bits where the file has them, else of 8; and whether it is grey.

    Raises:
        BrokenImage: the file is damaged, or of a kind that cannot be read exactly.
    """
    try:
        if deep_png.is_deep(path):
            return _as_rgb(deep_png.read(path))
        with Image.open(path) as image:
            bits = _tiff_bits(image)
            if bits == 16:
                return _as_rgb(_read_deep_tiff(path, image))
            if bits > 16 or image.mode in _DEEP:
                raise ValueError(
                    f"{image.mode} pixels, 8 or 16 bits per channel are needed: convert it"
                )
            upright = ImageOps.exif_transpose(image)
            if "transparency" in upright.info:
                upright = upright.convert("RGBA")
            return np.asarray(upright.convert("RGB")), upright.mode in ("1", "L", "LA")
    except _DAMAGED as error:
        raise BrokenImage(_why(error)) from error


def _tiff_bits(image: Image.Image) -> int:
    """Bits per channel of a TIFF file; 8 for any other."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 8
    bits = image.tag_v2.get(_BITS, 1)
    return int(max(bits)) if isinstance(bits, tuple) else int(bits)


def _read_deep_tiff(path: Path, image: Image.Image) -> NDArray[np.uint16]:
    import tifffile

    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    photometric = image.tag_v2.get(_PHOTOMETRIC, _BLACK_IS_ZERO)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise ValueError(f"16-bit TIFF of colour space {photometric}: save it as RGB or grey")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        try:
            levels = np.asarray(page.asarray())
        except (KeyError, ImportError, ValueError) as error:
            if "imagecodecs" not in str(error):
                raise
            compression = image.tag_v2.get(_COMPRESSION)
            raise ValueError(
                f"16-bit TIFF with compression {compression}: pip install imagecodecs, "
                "or save it uncompressed or with deflate"
            ) from error
        if page.axes.startswith("S"):
            levels = levels.transpose(1, 2, 0)
    if levels.dtype != np.uint16:
        raise ValueError(f"TIFF of {levels.dtype}: 8 or 16 bits without sign are needed")
    if photometric == _WHITE_IS_ZERO:
        levels = np.uint16(65535) - levels
    levels = levels[..., None] if levels.ndim == 2 else levels
    return _upright(levels, int(image.tag_v2.get(_ORIENTATION, 1)))


def _upright(levels: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    """Undo the orientation of TIFF 6.0, tag 274: where row 0 and column 0 of the file are seen."""
    if orientation in (5, 6, 7, 8):
        levels = levels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        levels = levels[::-1]
    if orientation in (2, 3, 6, 7):
        levels = levels[:, ::-1]
    return levels


def _as_rgb(levels: NDArray[np.uint16]) -> tuple[Levels, bool]:
    """(H, W, 1 to 4) -> (H, W, 3), and whether it was grey."""
    grey = levels.shape[2] < 3
    colour = levels[..., :1].repeat(3, axis=2) if grey else levels[..., :3]
    return np.ascontiguousarray(colour), grey


def _why(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no image of a known kind inside"
    return f"cannot be decoded: {' '.join(str(error).split())[:120]}"

"""Image files to pixels, at the precision of the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from trainers.data import deep_png
from trainers.data.photo import Levels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

MOST_PIXELS = 500_000_000
"""The largest picture that is read; a photograph of today's largest sensors has 200 million."""
# Pillow's own limit warns from 89 million pixels on, in every thread, and cannot be set for one
# file alone. Up to twice its limit it only warns: `_check_size` refuses these.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_L = TypeVar("_L", NDArray[np.uint8], NDArray[np.uint16])

# What Pillow and tifffile put into words on damaged files; on others they stumble.
_WORDED = (OSError, SyntaxError, ValueError, EOFError)
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
    with _told():
        if deep_png.is_deep(path):
            return True
        with Image.open(path) as image:
            return _tiff_bits(image) == 16


def decode(path: Path) -> tuple[Levels, bool]:
    """Read an image as `decode_all` does; transparency is dropped, grey repeated.

    Returns:
        Levels (H, W, 3), of 16 bits where the file has them, else of 8; and whether it is grey.

    Raises:
        BrokenImage: as `decode_all`.
    """
    return _as_rgb(decode_all(path))


def decode_all(path: Path) -> Levels:
    """Read an image the way the camera was held, as far as its EXIF can be read.

    Returns:
        Levels (H, W, C), of 16 bits where the file has them, else of 8; C is 1 for grey, 2 with
        alpha, 3 for RGB, 4 with alpha.

    Raises:
        BrokenImage: the file is damaged, of a kind that cannot be read exactly, or has more than
            `MOST_PIXELS`.
    """
    with _told():
        if deep_png.is_deep(path):
            _check_size(*deep_png.size(path))
            return _upright(deep_png.read(path), _png_orientation(path))
        with Image.open(path) as image:
            _check_size(*image.size)
            bits = _tiff_bits(image)
            if bits == 16:
                return _read_deep_tiff(path, image)
            if bits > 16 or image.mode in _DEEP:
                raise ValueError(
                    f"{image.mode} pixels, 8 or 16 bits per channel are needed: convert it"
                )
            image.load()
            orientation, colour = _orientation(image), _in_channels(image)
            levels = np.asarray(colour, np.uint8)
            return _upright(levels[..., None] if levels.ndim == 2 else levels, orientation)


def _in_channels(image: Image.Image) -> Image.Image:
    """The image as L, LA, RGB or RGBA."""
    grey = image.mode in ("1", "L", "LA")
    if "transparency" in image.info:
        return image.convert("LA" if grey else "RGBA")
    alike = {"1": "L", "RGBa": "RGBA", "La": "LA", "PA": "RGBA"}
    mode = alike.get(image.mode, image.mode)
    mode = mode if mode in ("L", "LA", "RGB", "RGBA") else "RGB"
    return image if image.mode == mode else image.convert(mode)


@contextmanager
def _told() -> Iterator[None]:
    """Whatever a decoder raises is the file's fault, and said in one line.

    On damaged bytes decoders raise anything: a TypeError where a tag repeats, a struct.error where
    a header is short.

    Raises:
        BrokenImage: something was raised.
    """
    try:
        yield
    except (BrokenImage, MemoryError):
        raise
    except Exception as error:
        raise BrokenImage(_why(error)) from error


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise Image.DecompressionBombError


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of an image that is loaded, 1 to 8; 1 where there is none to be read.

    Pillow turns TIFF files itself while it loads them, and then says 1.
    """
    try:
        return _known(image.getexif().get(_ORIENTATION))
    except Exception:
        # Damaged EXIF, on which parsers raise anything. The picture beside it is sound.
        return 1


def _png_orientation(path: Path) -> int:
    """The EXIF orientation of a PNG of any depth, 1 where there is none to be read."""
    try:
        with Image.open(path) as image:
            return _orientation(image)
    except Exception:
        return 1


def _known(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _tiff_bits(image: Image.Image) -> int:
    """Bits per channel of a TIFF file; 8 for any other."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 8
    bits = image.tag_v2.get(_BITS, 1)
    return int(max(bits)) if isinstance(bits, tuple) else int(bits)


def _read_deep_tiff(path: Path, image: Image.Image) -> NDArray[np.uint16]:
    import tifffile

    # It logs what it stumbles over; whoever needs to know is told by what is raised.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    photometric = image.tag_v2.get(_PHOTOMETRIC, _BLACK_IS_ZERO)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise ValueError(f"16-bit TIFF of colour space {photometric}: save it as RGB or grey")
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        _check_size(page.imagewidth, page.imagelength * page.imagedepth)
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
    return _upright(levels, _known(image.tag_v2.get(_ORIENTATION)))


def _upright(levels: _L, orientation: int) -> _L:
    """Undo the orientation of TIFF 6.0, tag 274: where row 0 and column 0 of the file are seen.

    EXIF has the same tag with the same meaning.
    """
    if orientation in (5, 6, 7, 8):
        levels = levels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        levels = levels[::-1]
    if orientation in (2, 3, 6, 7):
        levels = levels[:, ::-1]
    return levels


def _as_rgb(levels: Levels) -> tuple[Levels, bool]:
    """(H, W, 1 to 4) -> (H, W, 3), and whether it was grey."""
    grey = bool(levels.shape[2] < 3)
    if grey:
        return levels[..., :1].repeat(3, axis=2), grey
    return levels[..., :3].copy() if levels.shape[2] > 3 else levels, grey


def _why(error: BaseException) -> str:
    if isinstance(error, _BOMBS):
        return (
            f"more than {MOST_PIXELS // 10**6} megapixels, the most that is read: "
            "cut it into pieces"
        )
    if isinstance(error, UnidentifiedImageError):
        return "no image of a known kind inside"
    if not isinstance(error, _WORDED):
        return f"damaged: its decoder fails with {type(error).__name__}"
    return f"cannot be decoded: {' '.join(str(error).split())[:120]}"

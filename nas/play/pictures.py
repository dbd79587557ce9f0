"""Picture files: read with all that they hold, enlarged, written with all that they held."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from nas.durable import made_aside
from nas.play.base import Unplayable
from runtime.bicubic import enlarge
from runtime.pictures import Levels, as_input, as_levels
from trainers.data import deep_png
from trainers.data.decode import SUFFIXES, BrokenImage, decode_all
from trainers.data.files import printable
from trainers.data.photo import to_eight_bits, to_sixteen_bits

__all__ = ["SUFFIXES", "Picture", "compared", "enlarged", "read_picture", "write_picture"]
_ORIENTATION = 0x0112
_FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP",
    ".tif": "TIFF", ".tiff": "TIFF",
}  # fmt: skip
_SETTINGS: dict[str, dict[str, object]] = {
    "PNG": {"compress_level": 4},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_deflate"},
}
_DEEP = ("PNG", "TIFF")
"""Formats that hold 16 bits per channel."""
_OPAQUE = ("JPEG", "BMP")
_LINE = 2
"""Width of the line between both halves of a comparison, in pixels."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it is seen: the way the camera was held.

    Attributes:
        colours: (h, w, 3), or (h, w, 1) where it is grey; 8 or 16 bits.
        alpha: (h, w) of as many bits, or None.
        icc: the profile that says what the colours mean.
        exif: what the camera noted, without the orientation.
    """

    colours: Levels
    alpha: Levels | None = None
    icc: bytes | None = None
    exif: bytes | None = None


def read_picture(path: Path) -> Picture:
    """Read PNG, JPEG, WebP, TIFF or BMP, 8 or 16 bits per channel.

    Raises:
        Unplayable: it is no picture, or a damaged one.
    """
    try:
        levels = decode_all(path)
        with Image.open(path) as image:
            icc, exif = image.info.get("icc_profile"), _noted(image)
    except BrokenImage as error:
        raise Unplayable(f"{printable(path)} is no picture that can be read: {error}") from error
    channels = levels.shape[2]
    split = channels in (2, 4)
    colours, alpha = (levels[..., :-1], levels[..., -1]) if split else (levels, None)
    space = b"GRAY" if channels < 3 else b"RGB "
    fits = isinstance(icc, bytes) and icc[16:20] == space
    return Picture(np.ascontiguousarray(colours), alpha, icc if fits else None, exif)


def _noted(image: Image.Image) -> bytes | None:
    """EXIF of a file, as far as it can be read; a TIFF's describes the file itself."""
    if image.format == "TIFF":
        return None
    try:
        exif = image.getexif()
        exif.pop(_ORIENTATION, None)
        return exif.tobytes() if len(exif) else None
    except Exception:
        # Damaged EXIF, on which parsers raise anything. The picture beside it is sound.
        return None


def for_network(picture: Picture) -> Levels:
    """(h, w, 3): what a network is given of it."""
    grey = picture.colours.shape[2] == 1
    return picture.colours.repeat(3, axis=2) if grey else picture.colours


def enlarged(picture: Picture, made: Levels) -> Picture:
    """The picture that a network made, with the alpha, enlarged bicubically, and the profile."""
    if picture.colours.shape[2] == 1:
        mean = made.mean(axis=2, keepdims=True, dtype=np.float32)
        made = np.asarray(np.floor(mean + np.float32(0.5)), made.dtype)
    return replace(picture, colours=made, alpha=_enlarged_alpha(picture, made))


def _enlarged_alpha(picture: Picture, made: Levels) -> Levels | None:
    alpha = picture.alpha
    if alpha is None:
        return None
    factor = made.shape[0] // alpha.shape[0]
    return as_levels(enlarge(as_input(alpha[..., None]), factor), alpha.dtype)[0, ..., 0]


def compared(source: Levels, made: Levels, *, line: int | None = None) -> Levels:
    """The left half enlarged bicubically, the right one by the network, a line between them.

    Args:
        source: (h, w, C).
        made: (h * scale, w * scale, C).
        line: its level; the brightest when None.
    """
    factor, width = made.shape[0] // source.shape[0], source.shape[1]
    left = source[:, : min(width, width // 2 + 4)]
    half = width // 2 * factor
    split = made.copy()
    split[:, :half] = as_levels(enlarge(as_input(left), factor), made.dtype)[0, :, :half]
    level = np.iinfo(made.dtype).max if line is None else line
    split[:, max(0, half - _LINE // 2) : half + _LINE // 2] = level
    return split


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture as its name says; it appears whole or not at all.

    Sixteen bits stay sixteen in PNG and TIFF, and become eight elsewhere.

    Raises:
        Unplayable: the format is not known, has no transparency, or not for this size.
    """
    kind = format_of(path)
    if picture.alpha is not None and kind in _OPAQUE:
        raise Unplayable(
            f"{printable(path)} cannot hold the picture's transparency: give a name that ends "
            "in .png, .webp or .tif"
        )
    deep = picture.colours.dtype == np.uint16 and kind in _DEEP
    levels = picture.colours
    if picture.alpha is not None:
        levels = np.concatenate([levels, picture.alpha[..., None]], axis=2)
    with made_aside(path) as aside, aside.open("wb") as file:
        try:
            if deep:
                _write_deep(file, replace(picture, colours=levels), kind)
            else:
                _write_flat(file, replace(picture, colours=levels), kind)
        except (ValueError, SystemError) as error:
            raise Unplayable(f"{printable(path)} cannot be written as {kind}: {error}") from error


def format_of(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        Unplayable: it is none that is written here.
    """
    if path.suffix.lower() not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise Unplayable(f"{printable(path)} is no name of a picture: let it end in {known}")
    return _FORMATS[path.suffix.lower()]


def _write_flat(file: BinaryIO, picture: Picture, kind: str) -> None:
    # Both types that there are.
    levels = to_eight_bits(np.asarray(picture.colours))
    image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    more = dict(_SETTINGS.get(kind, {}))
    if picture.icc is not None and kind != "BMP":
        more["icc_profile"] = picture.icc
    if picture.exif is not None and kind not in ("BMP", "TIFF"):
        more["exif"] = picture.exif
    image.save(file, kind, **more)


def _write_deep(file: BinaryIO, picture: Picture, kind: str) -> None:
    levels = to_sixteen_bits(np.asarray(picture.colours))
    if kind == "PNG":
        import zlib

        extra = {}
        if picture.icc is not None:
            extra[b"iCCP"] = b"profile\0\0" + zlib.compress(picture.icc)
        if picture.exif is not None:
            extra[b"eXIf"] = picture.exif.removeprefix(b"Exif\0\0")
        deep_png.write(file, levels, extra)
        return
    import tifffile

    if levels.shape[2] == 2:
        # Pillow, and so many readers, know no grey of 16 bits with transparency.
        levels = np.concatenate([levels[..., :1].repeat(3, axis=2), levels[..., 1:]], axis=2)
    channels = levels.shape[2]
    tifffile.imwrite(
        file, levels[..., 0] if channels == 1 else levels,
        photometric="minisblack" if channels == 1 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=["unassalpha"] if channels == 4 else None,
        compression="zlib", iccprofile=picture.icc, metadata=None,
    )  # fmt: skip

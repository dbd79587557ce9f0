"""Pieces of pictures for the report: where to look, and as PNG."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainers.base import Pixels
from trainers.metrics import luma

Region = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Crop:
    """One method's piece of one picture.

    Attributes:
        name: the method, such as `bicubic`.
        caption: what is to be known of it, such as the metric of the whole picture.
        pixels: (h, w, 3) or (h, w).
    """

    name: str
    caption: str
    pixels: Pixels


@dataclass(frozen=True)
class CropRow:
    """The same piece of one picture by several methods, all of one size."""

    picture: str
    crops: Sequence[Crop]


def choose_crop(high: Pixels, *others: Pixels, size: int = 192, multiple: int = 8) -> Region:
    """The square with the most detail, weighted by how much the methods differ there.

    Args:
        high: the true picture, (H, W, C).
        others: what the methods make of it, each (H, W, C); may be left out.
        size: of the square; smaller where the picture is.
        multiple: both offsets are multiples of it, so that they exist in the small picture too.

    Returns:
        Rows and columns, to index any of the pictures with.
    """
    truth = luma(high)
    energy = np.abs(np.gradient(truth, axis=0)) + np.abs(np.gradient(truth, axis=1))
    if others:
        stack = np.stack([truth, *map(luma, others)])
        energy *= stack.max(axis=0) - stack.min(axis=0) + 1.0
    rows, columns = min(size, truth.shape[0]), min(size, truth.shape[1])
    total = np.pad(energy, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
    box = (
        total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )[::multiple, ::multiple]
    top, left = (int(k) * multiple for k in np.unravel_index(int(box.argmax()), box.shape))
    return slice(top, top + rows), slice(left, left + columns)


def png(pixels: Pixels) -> bytes:
    """An 8-bit PNG of pixels (h, w, 3), or (h, w, 1) for grey ones (ISO/IEC 15948)."""
    height, width = pixels.shape[:2]
    flat = pixels.reshape(height, -1)
    step = flat.shape[1] // width
    left = np.pad(flat, ((0, 0), (step, 0)))[:, :-step]
    lines = np.concatenate([np.ones((height, 1), np.uint8), flat - left], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if step == 3 else 0, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def data_uri(pixels: Pixels) -> str:
    """The picture inside an address, so that a page needs no second file."""
    return "data:image/png;base64," + b64encode(png(pixels)).decode()

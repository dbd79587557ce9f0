"""PNG files with 16 bits per channel, which Pillow cuts down to 8 and cannot write.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", sections 5, 9 and 11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_ROWS = 64
"""Of a picture that are written at once."""
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def is_deep(path: Path) -> bool:
    """Whether the header of a file says PNG with 16 bits per channel."""
    with path.open("rb") as file:
        start = file.read(len(_SIGNATURE) + 8 + _HEADER.size)
    return start.startswith(_SIGNATURE) and len(start) == 29 and start[24] == 16


def size(path: Path) -> tuple[int, int]:
    """Width and height that the header of a PNG claims."""
    with path.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:])
    return width, height


def read(path: Path) -> NDArray[np.uint16]:
    """Decode a 16-bit PNG.

    Returns:
        (H, W, C): C is 1 for grey, 2 with alpha, 3 for RGB, 4 with alpha.

    Raises:
        ValueError: the file is damaged or interlaced.
    """
    header, body = b"", []
    for kind, data in _chunks(path.read_bytes()):
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            body.append(data)
    width, height, _, colour, _, _, interlaced = _HEADER.unpack(header)
    if interlaced:
        raise ValueError("interlaced with 16 bits per channel: save it without interlacing")
    channels = _CHANNELS[colour]
    row = 1 + width * channels * 2
    try:
        # No more than the header says, whatever is in there.
        stream = zlib.decompressobj().decompress(b"".join(body), row * height)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(stream) < row * height:
        raise ValueError("the picture data ends early")
    lines = np.frombuffer(stream, np.uint8, count=row * height).reshape(height, row)
    filtered = lines[:, 1:].reshape(height, width, channels * 2)
    unfiltered = _unfilter(filtered, lines[:, 0])
    levels = unfiltered.reshape(height, width, channels, 2).view(">u2")[..., 0]
    return levels.astype(np.uint16)


def write(file: BinaryIO, levels: NDArray[np.uint16], extra: Mapping[bytes, bytes]) -> None:
    """Encode a 16-bit PNG.

    Args:
        file: takes it.
        levels: (H, W, C); C is 1 for grey, 2 with alpha, 3 for RGB, 4 with alpha.
        extra: further chunks by their kinds, which may stand before the picture.
    """
    height, width, channels = levels.shape
    colour = {count: kind for kind, count in _CHANNELS.items()}[channels]
    file.write(_SIGNATURE + _chunk(b"IHDR", _HEADER.pack(width, height, 16, colour, 0, 0, 0)))
    for kind, data in extra.items():
        file.write(_chunk(kind, data))
    packer, before = zlib.compressobj(), np.zeros(width * channels * 2, np.uint8)
    for first in range(0, height, _ROWS):
        lines = levels[first : first + _ROWS].astype(">u2").view(np.uint8)
        lines = lines.reshape(len(lines), -1)
        above = np.concatenate([before[None], lines[:-1]])
        filtered = np.insert(lines - above, 0, _UP, axis=1)
        file.write(_chunk(b"IDAT", packer.compress(filtered.tobytes())))
        before = lines[-1]
    file.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not file.startswith(_SIGNATURE):
        raise ValueError("not a PNG file")
    place = len(_SIGNATURE)
    while place + 12 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, place)
        data = file[place + 8 : place + 8 + length]
        if len(data) < length or place + 12 + length > len(file):
            break
        (checksum,) = struct.unpack_from(">I", file, place + 8 + length)
        if zlib.crc32(kind + data) != checksum:
            raise ValueError(f"the checksum of a {kind.decode('latin1')} chunk is wrong")
        yield kind, data
        if kind == b"IEND":
            return
        place += 12 + length
    raise ValueError("the file ends early")


def _unfilter(filtered: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the prediction of each row, (H, W, B) in bytes, along the diagonals.

    A pixel needs the ones to its left, above and above left. All pixels with the same x + y can
    therefore be had at once, whichever filter their rows use.
    """
    height, width, depth = filtered.shape
    if kinds.max(initial=0) > _PAETH:
        raise ValueError(f"unknown row filter {kinds.max()}")
    # A column and a row of zeros in front stand for what lies outside of the picture.
    out = np.zeros(((height + 1) * (width + 1), depth), np.int16)
    source = np.zeros((height + 1, width + 1, depth), np.int16)
    source[1:, 1:] = filtered
    source = source.reshape(-1, depth)
    kind = kinds.astype(np.int16)[:, None]
    for diagonal in range(height + width - 1):
        top = max(0, diagonal - width + 1)
        rows = min(height, diagonal + 1) - top
        # Down one row and left by one is `width` further in a table that is width + 1 wide.
        first = (top + 1) * (width + 1) + diagonal - top + 1
        last = first + (rows - 1) * width + 1
        left = out[first - 1 : last - 1 : width]
        up = out[first - width - 1 : last - width - 1 : width]
        corner = out[first - width - 2 : last - width - 2 : width]
        predicted = _predicted(kind[top : top + rows], left, up, corner)
        out[first:last:width] = (source[first:last:width] + predicted) & 255
    picture = out.reshape(height + 1, width + 1, depth)[1:, 1:]
    return np.ascontiguousarray(picture.astype(np.uint8))


def _predicted(
    kind: NDArray[np.int16],
    left: NDArray[np.int16],
    up: NDArray[np.int16],
    corner: NDArray[np.int16],
) -> NDArray[np.int16]:
    to_left = np.abs(up - corner)
    to_up = np.abs(left - corner)
    to_corner = np.abs(left + up - 2 * corner)
    paeth = np.where(
        (to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner)
    )
    choices = [np.zeros_like(left), left, up, (left + up) >> 1, paeth]
    return np.select([kind == k for k in range(5)], choices)

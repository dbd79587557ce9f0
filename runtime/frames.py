"""A picture of any size through a network: padded, cut into tiles where it is large, joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime import bicubic
from runtime.ensemble import Values
from runtime.pictures import Floats, Levels
from runtime.planes import cell_of
from runtime.tiles import TILE, WHOLE_PIXELS, Span, spans, spans_of, tiles

_DEEPEST = {"encoder_decoder": (240, 8)}
Frame = Callable[[Levels, str], Levels]
"""(N, h, w, C) and what `as_planes` is to make of it -> (N, H, W, C) of as many bits."""
_USUAL = (80, 2)
"""Margin and multiple that are safe for whatever the search spaces propose, by skeleton."""


@dataclass(frozen=True)
class Reach:
    """How pictures may be cut for a network, and what they are to it.

    Attributes:
        planes: `rgb`, `luma` or `ycbcr420`; empty where its channels are none of these.
        margin: pixels that an output reads on each side beyond its own place; None where it
            depends on the whole picture, or nobody knows.
        multiple: both sides of a picture must divide by it.
        overlap: the margin that tiles are given.
    """

    planes: str
    margin: int | None
    multiple: int
    overlap: int

    @classmethod
    def told(cls, said: Mapping[str, Any], architecture: Mapping[str, Any], planes: str) -> Reach:
        """What a manifest says; what is safe where an older one does not.

        Args:
            said: the manifest's field `picture`, or nothing.
            planes: where nothing is said of them.
        """
        overlap, multiple = _DEEPEST.get(architecture.get("skeleton", ""), _USUAL)
        if architecture.get("args", {}).get("reduction") == "none":
            multiple = 1
        multiple = int(said.get("multiple", multiple))
        margin = said.get("margin")
        overlap = -(-overlap // multiple) * multiple if margin is None else int(margin)
        return cls(str(said.get("planes") or planes), margin, multiple, overlap)


def through(
    pixels: Levels, frame: Frame, *, reach: Reach, planes: str, scale: int, tile: int | None
) -> Levels:
    """Run a network on pictures of any size.

    Args:
        pixels: (N, h, w, C) of 8 or 16 bits.
        frame: the network.
        planes: what `as_planes` is to make of them.
        scale: output over input size.
        tile: the longest side of a tile; None cuts large pictures only.

    Returns:
        (N, h * scale, w * scale, C) of as many bits.

    Raises:
        ValueError: the tile is too small.
        FloatingPointError: the output has values that are not finite.
    """
    height, width = pixels.shape[1:3]
    cell = cell_of(planes)
    pixels = padded(pixels, reach.multiple * cell)
    rows, columns = (_cut(pixels.shape, axis, reach, planes, tile) for axis in (1, 2))
    if len(rows) == len(columns) == 1:
        return frame(pixels, planes)[:, : height * scale, : width * scale]
    made: Levels | None = None
    for row, column in tiles(rows, columns):
        part = frame(pixels[:, row.read, column.read], planes)
        if made is None:
            sides = (pixels.shape[1] * scale, pixels.shape[2] * scale)
            made = np.empty((len(pixels), *sides, part.shape[3]), part.dtype)
        kept = part[:, row.kept(scale), column.kept(scale)]
        made[:, row.put(scale), column.put(scale)] = kept
    assert made is not None
    return made[:, : height * scale, : width * scale]


def padded(array: Levels, multiple: int) -> Levels:
    """Mirrored at the bottom and the right until both sides of (N, h, w, C) divide."""
    more = [-side % multiple for side in array.shape[1:3]]
    if not any(more):
        return array
    around = [(0, 0), (0, more[0]), (0, more[1]), (0, 0)]
    return np.asarray(np.pad(array, around, mode="symmetric"), array.dtype)


def _cut(
    shape: tuple[int, ...], axis: int, reach: Reach, planes: str, tile: int | None
) -> list[Span]:
    """Tiles along one side of pictures."""
    length, cell = shape[axis], cell_of(planes)
    if tile is None and shape[1] * shape[2] <= WHOLE_PIXELS:
        return [Span(0, length, 0, length)]
    unit = reach.multiple * cell
    # Chroma is enlarged beside or behind the network.
    beside = 0 if planes in ("", "rgb") else bicubic.REACH * cell
    margin = -(-(reach.overlap * cell + beside) // unit) * unit
    most = max(TILE, 3 * margin) if tile is None else tile
    return spans(length, most=most, margin=margin, multiple=unit)


def at_one_size(values: Values, size: tuple[int, int], *, reach: Reach, scale: int) -> Values:
    """A network whose file runs at one size only, one picture at a time, for any size.

    Smaller ones are mirrored until they fill it, larger ones cut into tiles of it.

    Args:
        size: (height, width) of the file's input.
    """

    def run(array: Floats) -> Floats:
        return np.concatenate([one(array[k : k + 1]) for k in range(len(array))])

    def one(array: Floats) -> Floats:
        height, width = array.shape[2:]
        more = [max(0, side - had) for side, had in zip(size, (height, width), strict=True)]
        around = [(0, 0), (0, 0), (0, more[0]), (0, more[1])]
        full = np.pad(array, around, mode="symmetric") if any(more) else array
        rows, columns = (_of_size(full.shape[k + 2], size[k], reach) for k in (0, 1))
        made: Floats | None = None
        for row, column in tiles(rows, columns):
            part = values(np.ascontiguousarray(full[:, :, row.read, column.read]))
            if made is None:
                sides = (full.shape[2] * scale, full.shape[3] * scale)
                made = np.empty((1, part.shape[1], *sides), np.float32)
            kept = part[:, :, row.kept(scale), column.kept(scale)]
            made[:, :, row.put(scale), column.put(scale)] = kept
        assert made is not None
        return made[:, :, : height * scale, : width * scale]

    return run


def _of_size(length: int, side: int, reach: Reach) -> list[Span]:
    margin = reach.overlap
    if reach.margin is None:
        margin = min(margin, side // 4 // reach.multiple * reach.multiple)
    return spans_of(length, side=side, margin=margin)

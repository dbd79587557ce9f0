"""Large pictures in tiles that overlap: bounded memory, and no seams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

WHOLE_PIXELS = 2**21
"""Up to so many a picture is run whole; a frame of 1920 x 1080 is."""
TILE = 1024
"""Longest side of a tile of larger ones."""


@dataclass(frozen=True)
class Span:
    """A tile along one side: `start` to `stop` is read, `begin` to `end` of it is kept."""

    start: int
    stop: int
    begin: int
    end: int

    @property
    def read(self) -> slice:
        """Of the picture."""
        return slice(self.start, self.stop)

    def kept(self, scale: int) -> slice:
        """Of what a network makes of the tile."""
        return slice((self.begin - self.start) * scale, (self.end - self.start) * scale)

    def put(self, scale: int) -> slice:
        """Of what is made of the picture."""
        return slice(self.begin * scale, self.end * scale)


def tiles(rows: list[Span], columns: list[Span]) -> Iterator[tuple[Span, Span]]:
    """Every tile, row after row."""
    return ((row, column) for row in rows for column in columns)


def spans(length: int, *, most: int, margin: int, multiple: int) -> list[Span]:
    """Cut one side of a picture into tiles of one size.

    What is kept of a tile has `margin` pixels around it that were read, but for the picture's own
    edge; so it is what the whole picture would have given.

    Args:
        length: of the side, a multiple of `multiple`.
        most: the longest tile.
        margin: a multiple of `multiple`.

    Raises:
        ValueError: such a tile would be all margin.
    """
    if length <= most:
        return [Span(0, length, 0, length)]
    inner = (most - 2 * margin) // multiple * multiple
    if inner < 1:
        raise ValueError(
            f"a tile of {most} is all margin: this network sees {margin} pixels to each side, "
            f"give at least {2 * margin + max(multiple, 16)}"
        )
    count = ceil((length - 2 * margin) / inner)
    side = ceil((length - 2 * margin) / count / multiple) * multiple + 2 * margin
    return _overlapping(length, side, margin)


def spans_of(length: int, *, side: int, margin: int) -> list[Span]:
    """The same with tiles of exactly this side, at most `length`.

    Raises:
        ValueError: such a tile would be all margin.
    """
    if length > side <= 2 * margin:
        raise ValueError(
            f"the file runs at its own size only, {side} pixels of it are all margin: this "
            f"network sees {margin} to each side; engine='openvino' runs other sizes"
        )
    return _overlapping(length, side, margin)


def _overlapping(length: int, side: int, margin: int) -> list[Span]:
    step = side - 2 * margin
    starts = [*range(0, length - side, step), length - side]
    begins = [0, *(start + margin for start in starts[1:])]
    ends = [*begins[1:], length]
    return [
        Span(start, start + side, begin, end)
        for start, begin, end in zip(starts, begins, ends, strict=True)
    ]

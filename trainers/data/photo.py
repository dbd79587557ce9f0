"""One decoded picture, in memory or in the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.base import Pixels

Levels = NDArray[np.uint8] | NDArray[np.uint16]
"""Colour levels: 0 to 255 or 0 to 65535."""

DEEP_PER_LEVEL = 257
"""65535 / 255: a level of 8 bits times this is the same brightness in 16 bits, exactly."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture, at the precision of its file.

    Attributes:
        stored: (H, W, 3), RGB; usually a view of a file that is mapped into memory.
        folder_pixels: (P, 3), those of all pictures of the folder, end to end; None for a picture
            that is alone.
        start: its row at which this picture begins.
    """

    name: str
    stored: Levels
    folder_pixels: Levels | None = None
    start: int = 0

    @property
    def pixels(self) -> Pixels:
        """(H, W, 3) in 8 bits; levels of 16 bits are rounded to the nearest."""
        return to_eight_bits(self.stored)


def to_eight_bits(levels: Levels) -> Pixels:
    """Any shape -> the same shape in 8 bits, rounded to the nearest."""
    if levels.dtype == np.uint8:
        return np.asarray(levels, np.uint8)
    return ((levels.astype(np.uint32) + DEEP_PER_LEVEL // 2) // DEEP_PER_LEVEL).astype(np.uint8)


def to_sixteen_bits(levels: Levels) -> NDArray[np.uint16]:
    """Any shape -> the same shape and the same brightness in 16 bits."""
    if levels.dtype == np.uint16:
        return np.asarray(levels, np.uint16)
    return levels.astype(np.uint16) * np.uint16(DEEP_PER_LEVEL)

"""One decoded picture."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.base import Pixels


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in memory.

    Attributes:
        pixels: (H, W, 3), RGB.
    """

    name: str
    pixels: Pixels

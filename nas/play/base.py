"""What is told while a network runs over pictures or a video, and what may be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


class Unplayable(Exception):
    """What was given is nothing that can be run over, or written; the message says why."""


@dataclass(frozen=True)
class Played:
    """What came of it.

    Attributes:
        frames: pictures or frames that were made.
        network_s: seconds in the network alone.
        wall_s: seconds from the first to the last.
        kept: pictures that were there already.
        dropped: frames that would have been late at the source's rate; None where that was not
            asked.
        failures: a line for each picture that could not be read or written.
    """

    frames: int
    network_s: float
    wall_s: float
    kept: int = 0
    dropped: int | None = None
    failures: tuple[str, ...] = ()


Told = Callable[[int, int | None], None]
"""Frames that are made, and how many there will be, where that is known."""

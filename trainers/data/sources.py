"""Where a task's photographs come from."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.data.folder import MAX_GIB

BUNDLED = "bundled"


@dataclass(frozen=True)
class Sources:
    """Two sets of photographs.

    Attributes:
        train: `bundled`, or a folder of images.
        val: the same; None for the bundled split, or a tenth of the training folder.
        max_gib: memory that each folder may take decoded.
    """

    train: str = BUNDLED
    val: str | None = None
    max_gib: float = MAX_GIB

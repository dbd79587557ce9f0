"""What a search tells while it runs; whoever listens is a plain callable and steers nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.candidate import Candidate
from nas.evidence import Evidence

if TYPE_CHECKING:
    from nas.experiment import Stage


@dataclass(frozen=True)
class Note:
    """One line that should be read: the engine that was picked, skipped images, a wait."""

    line: str


@dataclass(frozen=True)
class Started:
    """A candidate enters a stage."""

    candidate: Candidate
    stage: Stage


@dataclass(frozen=True)
class Step:
    """A training has come so far.

    Attributes:
        training: what it will leave; a probe's steps are the first ones of the full training.
        loss: smoothed.
        relayed: made in another process of this search, which has told its own listeners.
    """

    candidate: Candidate
    training: Evidence[Any]
    done: int
    total: int
    loss: float
    relayed: bool = False


@dataclass(frozen=True)
class Judged:
    """The metric of the weights that training has reached, where the budget asks for it."""

    candidate: Candidate
    training: Evidence[Any]
    step: int
    metric: float


@dataclass(frozen=True)
class Finished:
    """A candidate has left a stage, with its evidence or its rejection, which are saved.

    Attributes:
        again: the evidence is of an earlier run of the same study.
    """

    candidate: Candidate
    stage: Stage
    again: bool = False


@dataclass(frozen=True)
class Tick:
    """Time goes by: the search waits for the device or for another process of its own.

    Told each second or more often, and never while this search measures.
    """


Event = Note | Started | Step | Judged | Finished | Tick
Listener = Callable[[Event], None]
"""Somebody who hears of it; all calls come from the searching thread."""

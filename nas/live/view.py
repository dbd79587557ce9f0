"""What a search tells while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nas.candidate import Candidate

if TYPE_CHECKING:
    from nas.experiment import Stage


class View(Protocol):
    """Somebody who watches a search; all calls come from the searching thread."""

    def note(self, line: str) -> None:
        """One line that should be read: the engine that was picked, skipped images, a wait."""

    def started(self, candidate: Candidate, stage: Stage) -> None:
        """A candidate enters a stage."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Training has come so far inside the current stage."""

    def judged(self, step: int, metric: float) -> None:
        """The metric of the weights that training has reached, where the budget asks for it."""

    def tick(self) -> None:
        """Time goes by: the search waits for the device or for another process of its own.

        Called each second or more often, and never while this search measures.
        """

    def finished(self, candidate: Candidate, stage: Stage, *, again: bool = False) -> None:
        """A candidate has left a stage, with its evidence or its rejection.

        `again` is true for evidence of an earlier run of the same study.
        """


class Unwatched:
    """Nobody watches."""

    def note(self, line: str) -> None:
        """Drop it."""

    def started(self, candidate: Candidate, stage: Stage) -> None:
        """Drop it."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Drop it."""

    def judged(self, step: int, metric: float) -> None:
        """Drop it."""

    def tick(self) -> None:
        """Nobody looks at a clock."""

    def finished(self, candidate: Candidate, stage: Stage, *, again: bool = False) -> None:
        """Drop it."""

"""What a search asks of those who work on the same study, and the case that there are none."""

from __future__ import annotations

from typing import Protocol


class LostClaim(Exception):
    """This worker was taken for dead and its candidate was given to another one."""


class Workers(Protocol):
    """The others who work on the same study."""

    @property
    def alone(self) -> bool:
        """Whether there are no others and never will be."""

    def take(self, what: str) -> bool:
        """Claim it; true when it is this worker's from now on, or was already."""

    def release(self, what: str) -> None:
        """Give it back."""

    def check(self, what: str) -> None:
        """Make sure of it before something is written.

        Raises:
            LostClaim: somebody else has it by now.
        """

    def safe_point(self, doing: str = "") -> None:
        """Where this worker may end, between two stages and inside a training.

        Args:
            doing: what it is at from now on, for the others to see; empty for what it was at.

        Raises:
            Interrupted: it was asked to end.
        """

    def wait(self) -> None:
        """Let the others work for a while."""


class Alone:
    """Nobody else: everything is this process's."""

    alone = True

    def take(self, what: str) -> bool:
        """Always."""
        return True

    def release(self, what: str) -> None:
        """Nobody waits for it."""

    def check(self, what: str) -> None:
        """Nobody can have taken it."""

    def safe_point(self, doing: str = "") -> None:
        """Ctrl-C ends a search that works alone, at any line."""

    def wait(self) -> None:
        """There is nobody to wait for.

        Raises:
            RuntimeError: always; it would wait for ever.
        """
        raise RuntimeError("a search that works alone waits for another worker: this is a bug")

"""One live picture at the foot of the terminal; what is printed scrolls away above it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape

from nas.live.watch import Clock

REFRESH_S = 0.25
"""Between two pictures of a training."""
TICK_S = 1.0
"""Between two while the search waits: another process may be timing."""


class LivePicture(ABC):
    """A context; it has no thread of its own and draws only when it is told to.

    Nothing may run beside a measurement.
    """

    def __init__(self, console: Console, clock: Clock, *, transient: bool = False) -> None:
        """Prepare it; nothing is drawn before it is entered.

        Args:
            transient: whether the last picture goes away at the end.
        """
        self._console, self._clock = console, clock
        self._drawn_s = float("-inf")
        self.live = Live(console=console, auto_refresh=False, transient=transient)

    @abstractmethod
    def made(self, *, width: int) -> RenderableType:
        """The picture as it is now, for so many columns."""

    def __enter__(self) -> Self:
        """Begin to draw."""
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last picture and the cursor as a terminal should have it."""
        try:
            self.draw()
        finally:
            self.live.stop()

    def draw(self, *, after_s: float = 0.0) -> None:
        """Draw, unless it was drawn less than so many seconds ago."""
        if self._clock() - self._drawn_s >= after_s:
            self._drawn_s = self._clock()
            self.live.update(self.made(width=self._console.width), refresh=True)

    def print(self, line: str) -> None:
        """Print a line above it."""
        self._console.print(f"[dim]·[/] {escape(line)}", highlight=False)

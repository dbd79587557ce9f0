"""One live picture at the foot of the terminal; what is printed scrolls away above it."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape

from nas.live.watch import Clock

REFRESH_S = 0.25
"""Between two pictures of a training."""
TICK_S = 1.0
"""Between two while the search waits: another process may be timing."""


class LivePicture:
    """It has no thread of its own and draws when it is told to: nothing may run beside a
    measurement.
    """

    def __init__(
        self,
        console: Console,
        made: Callable[[], RenderableType],
        clock: Clock,
        *,
        transient: bool = False,
    ) -> None:
        """Prepare it.

        Args:
            made: the picture as it is now.
            transient: whether the last one goes away at the end.
        """
        self._console, self._made, self._clock = console, made, clock
        self._drawn_s = float("-inf")
        self.live = Live(console=console, auto_refresh=False, transient=transient)

    def draw(self, *, after_s: float = 0.0) -> None:
        """Draw, unless it was drawn less than so many seconds ago."""
        if self._clock() - self._drawn_s >= after_s:
            self._drawn_s = self._clock()
            self.live.update(self._made(), refresh=True)

    def print(self, line: str) -> None:
        """Print a line above it."""
        self._console.print(f"[dim]·[/] {escape(line)}", highlight=False)

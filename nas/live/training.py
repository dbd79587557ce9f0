"""What a person at a terminal sees of one network's training: a live picture, or plain lines."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.candidate import Candidate
from nas.events import Event, Finished, Judged, Note, Started, Step, Tick
from nas.experiment import Stage
from nas.live.picture import REFRESH_S, TICK_S, LivePicture
from nas.live.terminal import described
from nas.live.watch import Clock
from nas.report.describe import clock_time, describe, duration, figure, gain
from nas.target import Target
from trainers.base import Metric

_TOLD_EVERY_S = 30.0
_BAR_WIDTH = 36
_CURVE_WIDTH = 48
_LEVELS = "▁▂▃▄▅▆▇█"


@dataclass
class Course:
    """How far one training is.

    Attributes:
        marks: (step, metric) of every look, the latest last.
        began: (step, clock) of the first progress that this process has seen of the stage.
    """

    clock: Clock
    candidate: Candidate | None = None
    stage: Stage | None = None
    done: int = 0
    total: int = 0
    loss: float | None = None
    marks: list[tuple[int, float]] = field(default_factory=list)
    began: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        """Start the clock of the whole run."""
        self.began_s = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Time since this run began."""
        return self.clock() - self.began_s

    @property
    def doing(self) -> str:
        """What goes on; empty before the first stage."""
        return "" if self.stage is None else self.stage.words.doing

    def __call__(self, event: Event) -> None:
        """Take note of it."""
        match event:
            case Started(candidate, stage):
                self.candidate, self.stage = candidate, stage
                self.done = self.total = 0
                self.loss, self.began = None, None
                self.marks.clear()
            case Step(done=done, total=total, loss=loss):
                self.done, self.total, self.loss = done, total, loss
                self.began = self.began or (done, self.clock())
            case Judged(step=step, metric=metric):
                self.marks.append((step, metric))

    def remaining_s(self) -> float | None:
        """Time to the end of the stage at the pace so far, or None before there is one."""
        if self.began is None or self.done <= self.began[0]:
            return None
        each_s = (self.clock() - self.began[1]) / (self.done - self.began[0])
        return each_s * (self.total - self.done)

    def progress(self) -> str:
        """One line such as `1200/20000, loss 0.0123, 4 min to go`."""
        left_s = self.remaining_s()
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        return f"{self.done}/{self.total}{loss}" + (
            "" if left_s is None else f", {duration(left_s)} to go"
        )

    def best(self, metric: Metric) -> tuple[int, float] | None:
        """The look with the best metric, or None before the first."""
        found: tuple[int, float] | None = None
        for mark in self.marks:
            if found is None or metric.better(mark[1], found[1]):
                found = mark
        return found


def training_view(
    console: Console,
    target: Target,
    metric: Metric,
    baseline: float,
    *,
    clock: Clock = time.monotonic,
) -> PlainTraining | RichTraining:
    """The view that suits this console; to be entered as a context."""
    if console.is_terminal and not console.is_dumb_terminal:
        return RichTraining(console, target, metric, baseline, clock)
    return PlainTraining(console, target, metric, clock)


class PlainTraining:
    """One line for each stage that ended and each look at the metric."""

    def __init__(self, console: Console, target: Target, metric: Metric, clock: Clock) -> None:
        """Prepare it; nothing is printed before it is entered."""
        self._console, self._target, self._metric = console, target, metric
        self._course = Course(clock)
        self._told_s = clock()

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    def __call__(self, event: Event) -> None:
        """Print what came out and each look, and now and then how far it is."""
        self._course(event)
        match event:
            case Note(line):
                self._print(line)
            case Judged(step=step, metric=metric):
                self._told_s = self._course.clock()
                self._print(f"{self._course.doing}: step {step}: {figure(self._metric, metric)}")
            case Finished():
                self._print(_ended(event, self._target, self._metric))
            case Step() | Tick():
                self._tell_now_and_then()

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _tell_now_and_then(self) -> None:
        now_s = self._course.clock()
        if self._course.stage and now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            far = f": {self._course.progress()}" if self._course.total else "..."
            self._print(f"{self._course.doing}{far}")


class RichTraining(LivePicture):
    """Shows one training; what has ended scrolls away above it."""

    def __init__(
        self, console: Console, target: Target, metric: Metric, baseline: float, clock: Clock
    ) -> None:
        """Prepare it; nothing is drawn before it is entered."""
        super().__init__(console, clock, transient=True)
        self._target, self._metric, self._baseline = target, metric, baseline
        self._course = Course(clock)

    def made(self, *, width: int) -> RenderableType:
        """How far it is, and how good."""
        return draw(self._course, self._target, self._metric, self._baseline, width=width)

    def __call__(self, event: Event) -> None:
        """Draw how far it is, and print what came out above that."""
        self._course(event)
        match event:
            case Note(line):
                self.print(line)
            case Finished():
                self.print(_ended(event, self._target, self._metric))
            case Started() | Judged():
                self.draw()
            case Step() | Tick():
                self.draw(after_s=REFRESH_S if isinstance(event, Step) else TICK_S)


def _ended(event: Finished, target: Target, metric: Metric) -> str:
    known = " (of an earlier run)" if event.again else ""
    return described(event.candidate, event.stage, target, metric) + known


def draw(
    course: Course, target: Target, metric: Metric, baseline: float, *, width: int
) -> RenderableType:
    """One picture of a training, at most nine lines high, for so many columns."""
    candidate = course.candidate
    parts: list[RenderableType] = []
    if candidate is not None:
        parts.append(Text(describe(candidate.architecture), "dim", no_wrap=True))
    threads = f"{target.threads} thread" + ("s" if target.threads > 1 else "")
    parts.append(
        Text(
            f"{target.engine} · {target.precision} · {threads} · "
            f"{target.width}x{target.height} in",
            "dim",
        )
    )
    words = Text(course.doing, "bold")
    far = Text(course.progress() if course.total else "")
    columns = max(0, min(_BAR_WIDTH, width - 6 - words.cell_len - far.cell_len))
    line = Table.grid(padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(width=columns)
    line.add_column(no_wrap=True)
    bar: RenderableType = Text()
    if course.total and columns:
        bar = ProgressBar(
            total=course.total, completed=course.done, width=columns, complete_style="cyan"
        )
    line.add_row(words, bar, far)
    parts.append(line)
    best = course.best(metric)
    if best is not None:
        _, latest = course.marks[-1]
        parts.append(
            Text.assemble(
                f"{metric.name} ", (figure(metric, latest), "bold"),
                f", best {figure(metric, best[1])} at step {best[0]}, "
                f"{figure(metric, gain(metric, latest, baseline), sign=True)} on the baseline",
            )
        )  # fmt: skip
        parts.append(Text(curve([value for _, value in course.marks], metric), "cyan"))
    parts.append(Text.assemble(("elapsed ", "dim"), clock_time(course.elapsed_s)))
    name = candidate.name if candidate else ""
    return Panel(
        Group(*parts), title=Text.assemble(("freeway train", "bold"), " · ", name),
        title_align="left", box=box.ROUNDED, border_style="dim", padding=(0, 1),
    )  # fmt: skip


def curve(values: list[float], metric: Metric) -> str:
    """The last values as a line of bars, the better the higher."""
    shown = values[-_CURVE_WIDTH:]
    if metric.mode == "min":
        shown = [-value for value in shown]
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[round((value - low) / span * top)] for value in shown)

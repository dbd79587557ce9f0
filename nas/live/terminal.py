"""What a person at a terminal sees of a running search: one live view, or plain lines."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from nas.candidate import Candidate
from nas.experiment import Plan, Target
from nas.live.panel import draw
from nas.live.watch import Clock, Watch
from nas.report.describe import duration, figure, milliseconds, stage_words
from nas.winners import front
from trainers.base import Metric
from trainers.budget import Budget

_REFRESH_S = 0.25
_TICK_S = 1.0
_SUMMARY_S = 10.0


def view_for(
    console: Console,
    plan: Plan,
    target: Target,
    metric: Metric,
    *,
    budget: Budget | None = None,
    baseline: float | None = None,
    clock: Clock = time.monotonic,
) -> RichView | PlainView:
    """The view that suits this console; to be entered as a context.

    Args:
        budget: with it the remaining time can be told earlier.
        baseline: the metric without any network, to tell gains over it.
    """
    watch = Watch(plan, budget, clock)
    if console.is_terminal and not console.is_dumb_terminal:
        return RichView(console, watch, plan, target, metric, baseline)
    return PlainView(console, watch, plan, target, metric)


class RichView:
    """One live picture at the foot of the terminal; notes scroll away above it.

    It has no thread of its own and draws only when it is told something, at most four times a
    second while training and once while it waits: nothing may run beside a measurement.
    """

    def __init__(
        self,
        console: Console,
        watch: Watch,
        plan: Plan,
        target: Target,
        metric: Metric,
        baseline: float | None = None,
    ) -> None:
        """Prepare it; nothing is drawn before it is entered."""
        self._console, self._watch = console, watch
        self._plan, self._target, self._metric = plan, target, metric
        self._baseline = baseline
        self._front: list[Candidate] = []
        self._drawn_s = float("-inf")
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last picture and the cursor as a terminal should have it."""
        try:
            self._watch.current = None
            self._draw()
        finally:
            self._live.stop()

    def note(self, line: str) -> None:
        """Print a line above the picture."""
        self._console.print(f"[dim]·[/] {escape(line)}", highlight=False)
        self._draw()

    def started(self, candidate: Candidate, stage: str) -> None:
        """Show what begins."""
        self._watch.started(candidate, stage)
        self._draw()

    def step(self, done: int, total: int, loss: float) -> None:
        """Move the bar."""
        self._watch.step(done, total, loss)
        if self._watch.clock() - self._drawn_s >= _REFRESH_S:
            self._draw()

    def judged(self, step: int, metric: float) -> None:
        """A search ranks by what a training ends with."""

    def tick(self) -> None:
        """Let the clock go on; seldom, as another process may be timing."""
        if self._watch.clock() - self._drawn_s >= _TICK_S:
            self._draw()

    def finished(self, candidate: Candidate, stage: str, *, again: bool = False) -> None:
        """Count it, and see whether it belongs to the best."""
        self._watch.finished(candidate, stage, again=again)
        alive = [c for c in self._watch.candidates if not c.rejected and not c.is_reference]
        self._front = front(alive, self._metric)
        self._draw()

    def _draw(self) -> None:
        self._drawn_s = self._watch.clock()
        picture = draw(
            self._watch, self._front, self._plan, self._target, self._metric, self._baseline,
            width=self._console.width,
        )
        self._live.update(picture, refresh=True)


class PlainView:
    """One line for each stage that ended, and now and then where the search stands."""

    def __init__(
        self, console: Console, watch: Watch, plan: Plan, target: Target, metric: Metric
    ) -> None:
        """Prepare it; nothing is printed before it is entered."""
        self._console, self._watch = console, watch
        self._plan, self._target, self._metric = plan, target, metric
        self._told_s = watch.clock()
        self._known_before = 0

    def __enter__(self) -> Self:
        """Say what is searched."""
        target = self._target
        self._print(
            f"{self._plan.name}: {self._plan.candidates} networks, {target.engine}, "
            f"{target.precision}, {target.width}x{target.height} in, "
            f"at most {milliseconds(target.max_latency_ms)}"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say where the search stands at its end."""
        self._print(self._standing())

    def note(self, line: str) -> None:
        """Print it."""
        self._print(line)

    def started(self, candidate: Candidate, stage: str) -> None:
        """Tell how many were known before the first new stage begins."""
        if self._known_before:
            self._print(f"{self._known_before} reports of an earlier run are used again")
            self._known_before = 0
        self._watch.started(candidate, stage)

    def step(self, done: int, total: int, loss: float) -> None:
        """Take note of it; print only when it is time for a summary."""
        self._watch.step(done, total, loss)
        self._tell_now_and_then()

    def judged(self, step: int, metric: float) -> None:
        """A search ranks by what a training ends with."""

    def tick(self) -> None:
        """Print only when it is time for a summary."""
        self._tell_now_and_then()

    def finished(self, candidate: Candidate, stage: str, *, again: bool = False) -> None:
        """Print what came out."""
        self._watch.finished(candidate, stage, again=again)
        if again:
            self._known_before += 1
            return
        outcome = told(
            candidate, stage, self._target, self._metric, compiled=self._plan.compiles
        )
        self._print(f"{candidate.name}  {candidate.architecture.id}  {outcome}")
        self._tell_now_and_then()

    def _tell_now_and_then(self) -> None:
        if self._watch.clock() - self._told_s >= _SUMMARY_S:
            self._told_s = self._watch.clock()
            self._print(self._standing())

    def _standing(self) -> str:
        counts, left_s = self._watch.funnel, self._watch.remaining_s()
        now = self._watch.current
        trained = (
            f", {counts.probed} probed, {counts.trained} trained, {counts.quantized} quantized, "
            f"{counts.winners} winners"
        )
        doing = ""
        if now is not None:
            words = stage_words(now.evidence, compiled=self._plan.compiles)
            doing = f"; now {words} {now.candidate.name}"
        if now is not None and now.total:
            doing += f" {now.done}/{now.total}"
        return (
            f"-- {counts.proposed}/{self._plan.candidates} "
            f"{'compiled' if self._plan.compiles else 'timed'}, {counts.too_slow} too slow, "
            f"{counts.failed} failed{'' if self._plan.compiles else trained}; "
            f"{duration(self._watch.elapsed_s)} so far, "
            f"{'…' if left_s is None else '~' + duration(left_s)} to go{doing}"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def told(
    candidate: Candidate, stage: str, target: Target, metric: Metric, *, compiled: bool = False
) -> str:
    """What came out of a stage, in half a line.

    Args:
        compiled: the search only compiles.
    """
    doing = stage_words(stage, compiled=compiled)
    if candidate.rejected is not None:
        return f"{doing}: rejected, {candidate.rejected.reason}"
    receipt = {"screened": candidate.screened, "settled": candidate.settled}.get(stage)
    if receipt is not None:
        if "compute_ms" in receipt.conditions:
            least = milliseconds(receipt.median_ms)
            return f"compiled: at least {least} by the data sheet, not run"
        doubt = "" if receipt.verdict == "ok" else f" ({receipt.verdict})"
        if math.isinf(target.max_latency_ms):
            return f"{doing}: {milliseconds(receipt.median_ms)}{doubt}"
        within = receipt.median_ms <= target.max_latency_ms
        side = "within" if within else "over"
        limit = milliseconds(target.max_latency_ms)
        return f"{doing}: {milliseconds(receipt.median_ms)}{doubt}, {side} {limit}"
    if stage == "exported" and candidate.exported is not None:
        shipped, plain = candidate.exported.shipped, candidate.exported.fp32
        text = f"{doing}: {milliseconds(shipped.median_ms)} in {shipped.precision}"
        if shipped.precision == "fp32":
            return text
        return f"{text}, {milliseconds(plain.median_ms)} in fp32"
    report = getattr(candidate, stage)
    if report is None:
        return f"{doing}: nothing to tell"
    text = f"{doing}: {figure(metric, report.metric)}"
    if stage == "quantized":
        text += f" in {report.precision} ({figure(metric, -report.metric_drop, sign=True)})"
    elif report.stopped:
        text += f" ({report.stopped})"
    return text

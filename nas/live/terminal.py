"""What a person at a terminal sees of a running search: one live view, or plain lines."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.events import Event, Finished, Judged, Note, Started, Step, Tick
from nas.evidence import MAIN, ExportReport
from nas.experiment import Plan, Stage
from nas.live.panel import draw
from nas.live.picture import REFRESH_S, TICK_S, LivePicture
from nas.live.watch import Clock, Watch
from nas.report.describe import duration, figure, milliseconds
from nas.stages import corridor
from nas.target import Target
from nas.winners import front
from trainers.base import Metric, QuantReport, TrainReport
from trainers.budget import Budget

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


class RichView(LivePicture):
    """Shows a search, at most four times a second while it trains."""

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
        super().__init__(console, watch.clock)
        self._watch, self._plan, self._target = watch, plan, target
        self._metric, self._baseline = metric, baseline
        self._front: list[Candidate] = []

    def made(self, *, width: int) -> RenderableType:
        """Funnel, front, and what is done now."""
        return draw(
            self._watch, self._front, self._plan, self._target, self._metric, self._baseline,
            width=width,
        )

    def __call__(self, event: Event) -> None:
        """Draw what is different now."""
        self._watch(event)
        match event:
            case Note(line):
                self.print(line)
            case Finished():
                alive = [c for c in self._watch.candidates if not c.rejected and c.is_proposal]
                self._front = front(alive, self._metric)
        wait_s = {Step: REFRESH_S, Judged: REFRESH_S, Tick: TICK_S}
        self.draw(after_s=wait_s.get(type(event), 0.0))


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

    def __call__(self, event: Event) -> None:
        """Print what came out, and what is to be read."""
        if isinstance(event, Started) and self._known_before:
            self._print(f"{self._known_before} reports of an earlier run are used again")
            self._known_before = 0
        self._watch(event)
        match event:
            case Note(line):
                self._print(line)
            case Finished(again=True):
                self._known_before += 1
            case Finished(candidate, stage):
                outcome = described(candidate, stage, self._target, self._metric)
                self._print(f"{candidate.name}  {candidate.architecture.id}  {outcome}")
                self._tell_now_and_then()
            case Step() | Tick():
                self._tell_now_and_then()

    def _tell_now_and_then(self) -> None:
        if self._watch.clock() - self._told_s >= _SUMMARY_S:
            self._told_s = self._watch.clock()
            self._print(self._standing())

    def _standing(self) -> str:
        left_s, now = self._watch.remaining_s(), self._watch.current
        doing = ""
        if now is not None:
            doing = f"; now {now.stage.words.doing} {now.candidate.name}"
        if now is not None and now.total:
            doing += f" {now.done}/{now.total}"
        stages = corridor(compiles=self._plan.compiles)
        return (
            f"-- {self._watch.funnel.described(stages, of=self._plan.candidates)}; "
            f"{duration(self._watch.elapsed_s)} so far, "
            f"{'…' if left_s is None else '~' + duration(left_s)} to go{doing}"
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def described(candidate: Candidate, stage: Stage, target: Target, metric: Metric) -> str:
    """What came out of a stage, in half a line."""
    if candidate.rejected is not None:
        return f"{stage.words.doing}: rejected, {candidate.rejected.reason}"
    outcome = _outcome(candidate.get(stage.evidence), target, metric)
    for name, limit_ms in candidate.limits_ms.items():
        report = candidate.get(stage.evidence.on(name)) if name != MAIN else None
        if report is not None:
            there = replace(target, max_latency_ms=limit_ms)
            outcome += f"; {name}: {_outcome(report, there, metric)}"
    return f"{stage.words.doing}: {outcome}"


def _outcome(report: object, target: Target, metric: Metric) -> str:
    match report:
        case None:
            return "nothing to tell"
        case LatencyReport():
            return _timed(report, target)
        case TrainReport():
            stopped = f" ({report.stopped})" if report.stopped else ""
            return f"{figure(metric, report.metric)}{stopped}"
        case QuantReport():
            change = figure(metric, -report.metric_drop, sign=True)
            return f"{figure(metric, report.metric)} in {report.precision} ({change})"
        case ExportReport():
            shipped, plain = report.shipped, report.fp32
            each = [shipped] if shipped.precision == "fp32" else [shipped, plain]
            return ", ".join(f"{milliseconds(r.median_ms)} in {r.precision}" for r in each)
    # Of a stage whose report is its own.
    return str(report)


def _timed(receipt: LatencyReport, target: Target) -> str:
    latency = milliseconds(receipt.median_ms)
    if "compute_ms" in receipt.conditions:
        return f"at least {latency} by the data sheet, not run"
    doubt = "" if receipt.verdict == "ok" else f" ({receipt.verdict})"
    if math.isinf(target.max_latency_ms):
        return f"{latency}{doubt}"
    side = "within" if receipt.median_ms <= target.max_latency_ms else "over"
    return f"{latency}{doubt}, {side} {milliseconds(target.max_latency_ms)}"

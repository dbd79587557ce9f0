"""The live picture of a search: where it is going, what is left of it, what is best so far."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.candidate import Candidate
from nas.evidence import EXPORTED, SCREENED, TRAINED
from nas.experiment import Plan
from nas.live.scatter import scatter
from nas.live.watch import Watch
from nas.report.columns import fitted
from nas.report.describe import (
    clock_time,
    describe,
    duration,
    figure,
    gain,
    latency_cells,
    milliseconds,
    pictures,
)
from nas.stages import corridor
from nas.target import Target
from trainers.base import Metric

_BEST_SHOWN = 4
_WIDE = 100
"""Columns from which the picture of quality per latency fits beside the funnel."""
_WIDEST_PICTURE = 44
_FRAME = 4
_BAR_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"


def draw(
    watch: Watch,
    best: Sequence[Candidate],
    plan: Plan,
    target: Target,
    metric: Metric,
    baseline: float | None,
    *,
    width: int,
) -> RenderableType:
    """One picture of the whole search, at most 23 lines high, for so many columns."""
    everyone = watch.candidates
    published = [c for c in everyone if not c.is_proposal and c.quality is not None]
    above: RenderableType = _funnel(watch, plan, width=width - _FRAME)
    if width >= _WIDE:
        picture = scatter(
            everyone, best, limit_ms=target.max_latency_ms, metric=metric, baseline=baseline,
            width=min(_WIDEST_PICTURE, width - _WIDE + 28),
        )
        beside = Table.grid(padding=(0, 3, 0, 0))
        beside.add_row(above, picture)
        above = beside
    parts: list[RenderableType] = [
        _aim(target), Text(), above, Text(),
        *_now(watch, width=width - _FRAME), Text(),
        _best(
            [*best[-_BEST_SHOWN:], *published[-2:]], metric, baseline,
            width=width - _FRAME,
        ),
        _times(watch),
    ]
    return Panel(
        Group(*parts),
        title=Text.assemble(("freeway", "bold"), " · ", plan.name),
        title_align="left",
        box=box.ROUNDED,
        border_style="dim",
        padding=(0, 1),
    )


def _aim(target: Target) -> Text:
    threads = f"{target.threads} thread" + ("s" if target.threads > 1 else "")
    return Text.assemble(
        (target.engine, "bold"),
        f" · {target.precision} · {threads} · {target.width}x{target.height} in · at most ",
        (milliseconds(target.max_latency_ms), "bold"),
        overflow="ellipsis",
        no_wrap=True,
    )


def _funnel(watch: Watch, plan: Plan, *, width: int) -> Table:
    counts = watch.funnel
    most = {SCREENED: plan.candidates, TRAINED: min(plan.finalists, counts.proposed)}
    lines = []
    for stage, count in counts.steps(corridor(compiles=plan.compiles)):
        known = stage.evidence in most and (count or stage.evidence == SCREENED)
        of = f" of {most[stage.evidence]}" if known else ""
        colour = "green" if stage.evidence == EXPORTED else "cyan"
        lines.append((stage.words.done, count, of, colour))
    lines[1:1] = [
        ("too slow", counts.too_slow, "", "yellow"), ("failed", counts.failed, "", "red"),
    ]
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=15, no_wrap=True)
    table.add_column(justify="right", min_width=4, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    whole = max(plan.candidates, counts.proposed)
    room = width - 22 - max(len(of) for _, _, of, _ in lines)
    columns = max(0, min(_BAR_WIDTH, room))
    for label, count, of, colour in lines:
        style = "" if count else "dim"
        bar = Text(blocks(count / whole, columns), style=colour)
        number = Text(str(count), style=style)
        table.add_row(Text(label, style=style), number, bar, Text(of, "dim"))
    return table


def blocks(share: float, width: int) -> str:
    """A bar of so many columns in eighths of one; what is not nothing can be seen."""
    eighths = round(min(1.0, share) * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _now(watch: Watch, *, width: int) -> list[RenderableType]:
    """Two lines, whatever is done, so that the picture keeps its height."""
    now = watch.current
    if now is None:
        return [Text("now   -", style="dim"), Text()]
    head = Text.assemble(
        ("now   ", "dim"), (now.stage.words.doing, "bold"), f"  {now.candidate.name}  ",
        (describe(now.candidate.architecture), "dim"), no_wrap=True, overflow="ellipsis",
    )
    if not now.total:
        return [head, Text()]
    steps = f"{now.done}/{now.total}"
    loss = "" if now.loss is None else f"loss {now.loss:.4f}"
    columns = max(1, min(_BAR_WIDTH + 10, width - 8 - len(steps) - len(loss)))
    line = Table.grid(padding=(0, 1))
    line.add_column(width=5)
    line.add_column(width=columns)
    line.add_column(no_wrap=True)
    line.add_column(no_wrap=True)
    bar = ProgressBar(
        total=now.total, completed=now.done, width=columns, complete_style="cyan"
    )
    line.add_row("", bar, steps, Text(loss, style="dim"))
    return [head, line]


def _best(
    shown: Sequence[Candidate], metric: Metric, baseline: float | None, *, width: int
) -> RenderableType:
    if not shown:
        return Text("best per latency   nothing trained yet", style="dim")
    over = pictures(candidate.pictures for candidate in shown)
    wordy = f"best per latency, over {over}" if over else "best per latency"
    lines = []
    for candidate in shown:
        quality = candidate.quality or 0.0
        lines.append({
            "network": candidate.name,
            **latency_cells(candidate),
            metric.name: figure(metric, quality),
            "gain": "" if baseline is None else f"{gain(metric, quality, baseline):+.2f}",
            "stage": _latest(candidate),
            wordy: describe(candidate.architecture),
        })
    table, _ = fitted(
        lines, width=width, spare=("stage", wordy, "gain"), left=("network", "stage"),
        wordy=wordy, styles=["" if c.is_proposal else "magenta" for c in shown],
        framed=False,
    )
    return table


def _latest(candidate: Candidate) -> str:
    """The last stage that left evidence."""
    known = [stage.name for stage in corridor() if candidate.has(stage.evidence)]
    return known[-1] if known else ""


def _times(watch: Watch) -> Text:
    left_s = watch.remaining_s()
    left = "…" if left_s is None else f"~{duration(left_s)}"
    return Text.assemble(
        ("elapsed ", "dim"), clock_time(watch.elapsed_s), ("   remaining ", "dim"), left,
        overflow="ellipsis", no_wrap=True,
    )

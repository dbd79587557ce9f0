"""The end of a study at the terminal: the front beside the baseline and the references."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nas.confidence import Gain
from nas.report.columns import fitted
from nas.report.describe import compared, figure, gain, milliseconds
from nas.report.summary import Comparison, Row, Summary
from nas.report.worth import Worth
from nas.report.worth_words import worth_lines
from trainers.base import Metric

_STYLES = {"winner": "", "reference": "magenta", "baseline": "dim"}
_WIDE = 110
_MISSED_LEAST = ("95 %", "architecture", "gain")
SIMULATED = (
    "Simulation: a table of measured networks answered; nothing was trained, nothing is exported."
)


def print_table(
    console: Console,
    summary: Summary,
    *,
    report: Path | None = None,
    worth: Worth | None = None,
) -> None:
    """Print the final table, comparisons, what the search was worth, and where the report lies."""
    if summary.simulated:
        console.print(Text(SIMULATED, style="yellow"))
    if summary.advice:
        console.print(Text.assemble(("No winner. ", "bold yellow"), summary.advice))
    console.print(_table(summary, console.width))
    for row in (*summary.winners, *summary.references):
        if row.doubt:
            console.print(Text(f"{row.label}: {row.doubt}", style="yellow"))
    if summary.outlook_words:
        console.print(Text(summary.outlook_words))
    for line in steps(summary):
        console.print(Text(line))
    _print_list(
        console, "beside published networks:",
        [sentence(c, summary.metric) for c in summary.comparisons],
    )
    if summary.unsure:
        console.print(Text(summary.unsure))
    if worth is not None:
        _print_list(console, "what the search was worth:", worth_lines(worth, summary.metric))
    if report is not None:
        console.print(Text.assemble("report: ", (str(report), "bold")), soft_wrap=True)


def _print_list(console: Console, head: str, lines: Sequence[str]) -> None:
    """Indented lines under a heading; nothing where there are none."""
    for k, line in enumerate(lines):
        if not k:
            console.print(Text(head))
        # Words of a line that is broken stand under its first one.
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def _table(summary: Summary, width: int) -> Table:
    target, judged_on = summary.target, summary.judged_on
    over = f", {summary.metric.name} over {judged_on}" if judged_on else ""
    rows = (summary.baseline, *summary.winners, *summary.references)
    columns = ["network", "latency", summary.metric.name, "gain", "95 %"]
    columns += ["outlook"] if summary.horizon else []
    if width >= _WIDE:
        columns += ["images/s", "params", "GMACs", "over fp32"]
    lines = []
    for row in rows:
        cells = {"network": row.label, **cells_of(row, summary.metric)}
        lines.append({**{n: cells[n] for n in columns}, "architecture": row.description})
    table, _ = fitted(
        lines, width=width, spare=_MISSED_LEAST, left=("network",), wordy="architecture",
        styles=[_STYLES[row.kind] for row in rows],
        title=f"{target.engine} {target.precision}, {target.width}x{target.height} in, "
        f"at most {milliseconds(target.max_latency_ms)}{over}",
    )
    return table


def cells_of(row: Row, metric: Metric) -> dict[str, str]:
    """The numbers of a line as text, by column; empty where there is none."""
    doubt = " ?" if row.doubt else ""
    frames = row.images_per_s
    return {
        "latency": "" if row.latency_ms is None else milliseconds(row.latency_ms) + doubt,
        "images/s": "" if frames is None else f"{frames:.{0 if frames >= 100 else 1}f}",
        metric.name: "" if row.metric is None else figure(metric, row.metric),
        "gain": "" if row.gain is None else gained(metric, row.gain),
        "95 %": "" if row.gain is None or row.gain.low is None else signed_ends(metric, row.gain),
        "outlook": "" if row.outlook is None else figure(metric, row.outlook),
        "params": "" if row.params is None else f"{row.params:,}",
        "GMACs": "" if row.gmacs is None else f"{row.gmacs:.2f}",
        "over fp32": "" if row.speed_up is None else f"{row.speed_up:.2f}x",
    }


def gained(metric: Metric, gain: Gain) -> str:
    """A gain in a cell: with its sign, or `level`."""
    return "level" if gain.side == "level" else figure(metric, gain.mean, sign=True)


def signed_ends(metric: Metric, gain: Gain) -> str:
    """Both ends of an interval under a gain, without the unit; minus where it is worse."""
    ends = (figure(metric, end or 0.0) for end in (gain.low, gain.high))
    return " to ".join(end.removesuffix(metric.unit).strip() for end in ends)


def steps(summary: Summary) -> list[str]:
    """Which winners are not better than a faster one, for all that can be told."""
    pairs = list(pairwise(summary.front))
    behind = [
        f"{row.label} ({milliseconds(row.latency_ms or 0.0)}) has a bundle too, but {row.behind} "
        "is as fast and as good"
        for row in summary.winners
        if row.behind
    ]
    level = [
        f"{slower.label} ({milliseconds(slower.latency_ms or 0.0)}) is "
        f"{compared(summary.metric, slower.step, other=f'the faster {faster.label}')}"
        f"{ahead(summary.metric, slower, faster)}"
        for faster, slower in pairs
        if slower.step is not None and slower.step.side == "level"
    ]
    sure = [slower.step is not None and slower.step.low is not None for _, slower in pairs]
    if pairs and not level and all(sure):
        which = "winner on the front" if behind else "winner"
        level = [f"each {which} is better than the next faster one, by more than chance"]
    return behind + level


def sentence(comparison: Comparison, metric: Metric) -> str:
    """One reference beside the best winner that is not slower."""
    reference, best = comparison.reference, comparison.best
    at = f"{reference.label} ({milliseconds(reference.latency_ms or 0.0)})"
    if best is None or comparison.advantage is None:
        return f"{at}: no winner is as fast"
    words = compared(metric, comparison.advantage) + ahead(metric, best, reference)
    return f"{at}: {best.label} ({milliseconds(best.latency_ms or 0.0)}) is {words}"


def ahead(metric: Metric, one: Row, other: Row) -> str:
    """How much better the outlook of one is, at the end of a sentence; empty if not told."""
    if one.outlook is None or other.outlook is None:
        return ""
    return f", by outlook {figure(metric, gain(metric, one.outlook, other.outlook), sign=True)}"

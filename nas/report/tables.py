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
from nas.evidence import MAIN
from nas.report.columns import fitted
from nas.report.describe import aim_words, compared, figure, gain, milliseconds
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
    _print_list(console, "the best under each limit:", under_limits(summary))
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
    judged_on = summary.judged_on
    over = f", {summary.metric.name} over {judged_on}" if judged_on else ""
    rows = (summary.baseline, *summary.winners, *summary.references)
    columns = ["network", *latency_columns(summary), summary.metric.name, "gain", "95 %"]
    columns += ["outlook"] if summary.horizon else []
    if width >= _WIDE:
        columns += ["images/s", "params", "GMACs", "over fp32"]
    lines = []
    for row in rows:
        cells = {"network": row.label, **cells_of(row, summary.metric)}
        cells |= dict(zip(latency_columns(summary), latencies_of(row, summary), strict=True))
        lines.append({**{n: cells[n] for n in columns}, "architecture": row.description})
    table, _ = fitted(
        lines, width=width, spare=_MISSED_LEAST, left=("network",), wordy="architecture",
        styles=[_STYLES[row.kind] for row in rows],
        title=f"{aims_of(summary)}{over}",
    )
    return table


def aims_of(summary: Summary) -> str:
    """What was asked for, in a few words; of several targets that of each by its name."""
    if not summary.further:
        return aim_words(summary.target)
    targets = {MAIN: summary.target, **summary.further}
    return "; ".join(f"{name}: {aim_words(target)}" for name, target in targets.items())


def latency_columns(summary: Summary) -> list[str]:
    """What the columns of latencies are called: by the targets, where there are several."""
    return [MAIN, *summary.further] if summary.further else ["latency"]


def latencies_of(row: Row, summary: Summary) -> list[str]:
    """What stands in them; empty where it was not timed."""
    found = (row.elsewhere.get(name) for name in summary.further)
    others = ["" if receipt is None else milliseconds(receipt.median_ms) for receipt in found]
    return [cells_of(row, summary.metric)["latency"], *others]


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
        f"{row.label} ({took(row)}) has a bundle too, but {row.behind} "
        "is as fast and as good"
        for row in summary.winners
        if row.behind
    ]
    level = [
        f"{slower.label} ({took(slower)}) is "
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


def under_limits(summary: Summary) -> list[str]:
    """The best winner under each limit of the plan."""
    return [
        f"{milliseconds(limit_ms)}: " + ("no winner is as fast" if row is None else (
            f"{row.label}, {figure(summary.metric, row.metric or 0.0)} in {took(row)}"
        ))
        for limit_ms, row in summary.within
    ]


def sentence(comparison: Comparison, metric: Metric) -> str:
    """One reference beside the best winner that is not slower."""
    reference, best = comparison.reference, comparison.best
    at = f"{reference.label} ({took(reference)})"
    if best is None or comparison.advantage is None:
        return f"{at}: no winner is as fast"
    words = compared(metric, comparison.advantage) + ahead(metric, best, reference)
    return f"{at}: {best.label} ({took(best)}) is {words}"


def took(row: Row) -> str:
    """Its latency in a sentence; of several targets that on each."""
    if not row.elsewhere:
        return milliseconds(row.latency_ms or 0.0)
    main = [] if row.latency_ms is None else [f"{milliseconds(row.latency_ms)} on {MAIN}"]
    others = (f"{milliseconds(r.median_ms)} on {name}" for name, r in row.elsewhere.items())
    return ", ".join([*main, *others])


def ahead(metric: Metric, one: Row, other: Row) -> str:
    """How much better the outlook of one is, at the end of a sentence; empty if not told."""
    if one.outlook is None or other.outlook is None:
        return ""
    return f", by outlook {figure(metric, gain(metric, one.outlook, other.outlook), sign=True)}"

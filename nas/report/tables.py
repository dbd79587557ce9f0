"""The end of a study at the terminal: the front beside the baseline and the references."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.report.describe import figure, milliseconds
from nas.report.summary import Comparison, Row, Summary
from trainers.base import Metric

_STYLES = {"winner": "", "reference": "magenta", "baseline": "dim"}
_WIDE = 110
_GAP = 3
"""Columns between two cells of the table's box."""
_SHORTEST = 12
SIMULATED = (
    "Simulation: a table of measured networks answered; nothing was trained, nothing is exported."
)


def print_table(console: Console, summary: Summary, *, report: Path | None = None) -> None:
    """Print the final table, a line for each reference, and where the report lies."""
    if summary.simulated:
        console.print(Text(SIMULATED, style="yellow"))
    if summary.advice:
        console.print(Text.assemble(("No winner. ", "bold yellow"), summary.advice))
    console.print(_table(summary, console.width))
    for row in (*summary.winners, *summary.references):
        if row.doubt:
            console.print(Text(f"{row.label}: {row.doubt}", style="yellow"))
    for comparison in summary.comparisons:
        console.print(Text(sentence(comparison, summary.metric)))
    if report is not None:
        console.print(Text.assemble("report: ", (str(report), "bold")), soft_wrap=True)


def _table(summary: Summary, width: int) -> Table:
    target = summary.target
    table = Table(
        box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, title_justify="left",
        title=f"{target.engine} {target.precision}, {target.width}x{target.height} in, "
        f"at most {milliseconds(target.max_latency_ms)}",
    )
    rows = (summary.baseline, *summary.winners, *summary.references)
    numbers = ["latency", summary.metric.name, "gain"]
    if width >= _WIDE:
        numbers += ["images/s", "params", "GMACs", "over fp32"]
    cells = [{"network": row.label, **cells_of(row, summary.metric)} for row in rows]
    left = width - 3
    for name in ("network", *numbers):
        longest = max(len(name), *(len(line[name]) for line in cells))
        justify: Literal["left", "right"] = "left" if name == "network" else "right"
        table.add_column(name, justify=justify, no_wrap=True, min_width=longest)
        left -= longest + _GAP
    table.add_column(
        "architecture", overflow="ellipsis", no_wrap=True, max_width=max(_SHORTEST, left)
    )
    for row, line in zip(rows, cells, strict=True):
        shown = [line[name] for name in ("network", *numbers)]
        table.add_row(*map(Text, (*shown, row.description)), style=_STYLES[row.kind])
    return table


def cells_of(row: Row, metric: Metric) -> dict[str, str]:
    """The numbers of a line as text, by column; empty where there is none."""
    doubt = " ?" if row.doubt else ""
    frames = row.images_per_s
    return {
        "latency": "" if row.latency_ms is None else milliseconds(row.latency_ms) + doubt,
        "images/s": "" if frames is None else f"{frames:.{0 if frames >= 100 else 1}f}",
        metric.name: "" if row.metric is None else figure(metric, row.metric),
        "gain": "" if row.gain is None else figure(metric, row.gain, sign=True),
        "params": "" if row.params is None else f"{row.params:,}",
        "GMACs": "" if row.gmacs is None else f"{row.gmacs:.2f}",
        "over fp32": "" if row.speed_up is None else f"{row.speed_up:.2f}x",
    }


def sentence(comparison: Comparison, metric: Metric) -> str:
    """One reference beside the best winner that is not slower."""
    reference, best = comparison.reference, comparison.best
    at = f"{reference.label} ({milliseconds(reference.latency_ms or 0.0)})"
    if best is None or comparison.advantage is None:
        return f"beside {at}: no winner is as fast"
    side = "better" if comparison.advantage >= 0 else "worse"
    return (
        f"beside {at}: {best.label} is {figure(metric, abs(comparison.advantage))} {side} "
        f"in {milliseconds(best.latency_ms or 0.0)}"
    )

"""The end of a search that only compiled: what compiles, and what a data sheet allows at best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from math import ceil
from pathlib import Path

from rich.console import Console
from rich.text import Text

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.durable import write_aside
from nas.evidence import SCREENED
from nas.experiment import Experiment, Plan
from nas.ledger import REPORT
from nas.report.columns import fitted
from nas.report.describe import describe, milliseconds
from nas.report.funnel import was_too_slow
from nas.report.markup import bullets, cell, facts, page, table
from nas.report.proposals import in_order
from nas.report.roofs_plot import Spot, roofs_plot
from nas.target import Target

_SPARE = ("plan", "build", "architecture", "MB moved", "GMACs", "layers")
_SHOWN = 15
"""Lines at the terminal; the report has all."""


@dataclass(frozen=True)
class Line:
    """One network that compiles.

    Attributes:
        receipt: an estimate; nothing was run for it.
        published: it is a published network, for comparison.
    """

    name: str
    described: str
    receipt: LatencyReport
    published: bool

    @property
    def cells(self) -> dict[str, str]:
        """The figures as text, by column."""
        receipt, told = self.receipt, self.receipt.conditions
        return {
            "at least": milliseconds(receipt.median_ms),
            "met by": str(told["nearer"]),
            "GMACs": f"{float(told['macs']) / 1e9:.2f}",
            "MB moved": f"{float(told['bytes_moved']) / 1e6:.0f}",
            "layers": f"{receipt.layers_before} > {told['parsed_layers']}",
            "plan": f"{receipt.engine_bytes / 1024:.0f} KiB",
            "build": f"{receipt.build_s * 1e3:.0f} ms",
        }


@dataclass(frozen=True)
class Compiled:
    """What a search that only compiles leaves.

    Attributes:
        lines: what compiles and may be fast enough, the least work first, then what was
            published.
        slow: how many take longer than the limit by their multiply-adds alone.
        failed: how many proposals the engine refused.
        refused: its words for those, and for published networks.
    """

    plan: Plan
    target: Target
    lines: Sequence[Line]
    slow: int
    failed: int
    refused: Sequence[str]
    report: Path

    @property
    def words(self) -> str:
        """The outcome in one sentence."""
        ours = sum(not line.published for line in self.lines)
        count = ours + self.slow + self.failed
        return (
            f"{ours} of {count} networks compile and may be fast enough, {self.slow} cannot be, "
            f"{self.failed} were refused"
        )

    @property
    def cautions(self) -> list[str]:
        """What the figures are, and what they leave out."""
        device = self.lines[0].receipt.device if self.lines else self.target.card
        estimated = (
            f"Estimated, nothing was run: “at least” is the roofline of a {device} by its data "
            "sheet, and small networks whose tensors stay in its cache can be faster than that "
            "where memory is what they meet."
        )
        return [estimated, *filter(None, [self.target.caution])]

    @property
    def next_step(self) -> str:
        """How to have them timed."""
        return (
            "To time and train them: the same search without study.screen on a machine with the "
            "card; or here with measuring=served, and nas measure-worker there."
        )

    def show(self, console: Console) -> None:
        """Print it."""
        console.print(Text(f"{self.words}.", style="bold"))
        for caution in self.cautions:
            console.print(Text(caution, style="yellow"))
        ours = [line for line in self.lines if not line.published]
        step = max(1, ceil(len(ours) / _SHOWN))
        some = [*ours[::step], *(line for line in self.lines if line.published)]
        if some:
            shown, _ = fitted(
                [{"network": s.name, **s.cells, "architecture": s.described} for s in some],
                width=console.width, spare=_SPARE, left=("network",), wordy="architecture",
                styles=["magenta" if line.published else "" for line in some],
            )
            console.print(shown)
        if step > 1:
            console.print(Text(f"every {step} of {len(ours)} are shown; the report has all"))
        for reason in self.refused[:3]:
            console.print(Text(reason))
        console.print(Text(self.next_step))
        console.print(Text.assemble("report: ", (str(self.report), "bold")), soft_wrap=True)


def conclude_compiled(experiment: Experiment, candidates: Sequence[Candidate]) -> Compiled:
    """List what compiles, and write the report."""
    proposals = in_order(candidates)
    published = [c for c in candidates if not c.is_proposal]
    kept = [c for c in (*proposals, *published) if c.has(SCREENED) and not c.rejected]
    lines = [
        Line(c.name, describe(c.architecture), c[SCREENED], not c.is_proposal) for c in kept
    ]
    outcome = Compiled(
        experiment.plan,
        experiment.target,
        sorted(lines, key=lambda line: (line.published, line.receipt.median_ms)),
        sum(was_too_slow(c) for c in proposals),
        sum(c.rejected is not None and not was_too_slow(c) for c in proposals),
        [
            f"{c.name}: {c.rejected.reason}" for c in (*proposals, *published)
            if c.rejected and c.rejected.constraint != "latency_ms"
        ],
        experiment.folder / REPORT,
    )
    write_aside(outcome.report, _render(outcome).encode())
    return outcome


def _render(outcome: Compiled) -> str:
    target, now = outcome.target, datetime.now().strftime("%Y-%m-%d %H:%M")
    asked = (
        f"Asked for: networks that {target.engine} compiles in {target.precision} for a "
        f"{target.width}x{target.height} image, within {milliseconds(target.max_latency_ms)}. "
        "This machine has the compiler and not the card."
    )
    heads = [("network", ""), *((n, "n") for n in outcome.lines[0].cells)] if outcome.lines else []
    rows = [
        cell(line.name, "name ref" if line.published else "name")
        + "".join(cell(text, "n") for text in line.cells.values())
        + f'<td class="what">{escape(line.described)}</td>'
        for line in outcome.lines
    ]
    parts = [
        f'<p class="over">{escape(outcome.plan.name)} · {escape(now)}</p>',
        f"<h1>{escape(outcome.words[0].upper() + outcome.words[1:])}</h1>",
        f'<p class="lead">{escape(asked)}</p>',
        *(f'<p class="warn">{escape(caution)}</p>' for caution in outcome.cautions),
        _plot_card(outcome),
    ]
    if rows:
        parts.append(
            "<h2>What compiles</h2>"
            f'<section class="card">{table([*heads, ("architecture", "")], rows)}'
            '<p class="soft small">“Layers” are nodes of the file and layers that the '
            "engine's parser made of them, before any is fused: what is fused can be read on the "
            "card alone. Bytes are counted with every layer reading and writing once.</p>"
            "</section>"
        )
    if outcome.refused:
        parts.append(f"<h2>What was refused</h2>{bullets(list(outcome.refused))}")
    parts.append(f"<h2>What next</h2><p>{escape(outcome.next_step)}</p>{_circumstances(outcome)}")
    return page(f"{outcome.plan.name}: {outcome.words}", "\n".join(parts))


def _circumstances(outcome: Compiled) -> str:
    if not outcome.lines:
        return ""
    receipt = outcome.lines[0].receipt
    builds = sorted(line.receipt.build_s for line in outcome.lines)
    pairs = [
        ("engine", f"{receipt.engine} {receipt.engine_version}"),
        ("card", f"{receipt.device}, by its data sheet"),
        ("compiling", f"{builds[0]:.2f} to {builds[-1]:.2f} s each, here"),
    ]
    return f'<section class="card">{facts(pairs)}</section>'


def _plot_card(outcome: Compiled) -> str:
    if not outcome.lines:
        return ""
    spots = [
        Spot(
            line.name, float(line.receipt.conditions["memory_ms"]),
            float(line.receipt.conditions["compute_ms"]), line.published,
        )
        for line in outcome.lines
    ]
    legend = (
        '<div class="legend"><span><i class="key f"></i>proposed</span><span><i class="key r">'
        "</i>published networks</span></div>"
    )
    return (
        '<section class="card"><h3>Time for the arithmetic against time for the memory</h3>'
        f'<div class="wide">{roofs_plot(spots, width=920, height=430)}</div>'
        f'<div class="narrow">{roofs_plot(spots, width=360, height=360)}</div>{legend}'
        '<p class="soft small">Both at the card’s peak. Above the diagonal the arithmetic is '
        "what a network meets first, below it the memory.</p></section>"
    )

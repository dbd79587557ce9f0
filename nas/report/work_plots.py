"""Two more drawings of a search: how latency follows the work, and how networks learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nas.candidate import Candidate
from nas.report.describe import describe, drawable, milliseconds
from nas.report.markup import pointed
from nas.report.plots import Axes, text_at, ticks
from nas.report.summary import Summary
from search_spaces.skeletons import lower
from search_spaces.work import gmacs

Curve = Sequence[tuple[float, float]]
"""(step, loss) in order."""
_NARROW = 360
_SMOOTHED = 3
"""Losses that one point of a curve is the mean of: single batches differ more than networks."""


def work_and_learning(
    candidates: Sequence[Candidate], summary: Summary, curves: Mapping[str, Curve]
) -> str:
    """The report's section of both; empty where there is nothing to draw.

    Args:
        curves: of trainings, by the candidate's name.
    """
    parts = []
    if any(c.receipt for c in candidates):
        parts.append(_card(
            "Latency against arithmetic",
            "Networks of equal work are not equally fast: what is high above the others moves "
            "memory, or runs in layers that this engine does badly.",
            *(work_plot(candidates, summary, width=width) for width in (920, _NARROW)),
        ))
    shown = {name: smooth(curve) for name, curve in curves.items() if len(curve) > _SMOOTHED}
    if shown:
        parts.append(_card(
            "Loss while training",
            "Every network sees the same pictures at the same step, so their curves move alike.",
            *(learning_plot(shown, summary, width=width) for width in (920, _NARROW)),
        ))
    return "<h2>Where the time goes, and how they learned</h2>" + "".join(parts) if parts else ""


def _card(head: str, words: str, wide: str, narrow: str) -> str:
    return (
        f'<section class="card"><h3>{escape(head)}</h3><div class="wide">{wide}</div>'
        f'<div class="narrow">{narrow}</div><p class="soft small">{escape(words)}</p></section>'
    )


def smooth(curve: Curve) -> Curve:
    """Means of some points that follow each other."""
    runs = [curve[k : k + _SMOOTHED] for k in range(len(curve) - _SMOOTHED + 1)]
    return [
        (sum(step for step, _ in run) / _SMOOTHED, sum(loss for _, loss in run) / _SMOOTHED)
        for run in runs
    ]


def work_plot(
    candidates: Sequence[Candidate], summary: Summary, *, width: int, height: int = 300
) -> str:
    """Latency of every network that was timed, by its multiply-adds at the target's size."""
    target = summary.target
    found = [
        (c, gmacs(lower(c.architecture), target.height, target.width), c.receipt.median_ms)
        for c in candidates if c.receipt
    ]
    most = max(ms for _, _, ms in found)
    axes = Axes(54.0, 14.0, width - 16.0, height - 46.0,
                max(work for _, work, _ in found) * 1.05, 0.0, most * 1.08)  # fmt: skip
    parts = [_grid(axes, 0.0, most * 1.08, "multiply-adds of one image, billions"),
             text_at(axes.left + 6, axes.top + 10, "latency, ms", "axis")]  # fmt: skip
    for candidate, work, ms in sorted(found, key=lambda one: _rank(one[0].name, summary)):
        words = f"{milliseconds(ms)}, {work:.2f} G: {describe(candidate.architecture)}"
        parts.append(
            f'<circle class="{_mark(candidate.name, summary)}"{pointed(candidate.name)} '
            f'cx="{axes.x(work):.1f}" cy="{axes.y(ms):.1f}" r="4">'
            f"<title>{escape(f'{candidate.name}: {words}')}</title></circle>"
        )
    return _drawn(parts, width, height, "latency against multiply-adds")


def learning_plot(
    curves: Mapping[str, Curve], summary: Summary, *, width: int, height: int = 300
) -> str:
    """The loss of every training by its step; the highest quarter of all values is cut off."""
    values = sorted(loss for curve in curves.values() for _, loss in curve)
    low, high = drawable(values[: max(2, 3 * len(values) // 4)])
    pad = (high - low) * 0.1 or 1e-6
    end = max(step for curve in curves.values() for step, _ in curve)
    axes = Axes(64.0, 14.0, width - 16.0, height - 46.0, end, low - pad, high + pad)
    parts = [_grid(axes, low - pad, high + pad, "optimizer steps"),
             text_at(axes.left + 6, axes.top + 10, "loss", "axis")]  # fmt: skip
    kinds = {"win": " w", "ref": " r"}
    for name in sorted(curves, key=lambda name: _rank(name, summary)):
        line = "L".join(f"{axes.x(step):.1f} {axes.y(loss):.1f}" for step, loss in curves[name])
        kind = kinds.get(_mark(name, summary), "")
        parts.append(
            f'<path class="curve{kind}"{pointed(name)} d="M{line}">'
            f"<title>{escape(f'{name}: {curves[name][-1][1]:.4g} at the end')}</title></path>"
        )
    return _drawn(parts, width, height, "loss by optimizer step")


def _rank(name: str, summary: Summary) -> int:
    """What is drawn last lies on top."""
    return ["brief", "ref", "win"].index(_mark(name, summary))


def _mark(name: str, summary: Summary) -> str:
    if name in {row.name for row in summary.winners}:
        return "win"
    return "ref" if name in {row.name for row in summary.references} else "brief"


def _grid(axes: Axes, low: float, high: float, below: str) -> str:
    parts = []
    for value in ticks(low, high, 4):
        y = axes.y(value)
        parts.append(f'<path class="grid" d="M{axes.left} {y:.1f}H{axes.right}"/>')
        parts.append(text_at(axes.left - 8, y + 4, f"{value:.4g}", "axis end"))
    for value in ticks(0.0, axes.x_end_ms, 8 if axes.right > 600 else 4):
        parts.append(text_at(axes.x(value), axes.bottom + 20, f"{value:g}", "axis middle"))
    return "".join(parts) + text_at(axes.left, axes.bottom + 40, below, "axis")


def _drawn(parts: Sequence[str], width: int, height: int, words: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(words)}">'
        f'{"".join(parts)}</svg>'
    )

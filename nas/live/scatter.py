"""Latency against quality in a few lines of characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from nas.candidate import Candidate
from nas.report.describe import drawable, figure, milliseconds
from trainers.base import Metric

_BEYOND_LIMIT = 1.15


def scatter(
    candidates: Sequence[Candidate],
    best: Sequence[Candidate],
    *,
    limit_ms: float,
    metric: Metric,
    baseline: float | None,
    width: int = 40,
    height: int = 6,
) -> Text:
    """A small picture: all candidates faint, the best bright, references as diamonds.

    The limit is a vertical line, the baseline a horizontal one. What is slower than the picture
    is wide stands at its right edge.
    """
    shown = [c for c in candidates if c.receipt and c.quality is not None and not c.rejected]
    if not shown:
        return Text("quality per latency: nothing trained yet", style="dim")
    known = [c.quality or 0.0 for c in shown] + ([] if baseline is None else [baseline])
    low, high = drawable(known)
    span = (high - low) or 1.0
    slowest_ms = max(c.latency_ms for c in shown)
    reach_ms = (slowest_ms if math.isinf(limit_ms) else limit_ms) * _BEYOND_LIMIT

    def column(latency_ms: float) -> int:
        return min(width - 1, int(min(1.0, latency_ms / reach_ms) * width))

    def row(quality: float) -> int:
        share = min(1.0, max(0.0, (quality - low) / span))
        return round((1.0 - share if metric.mode == "max" else share) * (height - 1))

    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for line in range(height):
        cells[line, column(limit_ms)] = ("│", "yellow dim")
    if baseline is not None:
        for place in range(column(limit_ms)):
            cells[row(baseline), place] = ("─", "dim")
    names = {c.name for c in best}
    order = sorted(shown, key=lambda c: (not c.is_proposal, c.name in names))
    for candidate in order:
        mark = ("·", "dim") if candidate.is_proposal else ("◆", "magenta")
        if candidate.name in names:
            mark = ("●", "green")
        cells[row(candidate.quality or 0.0), column(candidate.latency_ms)] = mark
    text = Text(no_wrap=True)
    for line in range(height):
        for place in range(width):
            sign, style = cells.get((line, place), (" ", ""))
            text.append(sign, style)
        edges = {row(low): low, row(high): high}
        text.append(f" {figure(metric, edges[line])}\n" if line in edges else "\n", "dim")
    return text.append(f"{'0 ms':<{column(limit_ms) - 6}}{milliseconds(limit_ms)}", "dim")

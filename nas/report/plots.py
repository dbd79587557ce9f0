"""The report's drawings, as inline SVG that follows the page's colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, isfinite, isinf, log10

from nas.candidate import Candidate
from nas.evidence import EXPORTED, MAIN, TRAINED
from nas.report.describe import describe, drawable, figure, milliseconds
from nas.report.funnel import Funnel, was_too_slow
from nas.report.markup import pointed
from nas.report.summary import Row, Summary
from nas.stages import corridor
from trainers.base import Metric

_FARTHEST = 1.9
"""References are drawn in place up to this multiple of the limit; slower ones at the edge."""
_LETTER = 6.4
"""Mean width of a letter of the labels, in pixels."""
_LINE = 14.0

Box = tuple[float, float, float, float]
"""(left, top, right, bottom)."""


@dataclass(frozen=True)
class Axes:
    """Where a drawing puts a latency and a quality.

    Attributes:
        left, top, right, bottom: the drawing's inner edges in pixels.
        x_end_ms: latency at the right edge; the left one is 0.
        worst, best: quality at the lower and the upper edge.
    """

    left: float
    top: float
    right: float
    bottom: float
    x_end_ms: float
    worst: float
    best: float

    def x(self, latency_ms: float) -> float:
        """Pixels from the left; what is off the drawing stands at its edge."""
        share = min(1.0, latency_ms / self.x_end_ms)
        return self.left + share * (self.right - self.left)

    def y(self, quality: float) -> float:
        """Pixels from the top; what is off the drawing stands at its edge."""
        share = (quality - self.worst) / (self.best - self.worst)
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between both, about so many."""
    raw = (high - low) / count
    power = 10.0 ** floor(log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
    first = -(-low // step)
    return [(first + k) * step for k in range(int((high - first * step) / step + 1e-9) + 1)]


def front_plot(
    candidates: Sequence[Candidate], summary: Summary, *, width: int = 920, height: int = 460
) -> str:
    """Quality against latency of everything that was trained; too slow ones as ticks below."""
    axes = _axes(candidates, summary, width, height)
    metric = summary.metric
    others = [
        c for c in candidates
        if c.quality is not None and c.receipt and c.is_proposal
        and c.name not in {row.name for row in summary.winners}
    ]
    parts = [_grid(axes, summary), _slow_ticks(candidates, axes)]
    for candidate in others:
        kind, radius = ("full", 4) if candidate.has(TRAINED) else ("brief", 3)
        parts.append(
            f'<circle class="{kind}"{pointed(candidate.name)} cx="{axes.x(_ms(candidate)):.1f}" '
            f'cy="{axes.y(candidate.quality or 0.0):.1f}" r="{radius}">'
            f"<title>{_title(candidate, metric)}</title></circle>"
        )
    parts += _winners_and_references(summary, axes)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(metric.name)} '
        f'against latency">{"".join(parts)}</svg>'
    )


def _axes(
    candidates: Sequence[Candidate], summary: Summary, width: int, height: int
) -> Axes:
    limit_ms = summary.target.max_latency_ms
    published = [r.latency_ms for r in summary.references if r.latency_ms is not None]
    if isinf(limit_ms):
        published += [_ms(c) for c in candidates if c.receipt]
    near = [ms for ms in published if ms <= limit_ms * _FARTHEST and isfinite(ms)]
    limit = [limit_ms * 1.14] if isfinite(limit_ms) else []
    x_end = max([*limit, *(ms * 1.08 for ms in near)], default=1.0)
    rows = (summary.baseline, *summary.winners, *summary.references)
    values = [row.metric for row in rows if row.metric is not None]
    values += [c.quality for c in candidates if c.has(TRAINED) and c.quality is not None]
    brief = [c.quality for c in candidates if c.quality is not None]
    if len(set(values)) < 2:
        values += brief
    low, high = drawable(values)
    pad = (high - low) * 0.12 or 1.0
    ends = (low - pad, high + pad)
    worst, best = ends if summary.metric.mode == "max" else ends[::-1]
    return Axes(54.0, 18.0, width - 16.0, height - 62.0, x_end, worst, best)


def _grid(axes: Axes, summary: Summary) -> str:
    metric, limit_ms = summary.metric, summary.target.max_latency_ms
    wide = axes.right > 600
    low, high = sorted((axes.worst, axes.best))
    levels = ticks(low, high, 6 if wide else 5)
    digits = max(0, -floor(log10(levels[1] - levels[0]) + 1e-9)) if len(levels) > 1 else 2
    parts = []
    for value in levels:
        y = axes.y(value)
        parts.append(f'<path class="grid" d="M{axes.left} {y:.1f}H{axes.right}"/>')
        parts.append(text_at(axes.left - 8, y + 4, f"{value:.{digits}f}", "axis end"))
    for value in ticks(0.0, axes.x_end_ms, 8 if wide else 5):
        parts.append(text_at(axes.x(value), axes.bottom + 28, f"{value:g}", "axis middle"))
    x, y = axes.x(limit_ms), axes.y(summary.baseline.metric or 0.0)
    parts.append(f'<rect class="beyond" x="{x:.1f}" y="{axes.top}" width="{axes.right - x:.1f}" '
                 f'height="{axes.bottom - axes.top}"/>')
    parts.append(f'<path class="limit" d="M{x:.1f} {axes.top}V{axes.bottom}"/>')
    parts.append(f'<path class="baseline" d="M{axes.left} {y:.1f}H{axes.right}"/>')
    base = f"{summary.baseline.label} {figure(metric, summary.baseline.metric or 0.0)}"
    parts.append(text_at(axes.left + 6, y + 15, base, "label soft"))
    words = f"limit {milliseconds(limit_ms)}"
    left, _, _, below = limit_box(axes, limit_ms)
    parts.append(text_at(left, below - 3, words, "label warn"))
    on = f" on {MAIN}" if summary.further else ""
    parts.append(text_at(axes.left, axes.bottom + 50, f"latency of one image{on}, ms", "axis"))
    name = f"{metric.name}, {metric.unit}" if metric.unit else metric.name
    return "".join(parts) + text_at(axes.left + 6, axes.top + 10, name, "axis")


def _ms(candidate: Candidate) -> float:
    """Its latency on the first target, which is what is drawn."""
    assert candidate.receipt is not None
    return candidate.receipt.median_ms


def limit_box(axes: Axes, limit_ms: float) -> Box:
    """Where the limit's label stands: beyond the line if it fits there, else before it."""
    x, length = axes.x(limit_ms), len(f"limit {milliseconds(limit_ms)}") * _LETTER
    left = x + 6 if x + 6 + length <= axes.right else x - 6 - length
    return left, axes.top, left + length, axes.top + _LINE


def _slow_ticks(candidates: Sequence[Candidate], axes: Axes) -> str:
    """Latencies of all proposals under the drawing; those beyond it are counted."""
    parts, beyond = [], 0
    for candidate in candidates:
        if not candidate.is_proposal or candidate.receipt is None:
            continue
        kind = "slow" if was_too_slow(candidate) else "fast"
        if _ms(candidate) > axes.x_end_ms:
            beyond += 1
            continue
        x = axes.x(_ms(candidate))
        parts.append(f'<path class="tick {kind}" d="M{x:.1f} {axes.bottom + 3}v8"/>')
    if beyond:
        words = f"{beyond} more are slower →"
        parts.append(text_at(axes.right, axes.bottom + 50, words, "warn end"))
    return "".join(parts)


def _winners_and_references(summary: Summary, axes: Axes) -> list[str]:
    metric, winners = summary.metric, summary.winners
    points = [(axes.x(r.latency_ms or 0.0), axes.y(r.metric or 0.0)) for r in winners]
    known = [r for r in summary.references if r.latency_ms is not None and r.metric is not None]
    marks = [(axes.x(r.latency_ms or 0.0), axes.y(r.metric or 0.0)) for r in known]
    parts = []
    ahead = [point for row, point in zip(winners, points, strict=True) if not row.behind]
    if len(ahead) > 1:
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in ahead)
        parts.append(f'<path class="front" d="M{line}"/>')
    parts += [
        f'<circle class="win"{pointed(row.name)} cx="{x:.1f}" cy="{y:.1f}" r="5.5">'
        f"<title>{_words(row, metric)}</title></circle>"
        for row, (x, y) in zip(winners, points, strict=True)
    ]
    parts += [
        f'<path class="ref"{pointed(row.name)} '
        f'd="M{x:.1f} {y - 6.5:.1f}l6.5 6.5-6.5 6.5-6.5-6.5z">'
        f"<title>{_words(row, metric)}</title></path>"
        for row, (x, y) in zip(known, marks, strict=True)
    ]
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in [*points, *marks]]
    taken.append(limit_box(axes, summary.target.max_latency_ms))
    for row, (x, y) in zip([*winners, *known], [*points, *marks], strict=True):
        words = f"{figure(metric, row.metric or 0.0)}" if row.kind == "winner" else row.label
        if (row.latency_ms or 0.0) > axes.x_end_ms:
            words += f" → {milliseconds(row.latency_ms or 0.0)}"
        css = "label win-label" if row.kind == "winner" else "label ref-label"
        left, baseline_y = _place(x, y, len(words) * _LETTER, axes, taken)
        parts.append(text_at(left, baseline_y, words, css))
    return parts


def _place(x: float, y: float, length: float, axes: Axes, taken: list[Box]) -> tuple[float, float]:
    """Where a label of this length collides with nothing, or with least; it is then taken."""
    spots = [
        (x - length - 7, y - 7), (x - length / 2, y - 11), (x - length / 2, y + 22),
        (x + 10, y + 16), (x + 10, y - 6), (x + 10, y + 5), (x - length - 7, y + 16),
        (x - length / 2, y - 26), (x - length / 2, y + 36),
    ]

    def collisions(spot: tuple[float, float]) -> float:
        box = _box(spot, length)
        outside = box[0] < axes.left or box[2] > axes.right or box[1] < axes.top
        return 1e6 * outside + sum(_overlap(box, other) for other in taken)

    spot = min(spots, key=collisions)
    taken.append(_box(spot, length))
    return spot


def _box(spot: tuple[float, float], length: float) -> Box:
    return spot[0], spot[1] - _LINE + 3, spot[0] + length, spot[1] + 3


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _title(candidate: Candidate, metric: Metric) -> str:
    return escape(
        f"{candidate.name}: {milliseconds(_ms(candidate))}, "
        f"{figure(metric, candidate.quality or 0.0)}, {describe(candidate.architecture)}"
    )


def _words(row: Row, metric: Metric) -> str:
    return escape(
        f"{row.label}: {milliseconds(row.latency_ms or 0.0)}, "
        f"{figure(metric, row.metric or 0.0)}, {row.description}"
    )


def text_at(x: float, y: float, words: str, css: str) -> str:
    """Words that begin at a place, or end there where the class says so."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def funnel_plot(funnel: Funnel, *, width: int = 920) -> str:
    """The funnel as bars, one under the other."""
    lines = [
        (stage.words.bar or stage.words.done, count, stage.evidence == EXPORTED)
        for stage, count in funnel.steps(corridor())
    ]
    row, gap = 30, 8
    wide = width > 600
    start, reach = (250.0, width - 310.0) if wide else (0.0, width - 60.0)
    pitch = row + gap + (0 if wide else 14)
    parts = []
    for index, (label, count, won) in enumerate(lines):
        y = index * pitch
        bar_y = y if wide else y + 16
        length = max(2.0, count / max(1, funnel.proposed) * reach)
        if wide:
            parts.append(text_at(start - 14, y + 20, label, "label end"))
        else:
            parts.append(text_at(0, y + 11, label, "label"))
        parts.append(f'<rect class="bar{" won" if won else ""}" x="{start}" y="{bar_y}" rx="3" '
                     f'width="{length:.1f}" height="{row - (0 if wide else 8)}"/>')
        number_y = bar_y + (20 if wide else 16)
        parts.append(text_at(start + length + 10, number_y, str(count), "count"))
    height = len(lines) * pitch
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="funnel">' + (
        "".join(parts) + "</svg>"
    )

"""The course of a search as a drawing: each proposal in its turn, and the best so far."""

from __future__ import annotations

from html import escape

from nas.report.describe import figure
from nas.report.markup import bullets
from nas.report.plots import Axes, text_at, ticks
from nas.report.worth import Worth
from nas.report.worth_words import terms, worth_lines
from trainers.base import Metric

_NARROW = 360


def searched(worth: Worth, metric: Metric) -> str:
    """The report's section on what the search was worth; empty where nothing can be said."""
    lines = worth_lines(worth, metric)
    if not lines:
        return ""
    wide, narrow = (course_plot(worth, metric, width=width) for width in (920, _NARROW))
    picture = ""
    if wide:
        kinds = (
            '<span><i class="key b"></i>starting points and random ones</span>'
            '<span><i class="key f"></i>guided ones</span>'
            if worth.unguided is not None
            else '<span><i class="key b"></i>proposals</span>'
        )
        picture = (
            f"<h3>{escape(metric.name)} by {escape(worth.by)}, and the best so far</h3>"
            f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
            f'<div class="legend">{kinds}<span><i class="key s"></i>refused</span></div>'
        )
    small = f'<p class="soft small">{escape(terms(worth))}</p>'
    return (
        "<h2>What the search was worth</h2>"
        f'<section class="card">{bullets(lines)}{picture}{small}</section>'
    )


def course_plot(worth: Worth, metric: Metric, *, width: int = 920, height: int = 220) -> str:
    """Metric of the proposals within the limit by their number; those refused as ticks below."""
    found = [(k, p.metric) for k, p in enumerate(worth.course, 1) if p.metric is not None]
    if len(found) < 2:
        return ""
    axes = _axes([value for _, value in found], worth.proposals, metric, width, height)
    parts = [_grid(axes, worth, metric)]
    for number, value in found:
        proposed = worth.course[number - 1]
        css = "full" if proposed.guided else "brief"
        parts.append(
            f'<circle class="{css}" cx="{axes.x(number):.1f}" cy="{axes.y(value):.1f}" r="3">'
            f"<title>proposal {number}: {escape(figure(metric, value))}</title></circle>"
        )
    parts.append(_best_so_far(axes, found, worth.proposals, metric))
    for number, proposed in enumerate(worth.course, 1):
        if proposed.metric is None:
            start = f"M{axes.x(number):.1f} {axes.bottom + 3}"
            parts.append(f'<path class="tick slow" d="{start}v7"/>')
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(metric.name)} of '
        f'each proposal in its turn">{"".join(parts)}</svg>'
    )


def _axes(values: list[float], count: int, metric: Metric, width: int, height: int) -> Axes:
    """The better three quarters fill the drawing; what is worse stands at its lower edge."""
    ranked = sorted(values, reverse=metric.mode == "max")
    best, low = ranked[0], ranked[3 * (len(ranked) - 1) // 4]
    pad = (best - low) * 0.12 or (1e-3 if metric.mode == "max" else -1e-3)
    return Axes(54.0, 14.0, width - 16.0, height - 46.0, count + 0.5, low - pad, best + pad)


def _grid(axes: Axes, worth: Worth, metric: Metric) -> str:
    low, high = sorted((axes.worst, axes.best))
    parts = []
    for value in ticks(low, high, 3):
        y = axes.y(value)
        parts.append(f'<path class="grid" d="M{axes.left} {y:.1f}H{axes.right}"/>')
        words = figure(metric, value).split(" ")[0]
        parts.append(text_at(axes.left - 8, y + 4, words, "axis end"))
    marks = ticks(0.0, float(worth.proposals), 8 if axes.right > 600 else 4)
    parts += [
        text_at(axes.x(mark), axes.bottom + 24, f"{mark:g}", "axis middle")
        for mark in marks if mark
    ]
    below = text_at(axes.left, axes.bottom + 42, "proposals, in their order", "axis")
    return "".join(parts) + below


def _best_so_far(
    axes: Axes, found: list[tuple[int, float]], count: int, metric: Metric
) -> str:
    """A line that steps up wherever something better came."""
    (number, best), *others = found
    path = f"M{axes.x(number):.1f} {axes.y(best):.1f}"
    for number, value in others:
        if metric.better(value, best):
            best = value
            path += f"H{axes.x(number):.1f}V{axes.y(best):.1f}"
    return f'<path class="front" d="{path}H{axes.x(count):.1f}"/>'

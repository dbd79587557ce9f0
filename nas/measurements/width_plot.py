"""The picture of a width sweep, as an SVG that needs nothing else, or as a page around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from nas.measurements.width_sweep import Mark, WidthPoint
from nas.report.plots import ticks

_STYLE = """\
svg{--ink:#1d2430;--soft:#6b7484;--grid:#e3e7ee;--line:#4b6bfb;--good:#12805c;--bad:#c2410c;\
--paper:#fff;font:13px system-ui,sans-serif;background:var(--paper)}\
@media(prefers-color-scheme:dark){svg{--ink:#e7ebf2;--soft:#98a2b3;--grid:#2b3240;\
--line:#8aa0ff;--good:#4fd1a1;--bad:#ff9e64;--paper:#12161d}}\
text{fill:var(--ink)}.soft{fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}\
.grid{stroke:var(--grid)}.line{fill:none;stroke:var(--line);stroke-width:2}\
.dot{fill:var(--line)}.good{fill:var(--good)}.bad{fill:var(--bad)}.title{font-weight:600}\
"""
_CLASSES: dict[Mark, str] = {
    "": "dot", "sweet spot": "dot good", "cliff": "dot bad", "no use": "dot bad",
}
_WIDTH, _PANEL, _GAP = 860.0, 200.0, 64.0
_LEFT, _RIGHT, _TOP = 70.0, 20.0, 52.0

Value = Callable[[WidthPoint], float]


def width_plot(points: Sequence[WidthPoint], *, title: str) -> str:
    """Nanoseconds per multiply-add above, milliseconds per layer below, over the counts."""
    known = [point for point in points if point.layer_ms is not None]
    height = _TOP + 2 * _PANEL + _GAP + 70
    below = _TOP + _PANEL + _GAP
    panels = (
        _panel(known, _TOP, "ns per multiply-add (lower is better)", lambda p: p.ns_per_mac or 0),
        _panel(known, below, "ms per layer, by features", lambda p: p.layer_ms or 0),
    )
    legend = "".join(
        f'<circle class="{css}" cx="{x}" cy="{height - 14}" r="5"/>'
        + _text(x + 10, height - 10, words, "soft")
        for x, css, words in (
            (_LEFT, "dot good", "sweet spot"),
            (_LEFT + 120, "dot bad", "past a cliff, or a wider one is as fast"),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>'
        f'{_text(16, 24, title, "title")}{"".join(panels)}{legend}</svg>\n'
    )


def _panel(points: Sequence[WidthPoint], top: float, label: str, value: Value) -> str:
    """One curve from zero on, a dot for each count, feature counts below."""
    highest = max((value(p) for p in points), default=1.0) * 1.08
    counts = [p.channels for p in points] or [0]
    span = max(1, counts[-1] - counts[0])

    def x(channels: int) -> float:
        return _LEFT + 12 + (channels - counts[0]) / span * (_WIDTH - _LEFT - _RIGHT - 24)

    def y(number: float) -> float:
        return top + _PANEL - number / highest * _PANEL

    parts = [_text(_LEFT, top - 8, label, "soft")]
    for level in ticks(0.0, highest, 4):
        parts.append(
            f'<path class="grid" d="M{_LEFT:g} {y(level):.1f}H{_WIDTH - _RIGHT:g}"/>'
            + _text(_LEFT - 8, y(level) + 4, f"{level:.3g}", "soft end")
        )
    line = "L".join(f"{x(p.channels):.1f} {y(value(p)):.1f}" for p in points)
    if len(points) > 1:
        parts.append(f'<path class="line" d="M{line}"/>')
    every = -(-len(points) // 20)
    for index, p in enumerate(points):
        tip = escape(f"{p.channels} features: {value(p):.4g} {label.split(' (')[0]} {p.mark}")
        parts.append(
            f'<circle class="{_CLASSES[p.mark]}" cx="{x(p.channels):.1f}" '
            f'cy="{y(value(p)):.1f}" r="5"><title>{tip}</title></circle>'
        )
        if index % every == 0:
            parts.append(_text(x(p.channels), top + _PANEL + 18, str(p.channels), "soft mid"))
    return "".join(parts)


def _text(x: float, y: float, words: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def page(svg: str, *, title: str, lines: Sequence[str]) -> str:
    """The picture and some lines of text, as one HTML file."""
    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title>'
        "<style>body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:15px system-ui;"
        "color-scheme:light dark}svg{width:100%}</style>"
        f"<h1>{escape(title)}</h1>{svg}{text}</html>\n"
    )

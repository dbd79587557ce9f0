"""The picture of work against latency, as an SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_STYLE = """\
svg{--ink:#20242a;--soft:#69707a;--grid:#e8e5df;--fp32:#9a5b13;--int8:#0f7b6c;--paper:#fff;\
font:12px system-ui,sans-serif;background:var(--paper)}\
@media(prefers-color-scheme:dark){svg{--ink:#e6e8ea;--soft:#949ca6;--grid:#2e343c;\
--fp32:#e0a458;--int8:#45c4ac;--paper:#14171b}}\
text{fill:var(--ink)}.soft{fill:var(--soft)}.end{text-anchor:end}.mid{text-anchor:middle}\
.grid{stroke:var(--grid)}.rate{stroke:var(--grid);stroke-dasharray:5 4}\
.pair{stroke:var(--soft);opacity:.4}.fp32{fill:var(--fp32)}.int8{fill:var(--int8)}\
.leader{stroke:var(--soft);opacity:.6}.title{font-weight:600;font-size:15px}.name{font-size:11px}\
"""
_WIDTH, _HEIGHT = 1100.0, 860.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 24.0, 74.0, 56.0
_LETTER, _LINE = 6.6, 12.0
_RATES = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Point:
    """One network."""

    name: str
    gmacs: float
    fp32_ms: float
    int8_ms: float
    job: str


class _Axis:
    """A logarithmic axis over whole decades or their halves."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = floor(log10(min(values)) * 2 - 0.1) / 2
        self.high = ceil(log10(max(values)) * 2 + 0.1) / 2
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        decades = range(floor(self.low), ceil(self.high) + 1)
        every = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        return [v for v in every if self.low - 1e-9 <= log10(v) <= self.high + 1e-9]


def plot(points: Sequence[Point], *, subtitle: str) -> str:
    """Multiply-adds to the right, milliseconds upwards, both logarithmic; a line joins the two
    precisions of a network."""
    x = _Axis([p.gmacs for p in points], _LEFT, _WIDTH - _RIGHT)
    every = [ms for p in points for ms in (p.fp32_ms, p.int8_ms)]
    y = _Axis(every, _HEIGHT - _BOTTOM, _TOP)
    title = "What multiply-adds predict and what the engine says"
    parts = [
        _text(16, 26, title, "title"), _text(16, 46, subtitle, "soft"),
        *_frame(x, y), *_rates(x, y),
    ]
    for p in points:
        at = x.at(p.gmacs)
        parts.append(
            f'<line class="pair" x1="{at:.1f}" x2="{at:.1f}" y1="{y.at(p.fp32_ms):.1f}" '
            f'y2="{y.at(p.int8_ms):.1f}"/>'
        )
        for kind, ms in (("fp32", p.fp32_ms), ("int8", p.int8_ms)):
            tip = f"{p.name}, {kind}: {p.gmacs:.3g} GMACs, {ms:.3g} ms"
            parts.append(
                f'<circle class="{kind}" cx="{at:.1f}" cy="{y.at(ms):.1f}" r="4">'
                f"<title>{escape(tip)}</title></circle>"
            )
    parts += _names(points, x, y) + _legend()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
        f'role="img" aria-label="{escape(title)}"><style>{_STYLE}</style>{"".join(parts)}</svg>\n'
    )


def _frame(x: _Axis, y: _Axis) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in x.ticks():
        at = x.at(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(_text(at, bottom + 18, f"{value:g}", "soft mid"))
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(_LEFT - 8, at + 4, f"{value:g}", "soft end"))
    parts.append(_text(right, bottom + 40, "billions of multiply-adds (GMACs)", "end"))
    parts.append(_text(_LEFT - 50, _TOP - 10, "ms", ""))
    return parts


def _rates(x: _Axis, y: _Axis) -> list[str]:
    """Lines of equal speed: if multiply-adds told all, every dot of a colour lay on one."""
    parts = []
    for rate in _RATES:
        ends = []
        for power in (x.low, x.high):
            ms = 10**power / rate * 1e3
            ends.append((power, log10(ms)))
        (x1, y1), (x2, y2) = ends
        low, high = max(y1, y.low), min(y2, y.high)
        if low >= high:
            continue
        left, right = x1 + low - y1, x2 - (y2 - high)
        parts.append(
            f'<line class="rate" x1="{x.at(10**left):.1f}" y1="{y.at(10**low):.1f}" '
            f'x2="{x.at(10**right):.1f}" y2="{y.at(10**high):.1f}"/>'
        )
        parts.append(
            _text(x.at(10**right) - 6, y.at(10**high) + 14, f"{rate:g} GMACs/s", "soft end name")
        )
    return parts


def _names(points: Sequence[Point], x: _Axis, y: _Axis) -> list[str]:
    """Each name as near to its lower dot as the others leave room."""
    taken = [
        (x.at(p.gmacs) - 4, y.at(ms) - 4, x.at(p.gmacs) + 4, y.at(ms) + 4)
        for p in points
        for ms in (p.fp32_ms, p.int8_ms)
    ]
    parts = []
    for p in sorted(points, key=lambda p: -p.gmacs):
        at, low = x.at(p.gmacs), max(y.at(p.int8_ms), y.at(p.fp32_ms))
        width = _LETTER * len(p.name)
        places = [
            (at + side * 7 - (width if side < 0 else 0), low + shift)
            for shift in (4, 14, -6, 24, -16, 36, 48, 60, 74, 88, 102, 118)
            for side in (1, -1)
        ]
        for left, base in places:
            box = (left, base - _LINE + 3, left + width, base + 2)
            inside = _LEFT < box[0] and box[2] < _WIDTH - 2 and box[3] < _HEIGHT - _BOTTOM
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(_leader(at, low, box) + _text(left, base, p.name, "name"))
                break
    return parts


def _leader(at: float, low: float, box: tuple[float, float, float, float]) -> str:
    """A thin line to a name that stands apart from its dot."""
    if abs(box[3] - 2 - low) < 18:
        return ""
    end = box[0] if box[0] > at else box[2]
    middle = (box[1] + box[3]) / 2
    return (
        f'<line class="leader" x1="{at:.1f}" y1="{low:.1f}" x2="{end:.1f}" y2="{middle:.1f}"/>'
    )


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return (
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    )


def _legend() -> list[str]:
    parts = []
    for at, kind in ((_WIDTH - 150, "fp32"), (_WIDTH - 84, "int8")):
        parts.append(f'<circle class="{kind}" cx="{at}" cy="42" r="5"/>')
        parts.append(_text(at + 10, 46, kind, ""))
    return parts


def _text(x: float, y: float, words: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'

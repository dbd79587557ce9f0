"""Networks by the two roofs of a device: the time for their memory, and for their arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from nas.report.describe import milliseconds


@dataclass(frozen=True)
class Spot:
    """One network.

    Attributes:
        marked: drawn with its name, for comparison.
    """

    name: str
    memory_ms: float
    compute_ms: float
    marked: bool


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis from the power `low` of ten to `high`, drawn from `start` to `end`."""

    low: int
    high: int
    start: float
    end: float

    def at(self, power: float) -> float:
        return self.start + (power - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def decades(self) -> range:
        return range(self.low, self.high + 1)


def roofs_plot(spots: Sequence[Spot], *, width: int, height: int) -> str:
    """A scatter of both times on logarithmic axes, as SVG; on the diagonal they are equal."""
    memory, compute = _decades(s.memory_ms for s in spots), _decades(s.compute_ms for s in spots)
    # A decade of the diagonal is seen, however far from it the networks are.
    start = max(memory[0], compute[0])
    x = _Axis(memory[0], max(memory[1], start + 1), 58.0, width - 14.0)
    y = _Axis(compute[0], max(compute[1], start + 1), height - 44.0, 14.0)
    end = min(x.high, y.high)
    parts = [*_grid(x, y, height)]
    parts.append(_line(x.at(start), y.at(start), x.at(end), y.at(end), css="baseline"))
    parts += [_mark(s, x.at(_power(s.memory_ms)), y.at(_power(s.compute_ms)), x) for s in spots]
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="arithmetic against memory">'
        f'{"".join(parts)}</svg>'
    )


def _decades(times_ms: Iterable[float]) -> tuple[int, int]:
    """The powers of ten between which all of these are, at least one apart."""
    powers = [_power(ms) for ms in times_ms]
    low = floor(min(powers))
    return low, max(low + 1, ceil(max(powers)))


def _power(ms: float) -> float:
    """The power of ten of a time, never below a nanosecond."""
    return log10(max(ms, 1e-6))


def _grid(x: _Axis, y: _Axis, height: int) -> list[str]:
    parts = []
    for power in x.decades:
        at, label = x.at(power), f"{10.0**power:g}"
        parts.append(_line(at, y.end, at, y.start))
        parts.append(f'<text class="axis middle" x="{at:.1f}" y="{y.start + 18}">{label}</text>')
    for power in y.decades:
        at, label = y.at(power), f"{10.0**power:g}"
        parts.append(_line(x.start, at, x.end, at))
        parts.append(f'<text class="axis end" x="{x.start - 8}" y="{at + 4:.1f}">{label}</text>')
    parts.append(f'<text class="axis end" x="{x.end}" y="{height - 6}">memory, ms</text>')
    parts.append(f'<text class="axis" x="{x.start + 6}" y="{y.end + 12}">arithmetic, ms</text>')
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, *, css: str = "grid") -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _mark(spot: Spot, x: float, y: float, axis: _Axis) -> str:
    told = f"{spot.name}: memory {milliseconds(spot.memory_ms)}, arithmetic "
    title = f"<title>{escape(told + milliseconds(spot.compute_ms))}</title>"
    if not spot.marked:
        return f'<circle class="full" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>'
    far = x > axis.start + 0.7 * (axis.end - axis.start)
    end, at = (" end", x - 10) if far else ("", x + 10)
    return (
        f'<path class="ref" d="M{x:.1f} {y - 6:.1f}l6 6-6 6-6-6z">{title}</path>'
        f'<text class="ref-label{end}" x="{at:.1f}" y="{y + 4:.1f}">{escape(spot.name)}</text>'
    )

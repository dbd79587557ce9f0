"""Which candidates are better than which: fronts of quality and latency."""

from __future__ import annotations

from collections.abc import Sequence

from nas.candidate import Candidate
from trainers.base import Metric


def dominates(one: Candidate, other: Candidate, metric: Metric) -> bool:
    """Whether `one` is at least as good and as fast, and better in one of both."""
    a, b = one.standing, other.standing
    if a is None or b is None:
        return False
    if metric.better(b, a) or one.latency_ms > other.latency_ms:
        return False
    return metric.better(a, b) or one.latency_ms < other.latency_ms


def front(candidates: Sequence[Candidate], metric: Metric) -> list[Candidate]:
    """The candidates that no other one dominates, fastest first."""
    best = [
        c for c in candidates
        if c.standing is not None and not any(dominates(o, c, metric) for o in candidates)
    ]
    return sorted(best, key=lambda c: c.latency_ms)


def best_within(
    candidates: Sequence[Candidate], limit_ms: float, metric: Metric
) -> Candidate | None:
    """The best candidate that is not slower than this, or None."""
    chosen: Candidate | None = None
    for candidate in candidates:
        if candidate.standing is None or candidate.latency_ms > limit_ms:
            continue
        if chosen is None or metric.better(candidate.standing, chosen.standing or 0.0):
            chosen = candidate
    return chosen


def hypervolume(
    points: Sequence[tuple[float, float]],
    metric: Metric,
    *,
    worst_quality: float,
    worst_latency_ms: float,
) -> float:
    """The area that these (quality, latency in ms) points dominate, in the metric's unit x ms.

    It is bounded by a quality and a latency that count for nothing, usually what is had without
    a network, and the limit. Zitzler and Thiele, PPSN V, 1998.
    """
    sign = 1 if metric.mode == "max" else -1
    area, best = 0.0, 0.0
    gains = sorted(((ms, sign * (quality - worst_quality)) for quality, ms in points))
    for latency_ms, gain in gains:
        if gain > best and latency_ms < worst_latency_ms:
            area += (gain - best) * (worst_latency_ms - latency_ms)
            best = gain
    return area

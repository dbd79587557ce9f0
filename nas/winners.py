"""Which candidates are better than which: fronts of quality and latency."""

from __future__ import annotations

from collections.abc import Sequence

from nas.candidate import Candidate
from trainers.base import Metric


def dominates(one: Candidate, other: Candidate, metric: Metric) -> bool:
    """Whether `one` is at least as good and as fast, and better in one of both."""
    a, b = one.quality, other.quality
    if a is None or b is None:
        return False
    if metric.better(b, a) or one.latency_ms > other.latency_ms:
        return False
    return metric.better(a, b) or one.latency_ms < other.latency_ms


def front(candidates: Sequence[Candidate], metric: Metric) -> list[Candidate]:
    """The candidates that no other one dominates, fastest first."""
    best = [
        c for c in candidates
        if c.quality is not None and not any(dominates(o, c, metric) for o in candidates)
    ]
    return sorted(best, key=lambda c: c.latency_ms)


def finalists(candidates: Sequence[Candidate], count: int, metric: Metric) -> list[Candidate]:
    """The `count` candidates that deserve a full training, after a short one.

    Half are the best of equal bands of latency, whatever dominates them there: a short training
    underrates slower networks, and a front needs its fast end too. The others are simply the best.
    """
    best = sorted(
        (c for c in candidates if c.quality is not None),
        key=lambda c: (c.quality or 0.0) * (-1 if metric.mode == "max" else 1),
    )
    if not best:
        return []
    bands = max(1, count // 2)
    fastest = min(c.latency_ms for c in best)
    width = (max(c.latency_ms for c in best) - fastest) / bands or 1.0
    chosen: dict[int, Candidate] = {}
    for candidate in best:
        chosen.setdefault(min(int((candidate.latency_ms - fastest) / width), bands - 1), candidate)
    return (list(chosen.values()) + [c for c in best if c not in chosen.values()])[:count]


def best_within(
    candidates: Sequence[Candidate], limit_ms: float, metric: Metric
) -> Candidate | None:
    """The best candidate that is not slower than this, or None."""
    chosen: Candidate | None = None
    for candidate in candidates:
        if candidate.quality is None or candidate.latency_ms > limit_ms:
            continue
        if chosen is None or metric.better(candidate.quality, chosen.quality or 0.0):
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

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


def ranked(candidates: Sequence[Candidate], metric: Metric) -> list[Candidate]:
    """All of them, front by front (non-dominated sorting, Deb et al., NSGA-II, 2002).

    Inside a front those with the largest gap between their neighbours come first, so that the
    first few are spread over the latencies; the ends come before all others.
    """
    rest = [c for c in candidates if c.quality is not None]
    result: list[Candidate] = []
    while rest:
        layer = front(rest, metric)
        result += sorted(layer, key=lambda c: -_gap(layer, layer.index(c)))
        rest = [c for c in rest if c not in layer]
    return result


def _gap(layer: list[Candidate], index: int) -> float:
    if index in (0, len(layer) - 1):
        return float("inf") if index else 1e9
    before, after = layer[index - 1], layer[index + 1]
    quality = abs((after.quality or 0.0) - (before.quality or 0.0))
    spread = abs((layer[-1].quality or 0.0) - (layer[0].quality or 0.0)) or 1.0
    span = layer[-1].latency_ms - layer[0].latency_ms or 1.0
    return quality / spread + (after.latency_ms - before.latency_ms) / span


def spread(candidates: Sequence[Candidate], count: int, metric: Metric) -> list[Candidate]:
    """The `count` candidates that deserve a full training: half by latency band, half by rank.

    A short training underrates slower networks: what looks dominated after 120 steps may lead in
    the end. So the best of each of `count / 2` equal bands of latency comes first, whatever
    dominates it, and the other places go by rank.
    """
    order = ranked(candidates, metric)
    if not order:
        return []
    fastest = min(c.latency_ms for c in order)
    width = (max(c.latency_ms for c in order) - fastest) / max(1, count // 2) or 1.0
    best: dict[int, Candidate] = {}
    for candidate in order:
        band = min(int((candidate.latency_ms - fastest) / width), max(0, count // 2 - 1))
        held = best.setdefault(band, candidate)
        if metric.better(candidate.quality or 0.0, held.quality or 0.0):
            best[band] = candidate
    chosen = list(best.values())
    return (chosen + [c for c in order if c not in chosen])[:count]


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

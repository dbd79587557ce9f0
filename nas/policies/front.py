"""What the evidence says at one look: who is on the front, who is the fastest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.policies.base import Known, Question
from trainers.base import Metric


def front(question: Question) -> list[Known]:
    """Those within the limit that no other one beats in quality and latency, fastest first."""
    within = [k for k in question.known if _is_within(k, question.limit_ms)]
    best: list[Known] = []
    for known in sorted(within, key=lambda k: _order(k, question.metric)):
        if not best or question.metric.better(known.quality or 0.0, best[-1].quality or 0.0):
            best.append(known)
    return best


def fastest(known: Iterable[Known]) -> Known | None:
    """The fastest of those that were timed; None when none was."""
    timed = [(k.latency_ms, k.name, k) for k in known if k.latency_ms is not None]
    return min(timed, key=lambda entry: entry[:2])[2] if timed else None


def parents(question: Question) -> Sequence[Known]:
    """The front; the fastest known while nothing is within the limit; else nobody."""
    alone = fastest(question.known)
    return front(question) or ([alone] if alone else [])


def _is_within(known: Known, limit_ms: float) -> bool:
    if known.quality is None or known.latency_ms is None:
        return False
    return known.latency_ms <= limit_ms


def _order(known: Known, metric: Metric) -> tuple[float, float]:
    quality = known.quality or 0.0
    return (known.latency_ms or 0.0, -quality if metric.mode == "max" else quality)

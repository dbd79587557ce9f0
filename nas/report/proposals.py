"""A study's proposals in their order, and the best that some of them give within each limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.candidate import Candidate, trial_of
from nas.confidence import Judged
from nas.evidence import SCREENED
from trainers.base import Metric

Judge = Callable[[Candidate], Judged | None]
"""What proposals that came equally far are compared by."""
Floats = NDArray[np.float64]
UNGUIDED = ("start", "random")
LIMITS = 16


def in_order(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The proposals that were examined, in the order in which they were made."""
    examined = (c for c in candidates if c.is_proposal and (c.has(SCREENED) or c.rejected))

    def number(candidate: Candidate) -> tuple[float, str]:
        trial = trial_of(candidate.name)
        return (float("inf") if trial is None else trial, candidate.name)

    return sorted(examined, key=number)


def is_unguided(candidate: Candidate) -> bool:
    """Whether nothing that was known led to it."""
    return candidate.origin.by in UNGUIDED


@dataclass(frozen=True)
class Field:
    """The proposals as the best that each gives within each of some limits.

    Attributes:
        values: (limits, proposals): its metric, more is better; `floor` where it is over the
            limit, was refused or is worse. The last limit is the search's own.
        floor: what three of four proposals reach that were fast enough.
        at_limit: (proposals,): the metric within the search's own limit, more is better; minus
            infinity where there is none.
        sign: 1 where more of the metric is better, else -1.
    """

    values: Floats
    floor: float
    at_limit: Floats
    sign: float

    def height(self, chosen: slice | NDArray[np.bool_]) -> float:
        """The best of some proposals, on average over the limits."""
        return float(self.values[:, chosen].max(axis=1, initial=self.floor).mean())


def field_of(
    proposals: Sequence[Candidate], metric: Metric, limit_ms: float, judge: Judge
) -> Field | None:
    """The proposals by what `judge` says; None where none was fast enough and trained."""
    sign = 1.0 if metric.mode == "max" else -1.0
    quality = np.full(len(proposals), -np.inf)
    latency_ms = np.full(len(proposals), np.inf)
    for k, candidate in enumerate(proposals):
        judged = judge(candidate)
        if judged is not None and candidate.has(SCREENED):
            quality[k], latency_ms[k] = sign * judged.metric, candidate.first_latency_ms
    fast = np.isfinite(quality) & (latency_ms <= limit_ms)
    if not fast.any():
        return None
    floor = float(np.quantile(quality[fast], 0.25))
    limits = np.linspace(np.quantile(latency_ms[fast], 0.25), limit_ms, LIMITS)
    within = latency_ms[None] <= limits[:, None]
    values = np.where(within, np.maximum(quality, floor)[None], floor)
    return Field(values, floor, np.where(fast, quality, -np.inf), sign)


def best_of(values: Floats, chosen: NDArray[np.bool_], count: int) -> Floats:
    """(limits, draws): the mean best of `count` of the chosen, over all ways to take so many.

    Args:
        values: (limits, proposals).
        chosen: (draws, proposals), equally many in each draw.
    """
    size = int(chosen[0].sum())
    # Of a sorted group, the k-th is the best of a subset in C(k - 1, count - 1) of C(size, count).
    weights = np.zeros(size + 1)
    weights[size] = share = count / size
    for rank in range(size - 1, count - 1, -1):
        share *= (rank + 1 - count) / rank
        weights[rank] = share
    means = []
    for row in values:
        order = np.argsort(row, kind="stable")
        taken = chosen[:, order]
        ranks = np.cumsum(taken, axis=1)
        means.append((taken * weights[ranks]) @ row[order])
    return np.stack(means)

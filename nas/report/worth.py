"""What a search was worth, from the order of its proposals and where they came from.

All of it is counted or resampled from the case files; nothing is modelled. Where there is too
little to tell, the part is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import median
from typing import Any

import numpy as np

from nas.candidate import Candidate
from nas.confidence import Gain, Judged, gain_over
from nas.evidence import PROBED, QUANTIZED, TRAINED
from nas.report.funnel import is_winner
from nas.report.proposals import Field, Judge, best_of, field_of, in_order, is_unguided
from nas.winners import best_within, front
from trainers.base import Metric

FEWEST_OF_A_KIND = 8
"""With fewer unguided or guided proposals than these nothing is said about guidance."""
FEWEST_PROPOSALS = 12
"""With fewer proposals than these nothing is said about more of them."""
_SHUFFLES = 1000


@dataclass(frozen=True)
class Descent:
    """How far the winners are from where the search began.

    Attributes:
        starts: winners that are starting points of the space.
        near: others that differ from a starting point in one choice, and in what follows from it.
        origins: how many winners came from what, the most frequent first.
    """

    winners: int
    starts: int
    near: int
    origins: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Guidance:
    """Guided proposals beside unguided ones, at the same count.

    A proposal that was refused counts as one that is no better than most.

    Attributes:
        count: how many of each are compared; all of the kind that has fewer.
        unguided_best: metric that the best of so many unguided proposals has on average.
        guided_best: that of as many guided ones.
        lift: how much better the guided ones are on average over all tighter limits, positive if
            better. It is the difference of hypervolumes over the width of the limits.
        chance: how often as large a lift comes out, on either side, where it is shuffled which
            proposals were guided.
    """

    unguided: int
    guided: int
    count: int
    unguided_best: float
    guided_best: float
    lift: float
    chance: float


@dataclass(frozen=True)
class InFull:
    """The best of the networks that were trained in full, beside the best that was not guided.

    Attributes:
        unguided: how many of them were starting points or random.
        best: how much better the best of all is than the best of these; None where it is of these.
        lift: how much better all are than these on average over all tighter limits.
    """

    finalists: int
    unguided: int
    best: Gain | None
    lift: float


@dataclass(frozen=True)
class Rise:
    """Whether the last third of the proposals still found something, by what ranked them.

    Attributes:
        since: the first proposal of the last third, counted from 1.
        best_at: the proposal with the best metric within the limit.
        newest_at: the last proposal that raised the front.
        best: how much better the best of all is than the best before the last third; None where
            it came before.
        lift: how much the last third raised the front on average over all tighter limits.
    """

    proposals: int
    since: int
    best_at: int
    newest_at: int
    best: Gain | None
    lift: float


@dataclass(frozen=True)
class Training:
    """What the full training brought beyond the short one, in the finalists' median.

    Attributes:
        gained: in the metric, positive if better.
        doublings: how often the steps were doubled for it.
    """

    gained: float
    doublings: float


@dataclass(frozen=True)
class Proposed:
    """One proposal in its turn.

    Attributes:
        metric: what it was compared by; None where it was refused.
        guided: whether something that was known led to it; None where that was not kept.
    """

    metric: float | None
    guided: bool | None


@dataclass(frozen=True)
class Worth:
    """What a search was worth; what cannot be told is None.

    Attributes:
        by: what proposals are compared by, in words.
        unguided: how many proposals were starting points or random; None where it was not kept.
        course: the proposals in their order.
    """

    limit_ms: float
    by: str
    unguided: int | None
    course: tuple[Proposed, ...]
    descent: Descent | None
    guidance: Guidance | None
    in_full: InFull | None
    rise: Rise | None
    training: Training | None

    @property
    def proposals(self) -> int:
        """How many were examined."""
        return len(self.course)


def by_probe(candidate: Candidate) -> Judged | None:
    """The short training's metric: all that were fast enough have it."""
    return candidate.get(PROBED)


def worth_of(
    candidates: Sequence[Candidate],
    metric: Metric,
    limit_ms: float,
    *,
    judge: Judge = by_probe,
    by: str = "the short training",
) -> Worth:
    """What the search was worth.

    Args:
        judge: what proposals are compared by, a forecast for example.
        by: that in words.
    """
    proposals = in_order(candidates)
    known = [c for c in proposals if c.origin.by]
    field = field_of(proposals, metric, limit_ms, judge)
    return Worth(
        limit_ms,
        by,
        sum(map(is_unguided, known)) if known else None,
        tuple(_proposed(c, field, k) for k, c in enumerate(proposals)),
        _descent(proposals, metric) if known else None,
        _guidance(proposals, field) if known else None,
        _in_full(proposals, metric, limit_ms) if known else None,
        _rise(proposals, metric, field, judge),
        _training(proposals, metric),
    )


def _proposed(candidate: Candidate, field: Field | None, number: int) -> Proposed:
    guided = not is_unguided(candidate) if candidate.origin.by else None
    if field is None or not np.isfinite(field.at_limit[number]):
        return Proposed(None, guided)
    return Proposed(field.sign * float(field.at_limit[number]), guided)


def _descent(proposals: Sequence[Candidate], metric: Metric) -> Descent | None:
    winners = front([c for c in proposals if is_winner(c)], metric)
    if not winners:
        return None
    starts = [c for c in proposals if c.origin.by == "start"]
    near = [
        c for c in winners
        if c.origin.by != "start"
        and any(_one_change(c.parameters, start.parameters) for start in starts)
    ]
    kinds = Counter(c.origin.by.split(" of ")[0] or "unknown" for c in winners)
    began = sum(c.origin.by == "start" for c in winners)
    return Descent(len(winners), began, len(near), tuple(kinds.most_common()))


def _one_change(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one choice that both made differs; those that follow from it may come and go."""
    return sum(bool(one[name] != other[name]) for name in one.keys() & other.keys()) == 1


def _guidance(proposals: Sequence[Candidate], field: Field | None) -> Guidance | None:
    guided = np.array([not is_unguided(c) for c in proposals])
    many, few = int(guided.sum()), int((~guided).sum())
    if field is None or min(many, few) < FEWEST_OF_A_KIND:
        return None
    count = min(many, few)
    random = np.random.default_rng(0)
    shuffled = np.stack([guided, *(random.permutation(guided) for _ in range(_SHUFFLES))])
    best = best_of(field.values, shuffled, count)
    rest = best_of(field.values, ~shuffled, count)
    lifts = (best - rest).mean(axis=0)
    # The unshuffled one counts too, so that no chance is 0 (Phipson and Smyth, "Permutation
    # P-values Should Never Be Zero", 2010).
    chance = float((np.abs(lifts) >= abs(lifts[0]) - 1e-12).mean())
    at_limit = field.sign * float(rest[-1, 0]), field.sign * float(best[-1, 0])
    return Guidance(few, many, count, *at_limit, float(lifts[0]), chance)


def _in_full(
    proposals: Sequence[Candidate], metric: Metric, limit_ms: float
) -> InFull | None:
    whole = [c for c in proposals if c.has(QUANTIZED) and not c.rejected]
    began = [c for c in whole if is_unguided(c)]
    best, without = best_within(whole, limit_ms, metric), best_within(began, limit_ms, metric)
    if best is None or without is None or best.judged is None or without.judged is None:
        return None
    field = field_of(whole, metric, limit_ms, lambda c: c.get(QUANTIZED))
    if field is None:
        return None
    chosen = np.array([is_unguided(c) for c in whole])
    gain = None if best is without else gain_over(metric, best.judged, without.judged)
    lift = field.height(slice(None)) - field.height(chosen)
    return InFull(len(whole), len(began), gain, lift)


def _rise(
    proposals: Sequence[Candidate], metric: Metric, field: Field | None, judge: Judge
) -> Rise | None:
    if field is None or len(proposals) < FEWEST_PROPOSALS:
        return None
    before = len(proposals) - len(proposals) // 3
    best_at, best_before = int(field.at_limit.argmax()), int(field.at_limit[:before].argmax())
    reached = np.maximum.accumulate(field.values, axis=1).mean(axis=0)
    raised = np.flatnonzero(np.diff(reached, prepend=field.floor) > 0)
    gain = None
    now, then = judge(proposals[best_at]), judge(proposals[best_before])
    if best_at >= before and now is not None and then is not None:
        gain = gain_over(metric, now, then)
    newest = int(raised[-1]) if len(raised) else best_at
    lift = field.height(slice(None)) - field.height(slice(before))
    return Rise(len(proposals), before + 1, best_at + 1, newest + 1, gain, lift)


def _training(proposals: Sequence[Candidate], metric: Metric) -> Training | None:
    sign = 1.0 if metric.mode == "max" else -1.0
    gained, doublings = [], []
    for candidate in proposals:
        short, full = candidate.get(PROBED), candidate.get(TRAINED)
        if short is not None and full is not None and full.steps > short.steps > 0:
            gained.append(sign * (full.metric - short.metric))
            doublings.append(log2(full.steps / short.steps))
    return Training(median(gained), median(doublings)) if gained else None

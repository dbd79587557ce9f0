"""What a comparison varies beside the policy: the short training, and who is trained in full."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.finalists import pick
from nas.forecast import Forecast
from nas.table.answers import Table
from nas.table.base import Answer, metric_at
from nas.table.features import NAMES, features
from nas.table.surrogate import spearman
from search_spaces.graph import Graph
from search_spaces.skeletons import lower

Array = NDArray[np.float64]
OWN_SPEARMAN = 0.66
"""Rank correlation of a short training with a schedule of its own and the full one, measured."""
OWN_STEPS, CUT_STEPS = 100, 200
"""Steps of a short training with a schedule of its own, as it was, and of the one that is cut."""
_WORK = NAMES.index("work")
_REACH = NAMES.index("reach")


@dataclass(frozen=True)
class Seen:
    """One proposal as a search has it before any full training, and what that would show.

    Attributes:
        probed: the metric of the short training; None where it was too slow for one.
        expected: what that lets expect of the full training.
        full: the metric of the full training; only for who has paid for it.
        screen_s, probe_s, train_s: what timing, the short and the rest of the full training cost.
    """

    graph: str
    latency_ms: float
    probed: float | None
    expected: float
    full: float
    screen_s: float
    probe_s: float
    train_s: float


class Probe:
    """A short training. Cut out of the full one, it need not be repeated; one of its own must."""

    def __init__(self, table: Table, *, own: bool) -> None:
        """Find what it says of the full metric, on the measured networks of the table."""
        self._table, self._own = table, own
        self._steps = OWN_STEPS if own else CUT_STEPS
        known = [e for e in table.entries if e.quick and e.quick.metric is not None]
        graphs = [lower(e.architecture) for e in known]
        answers = [table.answer(e.architecture) for e in known]
        self._noise = _noise_for(answers, graphs) if own else 0.0
        rows = np.stack([
            self._row(graph, self.metric(answer, graph, seed=0))
            for graph, answer in zip(graphs, answers, strict=True)
        ])
        full = np.array([answer.training.metric for answer in answers], dtype=float)
        self._weights, *_ = np.linalg.lstsq(rows, full, rcond=None)
        freedom = max(1, len(full) - rows.shape[1])
        self.doubt = float(np.sqrt(((full - rows @ self._weights) ** 2).sum() / freedom))

    def metric(self, answer: Answer, graph: Graph, *, seed: int) -> float:
        """The metric of the averaged weights after the short training."""
        noise = random.Random(f"probe {seed} {graph.canonical_hash()}").gauss(0.0, 1.0)
        return metric_at(answer.training, self._steps) + self._noise * noise

    def seen(self, answer: Answer, graph: Graph, *, seed: int, limit_ms: float) -> Seen:
        """What a search sees of a network, and what it would have to pay."""
        training = answer.training
        latency = answer.latency_ms["int8"]
        probe_s = training.train_s * self._steps / self._table.about.steps
        name = graph.canonical_hash()
        if latency > limit_ms or training.metric is None:
            return Seen(name, latency, None, 0.0, 0.0, answer.screening_s, 0.0, 0.0)
        probed = self.metric(answer, graph, seed=seed)
        expected = float(self._row(graph, probed) @ self._weights)
        rest = training.train_s - (0.0 if self._own else probe_s)
        return Seen(
            name, latency, probed, expected, training.metric, answer.screening_s, probe_s, rest
        )

    def _row(self, graph: Graph, probed: float) -> Array:
        about = self._table.about
        row = features(graph, about.height, about.width)
        return np.array([1.0, probed - about.baseline, row[_WORK], row[_REACH]])


def _noise_for(answers: Sequence[Answer], graphs: Sequence[Graph]) -> float:
    """The noise that brings the rank correlation down to that of a schedule of its own."""
    short = np.array([metric_at(a.training, OWN_STEPS) for a in answers])
    full = np.array([a.training.metric for a in answers], dtype=float)
    noise = np.random.default_rng(0).normal(size=(64, len(full)))

    def correlation(size: float) -> float:
        return float(np.mean([spearman(short + size * each, full) for each in noise]))

    low, high = 0.0, 4.0
    if correlation(low) < OWN_SPEARMAN:
        return 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if correlation(middle) > OWN_SPEARMAN else (low, middle)
    return low


Rule = Callable[[Sequence[Seen], int, "Frame"], list[Seen]]
"""Picks so many of these, which were all trained briefly, for the full training."""


@dataclass(frozen=True)
class Frame:
    """What a front is measured by: the metric without a network, the limit, the probe's doubt.

    More of the metric is better.
    """

    baseline: float
    limit_ms: float
    doubt: float


def everyone(seen: Sequence[Seen], count: int, frame: Frame) -> list[Seen]:
    """All of them, whatever that costs; the short training is not made."""
    return list(seen)


def bands(seen: Sequence[Seen], count: int, frame: Frame) -> list[Seen]:
    """Half the best of equal bands of latency, then simply the best.

    This was the search's rule before it chose by expected hypervolume, and stays here to be
    compared with.
    """
    best = sorted(seen, key=lambda s: -(s.probed or 0.0))
    if not best:
        return []
    number = max(1, count // 2)
    fastest = min(s.latency_ms for s in best)
    width = (max(s.latency_ms for s in best) - fastest) / number or 1.0
    chosen: dict[int, Seen] = {}
    for one in best:
        chosen.setdefault(min(int((one.latency_ms - fastest) / width), number - 1), one)
    return (list(chosen.values()) + [s for s in best if s not in chosen.values()])[:count]


def by_hypervolume(seen: Sequence[Seen], count: int, frame: Frame) -> list[Seen]:
    """One after the other, whoever lets expect the largest growth: the search's own rule."""
    if not seen:
        return []
    gains = [Forecast(one.expected - frame.baseline, frame.doubt) for one in seen]
    latencies = [one.latency_ms for one in seen]
    chosen = pick(latencies, gains, count, limit_ms=frame.limit_ms, aim="front")
    return [seen[i] for i in chosen]

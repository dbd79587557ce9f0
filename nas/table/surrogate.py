"""Answers for networks that nobody measured, fitted on those that somebody did.

Zela et al., "Surrogate NAS Benchmarks", ICLR 2022, showed that such a benchmark can stand in for
the search that it was made from. Here a Gaussian process on counts of the Graph, or another fit,
is made for the logarithms of the latencies, the final metric and the main components of the curve.
A fit is smoother than reality. So each network is lent the misses of one measured network like it,
all of them together: by how much its latencies and its curve are off where the fit had not seen
it. Which one follows from the network's canonical hash, so an answer never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import QuantileRegressor

from nas.table.base import Entry, TableError, Trained, metric_at
from nas.table.features import NAMES, features
from nas.table.models import Fit, Process
from search_spaces.graph import Graph

Array = NDArray[np.float64]
PRECISIONS = ("int8", "fp32")
FEWEST = 8
_COMPONENTS = 3
_LENDERS = 0.25
"""Share of the measured networks that may lend a network their misses: those most like it."""
_QUIET = 0.25
"""Training seconds are those that a quarter of the trainings stayed under: a machine that was busy
with something else only ever took longer."""
_COSTLY = [NAMES.index(name) for name in ("work", "traffic", "layers")]


@dataclass(frozen=True)
class Errors:
    """How far the fit is off on measured networks it has not seen, leaving one out at a time.

    Attributes:
        networks: how many there are.
        spearman: rank correlation of truth and answer.
        rmse: root of the mean squared error, in `unit`.
    """

    what: str
    networks: int
    spearman: float
    rmse: float
    unit: str


@dataclass(frozen=True)
class Estimate:
    """An answer of the fit.

    Attributes:
        latency_ms: by precision.
        curve: (step, metric).
        train_s: seconds of the whole training.
    """

    latency_ms: Mapping[str, float]
    curve: tuple[tuple[int, float], ...]
    train_s: float


class Surrogate:
    """The fits of one table."""

    def __init__(
        self,
        entries: Sequence[Entry],
        graphs: Sequence[Graph],
        size: tuple[int, int],
        *,
        fit: Fit = Process,
    ) -> None:
        """Fit everything.

        Args:
            size: rows and columns of the input that was timed.
            fit: makes the model of one number.

        Raises:
            TableError: too few networks.
        """
        self._size, self._fit = size, fit
        trained = [i for i, e in enumerate(entries) if e.quick and e.quick.metric is not None]
        if len(trained) < FEWEST:
            raise TableError(
                f"the table holds {len(trained)} trained networks: at least {FEWEST} are needed "
                "to answer for others"
            )
        raw = np.array([features(graph, *size) for graph in graphs])
        self._centre, self._scale = raw.mean(axis=0), raw.std(axis=0)
        self._scale[self._scale == 0] = 1.0
        rows = (raw - self._centre) / self._scale
        logs = {p: np.log([e.latency_ms[p] for e in entries]) for p in PRECISIONS}
        self._latency = {p: fit(rows, values) for p, values in logs.items()}
        self._lenders = rows[trained]
        trainings = [t for i in trained if (t := entries[i].quick)]
        self.steps, self._curves = _curves(trainings)
        self._fit_curves()
        misses = {p: logs[p] - self._latency[p].left_out() for p in PRECISIONS}
        self._lent_latency = {p: m[trained] for p, m in misses.items()}
        self._fit_errors({p: values[trained] for p, values in logs.items()})
        self._fit_seconds(trainings)

    def _fit_curves(self) -> None:
        """Fit where a training ends, and how far below that it was before, in few components."""
        final = self._curves[:, -1]
        self._behind = self._curves - final[:, None]
        count = min(_COMPONENTS, len(final) - 1, self._behind.shape[1] - 1)
        self._shapes = PCA(max(1, count)).fit(self._behind)
        parts = self._shapes.transform(self._behind)
        self._final = self._fit(self._lenders, final)
        self._parts = [self._fit(self._lenders, part) for part in parts.T]
        unseen = np.stack([p.left_out() for p in self._parts], axis=1)
        answered = self._shapes.inverse_transform(unseen) + self._final.left_out()[:, None]
        self._curve_misses = self._curves - answered

    def _fit_seconds(self, trainings: Sequence[Trained]) -> None:
        seconds = np.log([max(t.train_s, 1e-3) for t in trainings])
        self._seconds = QuantileRegressor(quantile=_QUIET, alpha=1e-3, solver="highs")
        self._seconds.fit(self._lenders[:, _COSTLY], seconds)

    def _fit_errors(self, logs: Mapping[str, Array]) -> None:
        """How far answers are off for the trained networks; slower ones are only ever rejected."""
        answered = self._curves - self._curve_misses
        found = [
            _errors(f"{p} latency", np.exp(log), np.exp(log - self._lent_latency[p]), "ms")
            for p, log in logs.items()
        ]
        found.append(_errors("final metric", self._curves[:, -1], answered[:, -1], ""))
        for step in (100, 400):
            if step in self.steps:
                at = self.steps.index(step)
                truth, answer = self._curves[:, at], answered[:, at]
                found.append(_errors(f"metric at step {step}", truth, answer, ""))
        self.errors: tuple[Errors, ...] = tuple(found)

    def seconds(self, graph: Graph) -> float:
        """Seconds of the whole training on a quiet machine."""
        row = self._row(graph)[_COSTLY]
        return float(np.exp(self._seconds.predict(row[None])[0]))

    def estimate(self, graph: Graph) -> Estimate:
        """Answer for a network, with the misses of one that is like it."""
        row = self._row(graph)
        lender = self._lender(row, graph.canonical_hash())
        latency = {
            p: float(np.exp(self._latency[p](row) + self._lent_latency[p][lender]))
            for p in PRECISIONS
        }
        parts = np.array([[part(row) for part in self._parts]])
        curve = self._shapes.inverse_transform(parts)[0] + self._final(row)
        curve = curve + self._curve_misses[lender]
        points = zip(self.steps, curve.tolist(), strict=True)
        return Estimate(latency, tuple(points), self.seconds(graph))

    def _row(self, graph: Graph) -> Array:
        return np.asarray((features(graph, *self._size) - self._centre) / self._scale)

    def _lender(self, row: Array, name: str) -> int:
        far = np.sqrt(((self._lenders - row) ** 2).sum(axis=1))
        count = max(FEWEST, round(_LENDERS * len(far)))
        likest = np.argsort(far, kind="stable")[:count]
        return int(likest[int(name[:15], 16) % len(likest)])


def _curves(trainings: Sequence[Trained]) -> tuple[list[int], Array]:
    """The steps at which every training was looked at, and the metric there; the end last."""
    common = set.intersection(*({step for step, _ in t.curve} for t in trainings))
    steps = sorted(common)
    if len(steps) < 2:
        raise TableError("the trainings of the table were not looked at after the same steps")
    return steps, np.array([[metric_at(t, step) for step in steps] for t in trainings])


def _errors(what: str, truth: Array, answer: Array, unit: str) -> Errors:
    rmse = float(np.sqrt(np.mean((truth - answer) ** 2)))
    return Errors(what, len(truth), spearman(truth, answer), rmse, unit)


def spearman(one: Array, other: Array) -> float:
    """Rank correlation; ties share their mean rank."""
    a, b = (_ranks(np.asarray(values, dtype=float)) for values in (one, other))
    spread = a.std() * b.std()
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread else 0.0


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])

"""A model of quality and latency, and the network that is expected to move the front most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, isfinite, log

import numpy as np
from numpy.typing import NDArray

from nas.policies.base import MOST, Proposal, Question
from nas.policies.improvement import Belief, expected_improvement
from nas.policies.pool import Entry, Pool
from nas.policies.regression import Settings, clipped, likeliest, predict, scaled
from nas.policies.wishes import Child, even, first_new, wish

Floats = NDArray[np.float64]
ORIGIN = "gaussian process"
_REFIT_EVERY = 8
_FEWEST = 4
_BEYOND = 1.1
"""Where there is no limit, how far beyond the slowest the front is counted."""


@dataclass(frozen=True)
class GaussianProcess:
    """Proposes what is expected to enlarge the hypervolume of the front most.

    One Gaussian process predicts the quality and one the logarithm of the latency, from what can
    be counted in a Graph. Networks that were too slow teach the second one. Those that others
    are at work on are believed to come out as predicted, so that not all workers go for one.

    Attributes:
        starts: networks before the first that is predicted, the space's own starting points among
            them.
        drawn: even draws among which one is chosen.
        mutants: mutants of the front among which one is chosen, as many of each network on it.
    """

    starts: int = 12
    drawn: int = 128
    mutants: int = 160
    _pool: Pool = field(init=False, repr=False, compare=False)
    _settings: dict[str, tuple[bytes, Settings]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Refuse to choose among nothing.

        Raises:
            ValueError: a field is out of its range; the message names it.
        """
        for name, least in (("starts", 0), ("drawn", 1), ("mutants", 0)):
            if not least <= getattr(self, name) <= MOST:
                raise ValueError(
                    f"policy.{name} is {getattr(self, name)}: it must be at least {least} and at "
                    f"most {MOST}"
                )
        object.__setattr__(self, "_pool", Pool(drawn=self.drawn, mutants=self.mutants))

    def propose(self, question: Question) -> Proposal:
        """The best of the pool; an even draw while too little is known to predict anything."""
        timed = [k for k in question.known if k.latency_ms is not None]
        if len(question.known) < self.starts or len(timed) < _FEWEST:
            return even(question)
        pool = self._pool.now(question)
        if not pool:
            return even(question)
        order = np.argsort(-self._worth(question, pool), kind="stable")
        best = first_new(question, (Child(pool[n].draw, ORIGIN) for n in order))
        return even(question) if best is None else wish(question, best)

    def _worth(self, question: Question, pool: Sequence[Entry]) -> Floats:
        """Expected growth of the front by each of the pool, (N,)."""
        entries = [(k, self._pool.of(question.space, k).row) for k in question.known]
        known = [(k, row) for k, row in entries if row is not None]
        rows = np.array([row for _, row in known])
        ahead = np.array([entry.row for entry in pool])
        sign = 1.0 if question.metric.mode == "max" else -1.0
        log_ms: Mapping[int, float] = {
            n: log(k.latency_ms) for n, (k, _) in enumerate(known) if k.latency_ms
        }
        told = {n: sign * k.quality for n, (k, _) in enumerate(known) if k.quality is not None}
        gains: Mapping[int, float] = dict(zip(told, clipped([*told.values()]), strict=True))
        pending = [n for n, (k, _) in enumerate(known) if k.pending]
        ms_mean, ms_std, log_ms = self._predicted("log_ms", log_ms, pending, rows, ahead)
        gain_mean, gain_std, gains = self._predicted("gain", gains, pending, rows, ahead)
        limit_ms = _counted(question.limit_ms, [exp(ms) for ms in log_ms.values()])
        points = [(exp(log_ms[n]), gains[n]) for n in gains if n in log_ms]
        within = [gain for ms, gain in points if ms <= limit_ms]
        return expected_improvement(
            Belief(gain_mean, gain_std, ms_mean, ms_std),
            points,
            worst_gain=min(within, default=float(gain_mean.min())),
            limit_ms=limit_ms,
        )

    def _predicted(
        self, what: str, values: Mapping[int, float], pending: Sequence[int], rows: Floats,
        ahead: Floats,
    ) -> tuple[Floats, Floats, Mapping[int, float]]:
        """Mean and deviation ahead, and the values with those that are believed of the pending.

        Args:
            values: what is known, by row.
        """
        if len(values) < _FEWEST:
            return np.zeros(len(ahead)), np.ones(len(ahead)), values
        settings = self._settings_for(what, rows[list(values)], np.array(list(values.values())))
        every = scaled(np.concatenate([rows, ahead]))
        here, ahead = every[: len(rows)], every[len(rows) :]
        awaited = [n for n in pending if n not in values]
        if awaited:
            known = np.array(list(values.values()))
            believed, _ = predict(settings, here[list(values)], known, here[awaited])
            values = {**values, **dict(zip(awaited, believed.tolist(), strict=True))}
        known = np.array(list(values.values()))
        mean, std = predict(settings, here[list(values)], known, ahead)
        return mean, std, values

    def _settings_for(self, what: str, rows: Floats, values: Floats) -> Settings:
        """The model's settings, from all evidence but the last few pieces.

        They follow from that evidence alone, so that a resumed search has the same.
        """
        count = max(len(values) // _REFIT_EVERY * _REFIT_EVERY, _FEWEST)
        evidence = rows[:count].tobytes() + values[:count].tobytes()
        before = self._settings.get(what)
        if before is None or before[0] != evidence:
            before = (evidence, likeliest(scaled(rows[:count]), values[:count]))
            self._settings[what] = before
        return before[1]


def _counted(limit_ms: float, times_ms: Sequence[float]) -> float:
    """The slowest that counts: the limit, or the fastest known while nothing is within it."""
    if not isfinite(limit_ms):
        return _BEYOND * max(times_ms)
    return max(limit_ms, min(times_ms))

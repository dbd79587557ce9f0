"""Who is trained in full: those from whom most is expected, given what is known.

After a short training a candidate's metric is a forecast with an interval, not a number. The
forecast is drawn many times; the first finalist is the best on average, and then, again and
again, the one that adds most to what the chosen ones reach together: the area that they dominate
between the baseline and the limit (expected hypervolume; Emmerich, Giannakoglou and Naujoks, IEEE
TEC 2006), or, where only the best under the limit counts, the best metric among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.candidate import Candidate
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SETTLED, TRAINED
from nas.forecast import Forecast, forecasts

if TYPE_CHECKING:
    from nas.experiment import Aim, Experiment

_DRAWS = 128
CONTENDERS = 2
"""For each finalist so many are timed again before the choice."""
_Array = NDArray[np.float64]


def contenders(experiment: Experiment, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that may become finalists, told by their probes and first receipts alone.

    They are timed again, for longer, before the choice. For each that turns out too slow then,
    or breaks the engine, the next one comes forward.
    """
    probed = {c.name: c for c in candidates if c.has(PROBED) and c.is_proposal}
    before = [_as_probed(c).without(SETTLED) for c in probed.values()]
    lost = sum(_is_lost(c, experiment) for c in probed.values())
    count = CONTENDERS * experiment.plan.finalists + lost
    return [probed[name] for name in _next(experiment, before, (), count)]


def choose_finalists(experiment: Experiment, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The finalists as far as the evidence settles them, in the order in which they were chosen.

    They are chosen in two rounds: when the first half is trained, the forecasts of the others
    are corrected by what came of it. A round is told from what was known before it alone, so
    every worker, and a search that was interrupted, comes to the same ones; the second is empty
    until all of the first are trained or rejected.
    """
    now = {c.name: c for c in contenders(experiment, candidates)}
    fast = [c for c in now.values() if not _is_lost(c, experiment)]
    chosen: list[str] = []
    for count in _rounds(experiment.plan.finalists):
        if any(not now[name].has(TRAINED) and now[name].rejected is None for name in chosen):
            break
        known = [_as_trained(c) if c.name in chosen else _as_probed(c) for c in fast]
        chosen += _next(experiment, known, chosen, count)
    return [now[name] for name in chosen]


def _is_lost(candidate: Candidate, experiment: Experiment) -> bool:
    """Whether the second timing was the end of a candidate that was fast enough at first."""
    if not all(candidate.has(SETTLED.on(name)) for name in experiment.rigs):
        return candidate.rejected is not None
    return any(
        candidate[SETTLED.on(name)].median_ms > rig.target.max_latency_ms
        for name, rig in experiment.rigs.items()
    )


def _rounds(finalists: int) -> tuple[int, int]:
    return finalists - finalists // 2, finalists // 2


def _as_probed(candidate: Candidate) -> Candidate:
    """As it was before any full training: one that was rejected later was like any other then."""
    return replace(_as_trained(candidate).without(TRAINED), rejected=None)


def _as_trained(candidate: Candidate) -> Candidate:
    return candidate.without(QUANTIZED, EXPORTED)


def _next(
    experiment: Experiment, known: Sequence[Candidate], chosen: Sequence[str], count: int
) -> list[str]:
    """The names of the next `count` beside those that are chosen."""
    if len(known) <= len(chosen):
        return []
    metric, baseline = experiment.task.metric, experiment.task.baseline()
    expected = forecasts(known, experiment)
    sign = 1.0 if metric.mode == "max" else -1.0
    gains = [
        Forecast(sign * (expected[c.name].mean - baseline), expected[c.name].sd) for c in known
    ]
    order = pick(
        [c.latency_ms for c in known],
        gains,
        count,
        limit_ms=experiment.target.max_latency_ms,
        aim=experiment.plan.aim,
        seed=experiment.plan.seed,
        taken=[index for index, c in enumerate(known) if c.name in chosen],
    )
    return [known[index].name for index in order]


def pick(
    latencies_ms: Sequence[float],
    gains: Sequence[Forecast],
    count: int,
    *,
    limit_ms: float,
    aim: Aim,
    seed: int = 0,
    taken: Sequence[int] = (),
) -> list[int]:
    """Choose, one after the other, who adds most to those that are taken.

    Args:
        latencies_ms: of each candidate.
        gains: what each is expected to gain over the baseline, larger is better.
        limit_ms: a latency that counts for nothing; candidates beyond it come last.
        seed: of the draws from the forecasts.
        taken: indices of candidates that are chosen already.

    Returns:
        Indices of at most `count` others.
    """
    ms = np.minimum(np.asarray(latencies_ms, float), limit_ms)
    means = np.array([g.mean for g in gains])
    noise = np.random.default_rng(seed).standard_normal((_DRAWS, len(gains)))
    # Their mean is that of the forecasts, however few there are.
    noise = (noise - noise.mean(0)) / noise.std(0)
    drawn = means + noise * np.array([g.sd for g in gains])
    # Where nothing is expected to beat the baseline yet, the weakest forecast is the floor.
    if means.max() <= 0:
        drawn = drawn - drawn.min()
    reached = _Reached(ms, limit_ms, aim)
    for index in taken:
        reached.add(index, drawn[:, index])
    chosen: list[int] = []
    left = [k for k in range(len(gains)) if k not in set(taken)]
    while left and len(chosen) < count:
        worth = [reached.worth(k, drawn[:, k]) for k in left]
        nothing_yet = not chosen and not taken
        best = max(range(len(left)), key=lambda i: (
            means[left[i]] if nothing_yet else worth[i], means[left[i]], -ms[left[i]]))
        index = left.pop(best)
        reached.add(index, drawn[:, index])
        chosen.append(index)
    return chosen


class _Reached:
    """What the chosen ones reach in each draw: the best gain at every latency, as steps."""

    def __init__(self, ms: _Array, limit_ms: float, aim: Aim) -> None:
        self._edges = np.unique(np.append(ms, limit_ms))
        self._widths = np.diff(self._edges)
        if aim == "best":
            # Every latency within the limit counts alike: one step, as wide as any.
            self._edges, self._widths = self._edges[-1:], np.ones(1)
            ms = np.zeros_like(ms)
        self._first = np.searchsorted(self._edges, ms)
        self._best = np.zeros((_DRAWS, len(self._widths)))

    def worth(self, index: int, drawn: _Array) -> float:
        """The mean of what this one would add over the draws."""
        first = self._first[index]
        more = np.maximum(drawn[:, None] - self._best[:, first:], 0.0)
        return float((more @ self._widths[first:]).mean())

    def add(self, index: int, drawn: _Array) -> None:
        """Count this one among the chosen."""
        first = self._first[index]
        self._best[:, first:] = np.maximum(self._best[:, first:], drawn[:, None])

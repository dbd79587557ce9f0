"""Rounds of one measurement: how they are taken, when they suffice, what they say.

One *round* is a few runs of the candidate between runs of the reference network. Rounds, not
runs, are what the interval is made of: runs of one round share what the machine did in that
moment and are no independent evidence.

A round's value is the median of its runs divided by `slowdown ** sensitivity`: the slow-down is
the reference's time around the round over its quiet time, the sensitivity is the slope of the
candidate's log times on the reference's. A network that waits for memory suffers less, or more,
from a busy neighbour on the same core than the reference does; the rounds themselves tell (the
correction by a covariate: W. G. Cochran, "Analysis of covariance", Biometrics 13, 1957).

Where enough rounds fell into quiet moments, only those count: the reference was near its quiet
time before *and* after. The reference alone chooses them, never the candidate, so that no result
is preferred. Beside a busy neighbour on two virtual cores, medians of 8 mixed networks from three
processes each differed by 11 % uncorrected and by 2 % corrected (in the median of 24 pairs); by
0.6 %, and at most 1.6 %, in the 13 pairs where quiet rounds could be chosen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from latency_models import device
from latency_models.base import Clock, CompiledModel, Sample, Verdict
from latency_models.intervals import error_at_look, looks, median_interval
from latency_models.protocol import MeasuringProtocol

Side = Literal["faster", "slower", "undecided"]
REFERENCE_RUNS = 4
_MAX_RUNS_PER_ROUND = 64
_FIRST_LOOK = 3
_ORDERED = 6
"""Rounds whose least and greatest are a 95 % interval of the median: 2 / 2 ** 6 is below 5 %."""
_CONTENTION = 1.1
_CALM = 20
"""Percentile of the rounds that counts as what the machine does when it is calm."""
_ENOUGH_QUIET = 8
_USUAL_SENSITIVITY = 0.8
_SENSITIVITY_WEIGHT = 0.36
"""Of the usual sensitivity against what the rounds say: the square of a round's noise (0.06, in
logs) over the spread between networks (0.1). Over records of 45 s four networks had 0.68 to 0.92;
taken from 3 s of rounds alone it was so far off that medians of one record differed by 3 %."""
_UNKNOWN_SENSITIVITY = 0.2
"""How wrong the sensitivity may still be, two spreads between networks. Of the answers to a limit
in two sets of replayed records (`benchmarks/latency_replay.py`) 1.6 % of the decided ones were
wrong with 0.12, 0.3 % and 2.7 % with 0.16, none (first set) with 0.2."""
_MOST_BEGUN = 3
_SHORTEST_STOP_S, _STOPPED = 1.0, 10.0
"""A round that took so long, and so many times what it should, was not run through."""
NOTABLY_FASTER = 0.97
"""A reference below this share of its quiet time was not quiet before; less is noise."""


class Rounds:
    """The rounds of one measurement and what follows from them.

    Attributes:
        samples: every run of the candidate that counts, by round.
        quiet_ms: the reference's quiet time; it falls when these rounds are clearly faster.
        side: on which side of the limit the candidate is, if a limit was given.
    """

    def __init__(
        self,
        protocol: MeasuringProtocol,
        compiled: CompiledModel,
        reference: CompiledModel,
        *,
        quiet_ms: float,
        threads: int,
    ) -> None:
        self.protocol = protocol
        self.quiet_ms = quiet_ms
        self.threads = threads
        self.samples: list[list[Sample]] = []
        self._medians_ms: list[float] = []
        self._references_ms: list[float] = []
        self._worst_ms: list[float] = []
        self.side: Side = "undecided"
        self.other_cores: float | None = None
        self._compiled = compiled
        self._reference = reference
        started = time.perf_counter()
        warm = warm_up(compiled, protocol.warmup_s)
        self.warmup_s = time.perf_counter() - started
        self.clock = clock_for(warm[0], threads)
        self._runs = round(protocol.round_s * 1e3 / max(self._median(warm), 1e-6))
        self._runs = min(_MAX_RUNS_PER_ROUND, max(1, self._runs))
        runs_ms = self._runs * float(np.median([sample.wall_ms for sample in warm]))
        self._round_s = (runs_ms + REFERENCE_RUNS * quiet_ms) / 1e3

    def until_known(self, limit_ms: float | None) -> None:
        """Take rounds until the median, or its side of the limit, is known or time is up.

        A measurement in which the process was stopped for a while (Ctrl-Z, a batch system that
        suspends the job) is begun anew: that time is not the candidate's.
        """
        for left in reversed(range(_MOST_BEGUN)):
            with self._watching_others():
                if self._taken(limit_ms, anew=left > 0):
                    return
            self._forget()

    def _taken(self, limit_ms: float | None, *, anew: bool) -> bool:
        """Take the rounds; false where they should be taken anew, if that is allowed."""
        due = looks(_FIRST_LOOK)
        look = 0
        longest_s = max(_SHORTEST_STOP_S, _STOPPED * self._round_s)
        started = time.perf_counter()
        before = self._reference.timed_runs(REFERENCE_RUNS)
        while len(self.samples) < self.protocol.max_rounds:
            began = time.perf_counter()
            before = self._round(before)
            if anew and time.perf_counter() - began > longest_s:
                return False
            asking = limit_ms is not None and self.side == "undecided"
            if limit_ms is not None and asking and len(self.samples) == due[look]:
                look += 1
                self.side = self._side(limit_ms, look)
                if self._is_at(limit_ms):
                    break
            if self._suffices(limit_ms, time.perf_counter() - started):
                break
        return True

    def _forget(self) -> None:
        for kept in (self.samples, self._medians_ms, self._references_ms, self._worst_ms):
            kept.clear()
        self.side = "undecided"

    def _suffices(self, limit_ms: float | None, spent_s: float) -> bool:
        """Whether what was asked is known, or the time for it is up."""
        protocol, count = self.protocol, len(self.samples)
        if spent_s > protocol.budget_s and count >= _FIRST_LOOK:
            return True
        if limit_ms is None:
            return count >= protocol.min_rounds and self._is_narrow(protocol.half_width)
        if self.side == "slower":
            return True
        return self.side == "faster" and self._is_ranked(spent_s)

    def _is_ranked(self, spent_s: float) -> bool:
        """Whether a candidate within the limit is known well enough to stand in a row.

        What the correction may be wrong does not count: no number of rounds makes it less.
        """
        width = self.protocol.rank_half_width
        if width is None:
            return True
        if len(self.samples) < _ORDERED:
            return False
        low, high = self._of_rounds(0.05)
        return spent_s > self.protocol.rank_s or (high - low) / 2 <= width * self.median_ms

    def _round(self, before: list[Sample]) -> list[Sample]:
        """Take one round; the reference's runs after it serve the next one as those before."""
        runs = self._compiled.timed_runs(self._runs)
        after = self._reference.timed_runs(REFERENCE_RUNS)
        self.samples.append(runs)
        self._medians_ms.append(self._median(runs))
        self._references_ms.append(self._median([*before, *after]))
        self._worst_ms.append(max(self._median(before), self._median(after)))
        calm = float(np.percentile(self._references_ms, _CALM))
        if len(self.samples) >= _FIRST_LOOK and calm < self.quiet_ms * NOTABLY_FASTER:
            self.quiet_ms = calm
        return after

    def _median(self, samples: list[Sample]) -> float:
        return float(np.median([on_clock(self.clock, sample) for sample in samples]))

    @property
    def slowdowns(self) -> NDArray[np.float64]:
        """The reference's time over its quiet one, for each round."""
        return np.asarray(self._references_ms) / self.quiet_ms

    @property
    def sensitivity(self) -> float:
        """Slope of the candidate's log times on the reference's, pulled towards the usual one.

        That is ridge regression: few rounds, or rounds that are all alike, say little about it
        (A. E. Hoerl, R. W. Kennard, Technometrics 12, 1970).
        """
        reference, own = np.log(self._references_ms), np.log(self._medians_ms)
        reference, own = reference - reference.mean(), own - own.mean()
        pull = _SENSITIVITY_WEIGHT
        slope = (reference @ own + pull * _USUAL_SENSITIVITY) / (reference @ reference + pull)
        return float(np.clip(slope, 0.0, 2.0))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which rounds count: the quiet ones where there are enough, else all."""
        quiet = np.asarray(self._worst_ms) <= self.quiet_ms * (1 + self.protocol.max_drift)
        return quiet if quiet.sum() >= _ENOUGH_QUIET else np.ones_like(quiet)

    @property
    def values(self) -> NDArray[np.float64]:
        """One corrected median for each round that counts, in ms."""
        corrected = np.asarray(self._medians_ms) / self.slowdowns**self.sensitivity
        return corrected[self.counted]

    @property
    def corrected(self) -> NDArray[np.float64]:
        """Every run of the rounds that count, corrected as its round is, in ms."""
        divisors = self.slowdowns**self.sensitivity
        return np.asarray(
            [
                on_clock(self.clock, sample) / divisor
                for runs, divisor, counts in zip(self.samples, divisors, self.counted, strict=True)
                if counts
                for sample in runs
            ]
        )

    @property
    def median_ms(self) -> float:
        """The median of the rounds."""
        return float(np.median(self.values))

    @property
    def drift(self) -> float:
        """The reference's slow-down over the whole measurement, relative."""
        return float(np.median(self.slowdowns)) - 1.0

    @property
    def spread(self) -> float:
        """How much the reference changed between the rounds: 10th to 90th percentile, relative."""
        low, middle, high = np.percentile(self.slowdowns, [10, 50, 90])
        return float((high - low) / middle)

    def median_of(self, clock: Clock) -> float:
        """The uncorrected median of all runs on this clock."""
        return float(np.median([on_clock(clock, s) for runs in self.samples for s in runs]))

    def interval(self, error: float = 0.05) -> tuple[float, float]:
        """The interval that misses the median with at most this probability.

        The less calm even the calm rounds were, the wider, by what the sensitivity may be wrong.
        """
        low, high = self._of_rounds(error)
        unknown = _UNKNOWN_SENSITIVITY * self._calm_slowdown()
        return low / (1 + unknown), high * (1 + unknown)

    def _of_rounds(self, error: float) -> tuple[float, float]:
        return median_interval(self.values.tolist(), error=error, tails=self.protocol.tails)

    def verdict(self) -> Verdict:
        """`ok` when the limit is decided or the interval is narrow enough."""
        if self.clock == "wall" and self._is_contended():
            return "contended"
        if self.side != "undecided" or self._is_narrow(self.protocol.widest_ok):
            return "ok"
        return "contended" if self._is_contended() else "unstable"

    def conditions(self, limit_ms: float | None) -> dict[str, float | str]:
        """What the rounds themselves tell about the circumstances."""
        facts: dict[str, float | str] = {
            "rounds": float(len(self.samples)),
            "rounds_counted": float(self.counted.sum()),
            "reference_ms": self.quiet_ms,
            "sensitivity": round(self.sensitivity, 3),
            "reference_spread": round(self.spread, 4),
            "wall_over_cpu": round(self.median_of("wall") / max(self.median_of("cpu"), 1e-9), 3),
        }
        if self.other_cores is not None:
            facts["other_cores_busy"] = round(self.other_cores, 2)
        if limit_ms is not None:
            facts |= {"limit_ms": limit_ms, "side": self.side}
        return facts

    def _is_narrow(self, half_width: float) -> bool:
        low, high = self.interval()
        return (high - low) / 2 <= half_width * self.median_ms

    def _calm_slowdown(self) -> float:
        """How far the calm among the rounds that count were from quiet, relative."""
        return max(0.0, float(np.percentile(self.slowdowns[self.counted], _CALM)) - 1)

    def _side(self, limit_ms: float, look: int) -> Side:
        low, high = self.interval(error_at_look(look, 1 - self.protocol.confidence))
        if high < limit_ms * (1 - self.protocol.guard):
            return "faster"
        return "slower" if low > limit_ms * (1 + self.protocol.guard) else "undecided"

    def _is_at(self, limit_ms: float) -> bool:
        """True when the median is so near the limit that no more rounds could decide."""
        low, high = self.interval()
        guard = self.protocol.guard
        return limit_ms * (1 - guard) <= low and high <= limit_ms * (1 + guard)

    def _is_contended(self) -> bool:
        """Others had the processor: it was waited for, or too few cores were left."""
        others = self.other_cores or 0.0
        crowded = others > max(0, (os.cpu_count() or 1) - self.threads) + 0.2
        waited = self.threads == 1 and self.median_of("wall") > _CONTENTION * self.median_of("cpu")
        return crowded or (waited and self.clock != "device")

    @contextmanager
    def _watching_others(self) -> Iterator[None]:
        """Find how many cores other processes kept busy meanwhile.

        The kernel counts in ticks of 10 ms: too coarse for less than 0.3 s.
        """
        wall, own, busy = time.perf_counter(), time.process_time(), device.busy_s()
        try:
            yield
        finally:
            wall = time.perf_counter() - wall
            own = time.process_time() - own
            busy_after = device.busy_s()
            if busy is not None and busy_after is not None and wall > 0.3:
                self.other_cores = max(0.0, (busy_after - busy - own) / wall)


def warm_up(compiled: CompiledModel, seconds: float) -> list[Sample]:
    """Run at least once and for this long; return the last few runs, the warmest."""
    runs: list[Sample] = []
    started = time.perf_counter()
    while not runs or time.perf_counter() - started < seconds:
        runs += compiled.timed_runs(1)
    return runs[-5:]


def clock_for(sample: Sample, threads: int) -> Clock:
    """The clock to believe: the accelerator's, the processor's for one thread, else the wall."""
    if sample.device_ms is not None:
        return "device"
    return "cpu" if threads == 1 else "wall"


def on_clock(clock: Clock, sample: Sample) -> float:
    """This sample's time on this clock, in ms."""
    if clock == "device":
        assert sample.device_ms is not None
        return sample.device_ms
    return sample.cpu_ms if clock == "cpu" else sample.wall_ms

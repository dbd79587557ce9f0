"""How often screening accepts what is too slow or refuses what is not, from recorded rounds.

    python benchmarks/screening_replay.py record records.pickle [--candidates 60] [--height 360]
    python benchmarks/screening_replay.py ask records.pickle [--limit 50 35 25 20] [--windows 4]

`record` compiles random proposals of the default space twice each, the second time in the
opposite order, and takes rounds of each for some seconds. `ask` then screens from any round on,
both ways of `screening.py`. The truth is what all rounds of the *other* compilation say. A clock
that goes by processor time stands in for the wall: the protocol sees as many rounds as it would on
a machine that nobody else uses, with the noise of the one that was recorded.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from unittest.mock import patch

import numpy as np
from screening import AT_THE_LIMIT, THOROUGH, drawn, ranks

from latency_models import device
from latency_models.base import CompiledModel, Sample
from latency_models.engines import pick_engine
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from latency_models.reference_net import reference_onnx
from latency_models.rounds import REFERENCE_RUNS, Rounds, warm_up
from nas.receipts import SCREENING

FACTORS = (1.1, 1.15, 1.25, 1.5, 2.0)


@dataclass(frozen=True)
class Record:
    """Rounds of one compilation of one network, the reference's runs after each of them."""

    seed: int
    own: list[list[Sample]]
    reference: list[list[Sample]]
    quiet_ms: float


@dataclass(frozen=True)
class Answer:
    """What one screening of a recorded network found."""

    median_ms: float
    side: str
    rounds: int
    seconds: float


def take(candidates: int, seconds: float, size: tuple[int, int]) -> list[Record]:
    """Two compilations of each candidate, one after the other through all of them and back."""
    engine, _ = pick_engine("openvino", threads=1)
    latency = MeasuredLatency(engine, SCREENING)
    quiet_ms = latency.measure(drawn(-1, engine.name, *size), "int8").conditions["reference_ms"]
    found = []
    with engine.compile(reference_onnx(), "fp32") as reference:
        for seed in [*range(candidates), *reversed(range(candidates))]:
            onnx = drawn(seed, engine.name, *size)
            with engine.compile(onnx, "int8") as compiled, device.exclusive(engine.device()):
                warm_up(reference, SCREENING.warmup_s)
                one_ms = np.median([run.cpu_ms for run in warm_up(compiled, 0.1)])
                runs = min(64, max(1, round(SCREENING.round_s * 1e3 / one_ms)))
                own, after = [], []
                until = time.perf_counter() + seconds
                while time.perf_counter() < until:
                    own.append(compiled.timed_runs(runs))
                    after.append(reference.timed_runs(REFERENCE_RUNS))
            found.append(Record(seed, own, after, float(quiet_ms)))
    return found


class _Replayed:
    """A compiled model that gives recorded runs back, round after round; a clock goes with it."""

    def __init__(self, runs: list[list[Sample]], start: int, clock: list[float]) -> None:
        self._runs, self._next, self._clock = runs, start, clock

    def timed_runs(self, count: int) -> list[Sample]:
        runs = self._runs[self._next % len(self._runs)]
        self._next += 1
        self._clock[0] += sum(run.cpu_ms for run in runs) / 1e3
        return runs


@contextmanager
def clocked(clock: list[float]) -> Iterator[None]:
    """The rounds look at this clock."""
    with patch("latency_models.rounds.time.perf_counter", lambda: clock[0]):
        yield


def asked(
    record: Record, protocol: MeasuringProtocol, start: int, limit_ms: float | None
) -> Answer:
    """What the protocol finds when it starts at this round."""
    clock = [0.0]
    with clocked(clock):
        rounds = Rounds(
            replace(protocol, warmup_s=0.0),
            cast("CompiledModel", _Replayed(record.own, start, clock)),
            cast("CompiledModel", _Replayed(record.reference, start, clock)),
            quiet_ms=record.quiet_ms,
            threads=1,
        )
        rounds.until_known(limit_ms)
    low, high = rounds.interval()
    wide = (high - low) / 2 > protocol.widest_ok * rounds.median_ms
    answer = Answer(rounds.median_ms, rounds.side, len(rounds.samples), clock[0])
    if protocol is not THOROUGH or limit_ms is None or answer.median_ms > limit_ms or not wide:
        return answer
    again = asked(record, protocol, start + answer.rounds, None)
    return replace(again, side=answer.side, seconds=answer.seconds + again.seconds)


def truth_ms(record: Record) -> float:
    """What all rounds of a record say."""
    everything = MeasuringProtocol(
        half_width=1e-9, budget_s=1e9, max_rounds=len(record.own) - 1, min_rounds=1
    )
    return asked(record, everything, 0, None).median_ms


def judge(records: Sequence[Record], limit_ms: float, windows: int) -> None:
    """Print how often each way is wrong at a limit, and what it takes."""
    truths = [truth_ms(record) for record in records]
    by_seed: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        by_seed.setdefault(record.seed, []).append(place)
    other = {a: b for one, two in by_seed.values() for a, b in ((one, two), (two, one))}
    for name, protocol in (("thoroughly", THOROUGH), ("quickly", SCREENING)):
        random = np.random.default_rng(1)
        answers = [
            (asked(record, protocol, int(random.integers(len(record.own))), limit_ms),
             truths[other[place]])
            for _ in range(windows)
            for place, record in enumerate(records)
        ]  # fmt: skip
        wrong = [
            abs(truth / limit_ms - 1) for answer, truth in answers
            if (answer.median_ms <= limit_ms) != (truth <= limit_ms)
        ]
        sure = [(a.side == "faster") == (t <= limit_ms) for a, t in answers
                if a.side != "undecided"]
        within = [(a.median_ms, t) for a, t in answers if a.median_ms <= limit_ms]
        alike = np.corrcoef(*(ranks(side) for side in zip(*within, strict=True)))[0, 1]
        errors = [abs(own / true - 1) for own, true in within]
        print(
            f"limit {limit_ms:g} ms, {name}: wrong {len(wrong) / len(answers):.1%} of "
            f"{len(answers)}, {sum(w > AT_THE_LIMIT for w in wrong)} of them further than "
            f"{AT_THE_LIMIT:.0%} from the limit; decided {len(sure) / len(answers):.0%}, "
            f"{sure.count(False)} of these wrong; rounds take "
            f"{statistics.median(a.seconds for a, _ in answers):.2f} s in the median, "
            f"{statistics.fmean(a.seconds for a, _ in answers):.2f} in the mean; within the "
            f"limit off by {statistics.median(errors):.1%} in the median, ranks alike by "
            f"{alike:.3f}",
            flush=True,
        )


def tell_tails(records: Sequence[Record]) -> None:
    """Print which share of the rounds lay beyond what multiples of their record's median."""
    values = []
    for record in records:
        own = np.array([np.median([run.cpu_ms for run in runs]) for runs in record.own])
        after = np.array([np.median([run.cpu_ms for run in runs]) for runs in record.reference])
        corrected = own / (after / record.quiet_ms) ** 0.8
        values.append(corrected / np.median(corrected))
    together = np.concatenate(values)
    print(f"{len(values)} records, {len(together)} rounds")
    for factor in FACTORS:
        worst = max(max(np.mean(v > factor), np.mean(v < 1 / factor)) for v in values)
        print(
            f"beyond {factor:g}: {np.mean(together > factor):.2%} above, "
            f"{np.mean(together < 1 / factor):.2%} below, in the worst record {worst:.0%}"
        )


def main() -> None:
    """Read the arguments; record or ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["record", "ask"])
    parser.add_argument("records", type=Path)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=2.6)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--limit", type=float, nargs="+", default=[50.0, 35.0, 25.0, 20.0])
    parser.add_argument("--windows", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.verb == "record":
        size = (arguments.height, arguments.width)
        records = take(arguments.candidates, arguments.seconds, size)
        arguments.records.write_bytes(pickle.dumps(records))
        return
    records = pickle.loads(arguments.records.read_bytes())
    tell_tails(records)
    for limit_ms in arguments.limit:
        judge(records, limit_ms, arguments.windows)


if __name__ == "__main__":
    main()

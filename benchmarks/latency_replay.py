"""How often an answer to a latency limit is wrong, from recorded rounds whose truth is known.

    python benchmarks/latency_replay.py [--nets 4] [--seconds 60] [--windows 100]

Rounds of some networks are recorded for a minute each, with whatever this machine does in that
time. The truth about a network is what the protocol says of the whole record. Then the protocol
is asked many times, starting anywhere in the record, with limits up to 10 % beside the truth; it
sees as many rounds as its budget of seconds would allow. That is what asking again and again
gives (`latency_decisions.py`), with a truth that is not itself a guess, and in seconds. What it
leaves out is what differs between processes: the protocol's guard stands for that, so limits
within it are not counted as right or wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from latency_nets import mixed_net

from latency_models import device
from latency_models.base import CompiledModel, Sample
from latency_models.engines import pick_engine
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from latency_models.reference_net import reference_onnx
from latency_models.rounds import REFERENCE_RUNS, Rounds, warm_up

OFFSETS = (0.015, 0.02, 0.03, 0.05, 0.07, 0.10)


@dataclass(frozen=True)
class Record:
    """What one network and the reference did in turns.

    Attributes:
        quiet_ms: the reference's quiet time as this machine remembers it.
        round_s: how long one round took, both together.
    """

    own: list[list[Sample]]
    reference: list[list[Sample]]
    quiet_ms: float
    round_s: float


class _Replayed:
    """A compiled model that gives recorded runs back, from some round on."""

    def __init__(self, runs: list[list[Sample]], start: int) -> None:
        self._runs: Iterator[list[Sample]] = iter(runs[start:] + runs[:start])

    def timed_runs(self, count: int) -> list[Sample]:
        return next(self._runs)


def record(engine_name: str, onnx: bytes, seconds: float) -> Record:
    """Take rounds as the protocol does, for so long."""
    engine, _ = pick_engine(engine_name)
    protocol = MeasuringProtocol()
    quiet_ms = float(MeasuredLatency(engine).measure(onnx, "fp32").conditions["reference_ms"])
    own, references = [], []
    with (
        device.exclusive(engine.device()),
        engine.compile(onnx, "fp32") as compiled,
        engine.compile(reference_onnx(), "fp32") as reference,
    ):
        warm_up(reference, protocol.warmup_s)
        warm = warm_up(compiled, protocol.warmup_s)
        median_ms = float(np.median([sample.cpu_ms for sample in warm]))
        runs = min(64, max(1, round(protocol.round_s * 1e3 / median_ms)))
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            own.append(compiled.timed_runs(runs))
            references.append(reference.timed_runs(REFERENCE_RUNS))
    return Record(own, references, quiet_ms, seconds / len(own))


def asked(
    record: Record, protocol: MeasuringProtocol, start: int, limit_ms: float | None
) -> Rounds:
    """What the protocol finds when it starts at this round."""
    rounds = Rounds(
        protocol,
        cast("CompiledModel", _Replayed(record.own, start)),
        cast("CompiledModel", _Replayed(record.reference, start)),
        quiet_ms=record.quiet_ms,
        threads=1,
    )
    rounds.until_known(limit_ms)
    return rounds


def decide(record: Record, windows: int, random: np.random.Generator) -> dict[str, Any]:
    """Ask from random starts with limits beside the truth; count the answers."""
    usual = replace(MeasuringProtocol(), warmup_s=0.0)
    count = len(record.own)
    everything = replace(usual, max_rounds=count - 1, half_width=1e-9, budget_s=600.0)
    truth_ms = asked(record, everything, 0, None).median_ms
    seen = min(usual.max_rounds, int(usual.budget_s / record.round_s))
    found: dict[str, Any] = {"truth_ms": truth_ms, "rounds": count}
    for offset in OFFSETS:
        answers = []
        for sign in (1, -1):
            for start in random.integers(0, count, windows):
                limit_ms = truth_ms * (1 + sign * offset)
                rounds = asked(record, replace(usual, max_rounds=seen), int(start), limit_ms)
                right = "faster" if sign > 0 else "slower"
                answers.append((rounds.side == right, rounds.side == "undecided",
                                len(rounds.samples) * record.round_s))
        found[str(offset)] = np.mean(answers, axis=0)
    return found


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--engine", default="openvino")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    totals: dict[str, list[Any]] = {str(offset): [] for offset in OFFSETS}
    for seed in range(arguments.nets):
        taken = record(arguments.engine, mixed_net(seed), arguments.seconds)
        found = decide(taken, arguments.windows, random)
        print(f"mixed{seed}: {found['truth_ms']:.3f} ms, {found['rounds']} rounds", flush=True)
        for offset, values in totals.items():
            values.append(found[offset])
    print(f"\n{'limit off by':>13} {'right':>7} {'wrong':>7} {'undecided':>10} {'seconds':>8}")
    for offset, values in totals.items():
        right, undecided, seconds = np.mean(values, axis=0)
        wrong = 1 - right - undecided
        print(f"{float(offset):13.1%} {right:7.1%} {wrong:7.1%} {undecided:10.1%} {seconds:8.2f}")
    rights = np.mean([values for rows in totals.values() for values in rows], axis=0)
    decided = 1 - rights[1]
    print(
        f"wrong: {1 - rights[0] - rights[1]:.2%} of all answers, "
        f"{(1 - rights[0] - rights[1]) / max(decided, 1e-9):.2%} of the decided ones (wanted: 2 %)"
    )


if __name__ == "__main__":
    main()

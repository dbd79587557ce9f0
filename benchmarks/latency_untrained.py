"""Whether a network is as fast untrained as trained: the ground that screening stands on.

    python benchmarks/latency_untrained.py runs/<study> [--networks 10] [--engines openvino ...]

Takes the trained networks of a finished study and runs each of them with random weights, with the
same file compiled once more, and with trained weights in turns, a few runs each in one process, so
that all see the same machine. What is told are the medians of the rounds' ratios to the first and
their 95 % intervals. Even the same file may differ by what two compilations do (the protocol's
guard, 1 %): trained and untrained differ where the whole interval is further from 1 than that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from latency_models import device
from latency_models.base import Clock, CompiledModel, CompileError, Engine, Precision
from latency_models.engines import pick_engine
from latency_models.intervals import median_interval
from latency_models.protocol import MeasuringProtocol
from latency_models.rounds import clock_for, on_clock, warm_up
from nas.candidate import Candidate
from nas.evidence import QUANTIZED
from nas.ledger import Ledger, load_arrays, unpack_scales
from nas.networks import rules_for
from search_spaces.onnx_writer import write
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

_ROUND_MS = 25.0
_LEAST_ROUNDS = 20
_GUARD = MeasuringProtocol().guard


def trained_file(
    home: Path, candidate: Candidate, precision: Precision, engine: str, size: tuple[int, int]
) -> bytes:
    """The candidate's own weights at this precision; int8 weights are those that were learned."""
    graph = lower(candidate.architecture)
    if precision != "int8":
        return write(graph, load_arrays(home / "fp32.npz"), height=size[0], width=size[1])
    arrays = load_arrays(home / "int8.npz")
    weights, placement, scales = unpack_scales(arrays, graph, rules_for(engine))
    return write(
        graph, weights, height=size[0], width=size[1], quantized=(placement, scales)
    )


@dataclass(frozen=True)
class Ratio:
    """Of two latencies: the median over the rounds, and its 95 % interval."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Self:
        """From one ratio a round."""
        low, high = median_interval(ratios, error=0.05)
        return cls(float(np.median(ratios)), low, high)

    @property
    def differs(self) -> bool:
        """Whether it is certainly further from 1 than two compilations of one file."""
        return self.low > 1 + _GUARD or self.high < 1 - _GUARD

    def __str__(self) -> str:
        return f"{self.middle:.4f} [{self.low:.4f}, {self.high:.4f}]"


def ratios(
    engine: Engine, before: bytes, after: bytes, precision: Precision, seconds: float
) -> tuple[float, Ratio, Ratio]:
    """Milliseconds untrained; the same file and the trained one over it.

    Raises:
        CompileError: the engine refuses the graph.
    """
    with ExitStack() as stack:
        stack.enter_context(device.exclusive(engine.device()))
        models = [
            stack.enter_context(engine.compile(file, precision))
            for file in (before, before, after)
        ]
        warm = [sample for model in models for sample in warm_up(model, 0.2)]
        clock = clock_for(warm[0], engine.threads)
        usual_ms = float(np.median([on_clock(clock, sample) for sample in warm]))
        runs = min(64, max(1, round(_ROUND_MS / usual_ms)))
        rounds: list[list[float]] = []
        started = time.perf_counter()
        while time.perf_counter() - started < seconds or len(rounds) < _LEAST_ROUNDS:
            turn = len(rounds) % len(models)
            order = [*range(turn, len(models)), *range(turn)]
            ms = {which: _median_ms(models[which], runs, clock) for which in order}
            rounds.append([ms[which] for which in range(len(models))])
    first, again, trained = zip(*rounds, strict=True)
    return (
        float(np.median(first)),
        Ratio.of([b / a for a, b in zip(first, again, strict=True)]),
        Ratio.of([b / a for a, b in zip(first, trained, strict=True)]),
    )


def _median_ms(model: CompiledModel, runs: int, clock: Clock) -> float:
    return float(np.median([on_clock(clock, sample) for sample in model.timed_runs(runs)]))


def compare(
    folder: Path, networks: int, engine_name: str, precision: Precision, seconds: float
) -> None:
    """Print one line per network and the share that agrees."""
    target = json.loads((folder / "settings.json").read_text())["target"]
    size = (int(target["height"]), int(target["width"]))
    engine, _ = pick_engine(engine_name, threads=int(target["threads"]))
    ledger = Ledger(folder)
    trained = [c for c in ledger.all() if c.has(QUANTIZED)][:networks]
    print(f"\n{engine_name} {precision}, {size[0]}x{size[1]}, {len(trained)} networks")
    agreeing, off, control = 0, [], []
    print(f"{'':>14}  {'untrained':>12}  {'the same file again':>24}  {'trained':>24}")
    for candidate in trained:
        before = untrained(
            lower(candidate.architecture), precision=precision, height=size[0], width=size[1],
            rules=rules_for(engine_name),
        )
        home = ledger.home(candidate.name)
        after = trained_file(home, candidate, precision, engine_name, size)
        try:
            ms, again, learned = ratios(engine, before, after, precision, seconds)
        except CompileError as error:
            print(f"{candidate.name:>14}  {error}")
            continue
        agreeing += not learned.differs
        off.append(abs(learned.middle - 1))
        control.append(abs(again.middle - 1))
        print(
            f"{candidate.name:>14}  {ms:9.3f} ms  {again}  {learned}"
            f"  {'DIFFER' if learned.differs else 'agree'}",
            flush=True,
        )
    if not off:
        return
    print(
        f"{agreeing} of {len(off)} agree; trained is off by {np.median(off):.2%} in the median, "
        f"{max(off):.2%} at most; the same file by {np.median(control):.2%}, {max(control):.2%}"
    )


def main() -> None:
    """Read the arguments and print one table per engine and precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each network")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"])
    arguments = parser.parse_args()
    for engine in arguments.engines:
        for precision in arguments.precisions:
            compare(
                arguments.folder, arguments.networks, engine, precision, arguments.seconds
            )


if __name__ == "__main__":
    main()

"""Whether a network is as fast untrained as trained: the ground that screening stands on.

    python benchmarks/latency_untrained.py runs/<study> [--networks 10] [--engines openvino ...]

Takes the trained networks of a finished study and runs each of them with random and with trained
weights in turns, a few runs of the one and then of the other in one process, so that both see the
same machine. What is told is the median of the rounds' ratios and its 95 % interval; they agree
when that interval holds 1, or when it lies within 1 % of it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from latency_models import device
from latency_models.base import CompiledModel, CompileError, Engine, Precision
from latency_models.engines import pick_engine
from latency_models.intervals import median_interval
from latency_models.rounds import warm_up
from nas.candidate import Candidate
from nas.ledger import Ledger, load_arrays, unpack_scales
from nas.networks import rules_for
from search_spaces.onnx_writer import write
from search_spaces.quantize import place
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

_ROUND_MS = 25.0
_LEAST_ROUNDS = 20


def trained_file(
    home: Path, candidate: Candidate, precision: Precision, engine: str, size: tuple[int, int]
) -> bytes:
    """The candidate's own weights at this precision; int8 weights are those that were learned."""
    graph = lower(candidate.architecture)
    if precision != "int8":
        return write(graph, load_arrays(home / "fp32.npz"), height=size[0], width=size[1])
    placement = place(graph, rules_for(engine))
    weights, scales = unpack_scales(load_arrays(home / "int8.npz"), placement)
    return write(
        graph, weights, height=size[0], width=size[1], quantized=(placement, scales)
    )


def ratio(
    engine: Engine, before: bytes, after: bytes, precision: Precision, seconds: float
) -> tuple[float, float, float, float]:
    """Milliseconds untrained, and trained over untrained with its 95 % interval.

    Raises:
        CompileError: the engine refuses the graph.
    """
    with (
        device.exclusive(engine.device()),
        engine.compile(before, precision) as first,
        engine.compile(after, precision) as second,
    ):
        warm = [sample for model in (first, second) for sample in warm_up(model, 0.2)]
        usual_ms = float(np.median([sample.cpu_ms for sample in warm]))
        runs = min(64, max(1, round(_ROUND_MS / usual_ms)))
        firsts: list[float] = []
        ratios: list[float] = []
        started = time.perf_counter()
        while time.perf_counter() - started < seconds or len(ratios) < _LEAST_ROUNDS:
            pair = [(first, second), (second, first)][len(ratios) % 2]
            ms = {model: _median_ms(model, runs) for model in pair}
            firsts.append(ms[first])
            ratios.append(ms[second] / ms[first])
    low, high = median_interval(ratios, error=0.05, far_factor=2.0)
    return float(np.median(firsts)), float(np.median(ratios)), low, high


def _median_ms(model: CompiledModel, runs: int) -> float:
    return float(np.median([sample.cpu_ms for sample in model.timed_runs(runs)]))


def compare(
    folder: Path, networks: int, engine_name: str, precision: Precision, seconds: float
) -> None:
    """Print one line per network and the share that agrees."""
    target = json.loads((folder / "settings.json").read_text())["target"]
    size = (int(target["height"]), int(target["width"]))
    engine, _ = pick_engine(engine_name, threads=int(target["threads"]))
    ledger = Ledger(folder)
    trained = [c for c in ledger.all() if c.quantized][:networks]
    print(f"\n{engine_name} {precision}, {size[0]}x{size[1]}, {len(trained)} networks")
    agreeing, off = 0, []
    for candidate in trained:
        before = untrained(
            lower(candidate.architecture), precision=precision, height=size[0], width=size[1],
            rules=rules_for(engine_name),
        )
        home = ledger.home(candidate.name)
        after = trained_file(home, candidate, precision, engine_name, size)
        try:
            ms, middle, low, high = ratio(engine, before, after, precision, seconds)
        except CompileError as error:
            print(f"{candidate.name:>14}  {error}")
            continue
        agrees = low <= 1 <= high or max(abs(low - 1), abs(high - 1)) <= 0.01
        agreeing += agrees
        off.append(abs(middle - 1))
        print(
            f"{candidate.name:>14}  {ms:9.3f} ms  trained / untrained {middle:.4f} "
            f"[{low:.4f}, {high:.4f}]  {'agree' if agrees else 'DIFFER'}",
            flush=True,
        )
    print(
        f"{agreeing} of {len(off)} agree; the ratio is off by {np.median(off):.2%} in the median, "
        f"{max(off):.2%} at most"
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

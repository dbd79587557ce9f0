"""Whether a network is as fast untrained as trained: the ground that screening stands on.

    python benchmarks/latency_untrained.py runs/<study> [--networks 10] [--engines openvino ...]

Takes the trained networks of a finished study and times each of them twice per engine and
precision, with random and with trained weights, in one run. They agree when their 95 % intervals
overlap or their medians differ by less than both intervals allow.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path

from latency_models.base import CompileError, LatencyReport, Precision
from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from nas.candidate import Candidate
from nas.ledger import Ledger, load_arrays, unpack_scales
from nas.networks import rules_for
from search_spaces.onnx_writer import write
from search_spaces.quantize import place
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained


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


def overlap(one: LatencyReport, other: LatencyReport) -> bool:
    """Whether the two intervals have a value in common."""
    return one.ci_low_ms <= other.ci_high_ms and other.ci_low_ms <= one.ci_high_ms


def compare(folder: Path, networks: int, engine_name: str, precision: Precision) -> None:
    """Print one line per network and the share that agrees."""
    target = json.loads((folder / "settings.json").read_text())["target"]
    size = (int(target["height"]), int(target["width"]))
    engine, _ = pick_engine(engine_name, threads=int(target["threads"]))
    ledger = Ledger(folder)
    trained = [c for c in ledger.all() if c.quantized][:networks]
    print(f"\n{engine_name} {precision}, {size[0]}x{size[1]}, {len(trained)} networks")
    agreeing = ok = 0
    with IsolatedLatency(functools.partial(MeasuredLatency, engine)) as latency:
        for candidate in trained:
            graph = lower(candidate.architecture)
            before = untrained(
                graph,
                precision=precision,
                height=size[0],
                width=size[1],
                rules=rules_for(engine_name),
            )
            home = ledger.home(candidate.name)
            try:
                first = latency.measure(before, precision)
                after = trained_file(home, candidate, precision, engine_name, size)
                second = latency.measure(after, precision)
            except CompileError as error:
                print(f"{candidate.name:>14}  {error}")
                continue
            both = first.verdict == second.verdict == "ok"
            ok += both
            agreeing += both and overlap(first, second)
            print(
                f"{candidate.name:>14}  untrained {first.median_ms:8.3f} "
                f"[{first.ci_low_ms:.3f}, {first.ci_high_ms:.3f}]  trained "
                f"{second.median_ms:8.3f} [{second.ci_low_ms:.3f}, {second.ci_high_ms:.3f}]  "
                f"{second.median_ms / first.median_ms - 1:+.2%}  "
                f"{first.verdict} {second.verdict}  {'agree' if overlap(first, second) else ''}"
            )
    print(f"{agreeing} of {ok} pairs with two ok verdicts agree within their intervals")


def main() -> None:
    """Read the arguments and print one table per engine and precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--engines", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "int8"])
    arguments = parser.parse_args()
    for engine in arguments.engines:
        for precision in arguments.precisions:
            compare(arguments.folder, arguments.networks, engine, precision)


if __name__ == "__main__":
    main()

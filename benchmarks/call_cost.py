"""What one call of OpenVINO costs beside the network: copies of the output, and who ran before.

    python benchmarks/call_cost.py ecbsr_m4c16 --size 96x160 --precision fp32
    python benchmarks/call_cost.py espcn --size 360x640 --precision int8

In turns, in one process: calls as the binding for Python makes them, which copy every output, and
calls that leave it where it is; each after another of its kind, and right after the reference
network. Lower quartiles of processor time, so that a busy machine changes both alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from latency_models.engines.ov import OpenVINOEngine
from latency_models.reference_net import reference_onnx
from nas.networks import rules_for
from nas.one_network import architecture_named
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

ROUNDS, CALLS = 80, 3


def main(network: str, height: int, width: int, precision: str) -> None:
    """Print both ways and their ratio."""
    engine = OpenVINOEngine()
    graph = lower(architecture_named(network, scale=2))
    onnx = untrained(
        graph, precision=precision, height=height, width=width, rules=rules_for("openvino")
    )
    with engine.compile(onnx, precision) as model, engine.compile(  # type: ignore[arg-type]
        reference_onnx(), "fp32"
    ) as reference:
        model.timed_runs(CALLS)
        reference.timed_runs(CALLS)
        infer = model._bound.infer
        ways = {"copied": infer, "left where it is": partial(infer, share_outputs=True)}
        warm: dict[str, list[float]] = {way: [] for way in ways}
        after: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, call in ways.items():
                call()
                warm[way] += [_spent_ms(call) for _ in range(CALLS)]
                reference.timed_runs(CALLS)
                after[way].append(_spent_ms(call))
    for way in ways:
        low, beside = np.percentile(warm[way], 25), np.percentile(after[way], 25)
        print(f"output {way}: {low:.3f} ms; after the reference network {beside / low:.3f} of it")
    ratio = np.percentile(warm["copied"], 25) / np.percentile(warm["left where it is"], 25)
    print(f"the copy costs {100 * (ratio - 1):.1f} %")


def _spent_ms(call: Callable[[], object]) -> float:
    began = time.process_time_ns()
    call()
    return (time.process_time_ns() - began) / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network")
    parser.add_argument("--size", default="360x640", help="HEIGHTxWIDTH (default: %(default)s)")
    parser.add_argument("--precision", choices=["fp32", "int8"], default="int8")
    asked = parser.parse_args()
    rows, columns = map(int, asked.size.split("x"))
    main(asked.network, rows, columns, asked.precision)

"""Candidates per second from description to latency, and where the time goes.

    python benchmarks/screening.py [--candidates 40] [--json]

Draws random proposals of the default space and screens each as a search does (untrained, int8,
360x640, one thread, against the default limit): write the file, compile it, decide and measure.
Compile and measure are told apart by the receipt; isolation and hashing are what is left.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from nas.networks import rules_for
from nas.stages import SCREENING
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.untrained import untrained


class Draw:
    """A seeded Chooser."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """Any of the integers."""
        return self._random.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Any of the choices."""
        return self._random.choice(choices)


def screen(candidates: int, limit_ms: float) -> list[dict[str, float]]:
    """Seconds of each part for each candidate."""
    engine, _ = pick_engine("auto", threads=1)
    space, rules = SuperResolutionSpace(), rules_for(engine.name)
    parts = []
    with IsolatedLatency(functools.partial(MeasuredLatency, engine, SCREENING)) as latency:
        warm = lower(space.propose(Draw(-1)))
        latency.measure(
            untrained(warm, precision="int8", height=360, width=640, rules=rules), "int8"
        )
        for seed in range(candidates):
            began = time.perf_counter()
            graph = lower(space.propose(Draw(seed)))
            onnx = untrained(graph, precision="int8", height=360, width=640, rules=rules)
            written = time.perf_counter()
            report = latency.measure(onnx, "int8", limit_ms=limit_ms)
            done = time.perf_counter()
            parts.append(
                {
                    "write_s": written - began,
                    "compile_s": report.build_s,
                    "measure_s": done - written - report.build_s,
                    "total_s": done - began,
                    "within": float(report.median_ms <= limit_ms),
                }
            )
    return parts


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--limit", type=float, default=50.0, help="ms")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    parts = screen(arguments.candidates, arguments.limit)
    keys = ("write_s", "compile_s", "measure_s", "total_s")
    means = {key: statistics.fmean(p[key] for p in parts) for key in keys}
    medians = {key: statistics.median(p[key] for p in parts) for key in keys}
    if arguments.json:
        print(json.dumps({"mean": means, "median": medians, "candidates": len(parts)}))
        return
    within = sum(p["within"] for p in parts)
    print(f"{len(parts)} candidates, {within:.0f} within {arguments.limit:g} ms")
    print(f"{1 / means['total_s']:.2f} candidates per second")
    print(f"{'part':10s} {'mean ms':>10s} {'median ms':>10s} {'share':>7s}")
    for key in keys:
        share = means[key] / means["total_s"]
        name = key.removesuffix("_s")
        print(f"{name:10s} {means[key] * 1e3:10.1f} {medians[key] * 1e3:10.1f} {share:7.1%}")


if __name__ == "__main__":
    main()

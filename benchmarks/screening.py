"""Candidates per second from description to receipt, where the time goes, and what it costs.

    python benchmarks/screening.py [--candidates 40] [--repeats 3] [--limit 50 25] [--height 360]

Random proposals of the default space are screened as a search does (untrained, int8, one thread):
write the file, compile it, decide, measure. In turns with that, and in a process of its own, the
same is done `thoroughly`: the limit is answered alone, and what is within it is measured once
more until its interval is narrow, as what may be chosen is. The turns share what the machine does
meanwhile, so that their ratio can be read on a busy one too. Processor time, of this process and
the measuring one together, is told beside: what others take away does not count in it.

The truth about a candidate is the median of everything that the other turns and the other way
found. A decision is wrong when the receipt's median is on the other side of the limit than the
truth; where the truth is within 2 % of the limit two processes seldom agree, so these are told
apart. Ranks are compared by Spearman's correlation.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latency_models.base import LatencyReport
from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas.networks import rules_for
from nas.receipts import SCREENING
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.untrained import untrained

THOROUGH = MeasuringProtocol(half_width=0.02, widest_ok=0.03, budget_s=1.2)
AT_THE_LIMIT = 0.02


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


@dataclass(frozen=True)
class Screened:
    """One screening of one candidate."""

    seed: int
    write_s: float
    total_s: float
    processor_s: float
    report: LatencyReport


def processor_s() -> float:
    """Processor time of this process and its children so far, to the kernel's ticks of 10 ms."""
    ticks = 0
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def drawn(seed: int, engine: str, height: int, width: int) -> bytes:
    """The untrained int8 file of a random proposal."""
    graph = lower(SuperResolutionSpace().propose(Draw(seed)))
    rules = rules_for(engine)
    return untrained(graph, precision="int8", height=height, width=width, rules=rules)


def quickly(latency: IsolatedLatency, onnx: bytes, limit_ms: float) -> LatencyReport:
    """As `nas.stages.screen` does."""
    return latency.measure(onnx, "int8", limit_ms=limit_ms)


def thoroughly(latency: IsolatedLatency, onnx: bytes, limit_ms: float) -> LatencyReport:
    """The side of the limit, then once more for the median of what is within."""
    report = latency.measure(onnx, "int8", limit_ms=limit_ms)
    half_width = (report.ci_high_ms - report.ci_low_ms) / 2 / report.median_ms
    if report.median_ms <= limit_ms and half_width > THOROUGH.widest_ok:
        return latency.measure(onnx, "int8")
    return report


WAYS = {"thoroughly": (THOROUGH, thoroughly), "quickly": (SCREENING, quickly)}


def screen(
    candidates: int, repeats: int, limit_ms: float, size: tuple[int, int]
) -> dict[str, list[list[Screened]]]:
    """Both ways in turns; for each way a list for each repeat."""
    engine, _ = pick_engine("auto", threads=1)
    latencies = {
        name: IsolatedLatency(functools.partial(MeasuredLatency, engine, protocol))
        for name, (protocol, _) in WAYS.items()
    }
    found: dict[str, list[list[Screened]]] = {name: [] for name in WAYS}
    for name, latency in latencies.items():
        WAYS[name][1](latency, drawn(-1, engine.name, *size), limit_ms)
    for repeat in range(repeats):
        for row in found.values():
            row.append([])
        for seed in range(candidates):
            order = list(WAYS) if (seed + repeat) % 2 else list(WAYS)[::-1]
            for name in order:
                began, spent = time.perf_counter(), processor_s()
                onnx = drawn(seed, engine.name, *size)
                written = time.perf_counter()
                report = WAYS[name][1](latencies[name], onnx, limit_ms)
                done, spent = time.perf_counter(), processor_s() - spent
                one = Screened(seed, written - began, done - began, spent, report)
                found[name][-1].append(one)
    for latency in latencies.values():
        latency.close()
    return found


def truths_ms(found: dict[str, list[list[Screened]]], left_out: list[Screened]) -> list[float]:
    """The median of what all the other turns found, for each candidate."""
    others = [row for rows in found.values() for row in rows if row is not left_out]
    by_seed = zip(*([one.report.median_ms for one in row] for row in others), strict=True)
    return [statistics.median(times) for times in by_seed]


def ranks(values: Sequence[float]) -> np.ndarray[Any, Any]:
    """The place of each value in their order."""
    return np.argsort(np.argsort(values))


def tell(name: str, found: dict[str, list[list[Screened]]], limit_ms: float) -> None:
    """Print what one way cost and how often it was wrong."""
    wrong = wrong_beside = beside = count = 0
    speeds, alike = [], []
    for row in found[name]:
        truth = truths_ms(found, row)
        times = [one.report.median_ms for one in row]
        speeds.append(1 / statistics.median(one.total_s for one in row))
        pairs = [(a, b) for a, b in zip(times, truth, strict=True) if a <= limit_ms]
        if len(pairs) > 2:
            alike.append(np.corrcoef(*(ranks(side) for side in zip(*pairs, strict=True)))[0, 1])
        for own, true in zip(times, truth, strict=True):
            missed, near = (own <= limit_ms) != (true <= limit_ms), abs(true / limit_ms - 1)
            count, wrong = count + 1, wrong + missed
            beside += near > AT_THE_LIMIT
            wrong_beside += missed and near > AT_THE_LIMIT
    every = [one for row in found[name] for one in row]
    cost = [one.processor_s for one in every]
    print(
        f"{name}: {statistics.median(speeds):.2f} candidates a second in the median "
        f"({min(speeds):.2f} to {max(speeds):.2f}), "
        f"{len(every) / sum(one.total_s for one in every):.2f} in the mean; processor "
        f"{statistics.median(cost):.2f} s each in the median, {statistics.fmean(cost):.2f} in the "
        f"mean; wrong {wrong} of "
        f"{count}, further than {AT_THE_LIMIT:.0%} from the limit {wrong_beside} of {beside}; "
        f"ranks within the limit alike by {statistics.median(alike or [float('nan')]):.3f}"
    )
    if name == "quickly":
        tell_parts(every)


def tell_parts(every: Sequence[Screened]) -> None:
    """Print where the time of one screening goes."""
    print(f"{'part':10s} {'mean ms':>9s} {'median ms':>10s}")
    parts = {
        "write": [one.write_s for one in every],
        "compile": [one.report.build_s for one in every],
        "warm-up": [one.report.warmup_s for one in every],
    }
    parts["rounds"] = [
        one.total_s - sum(part[k] for part in parts.values()) for k, one in enumerate(every)
    ]
    for name, seconds in {**parts, "all": [one.total_s for one in every]}.items():
        mean, median = statistics.fmean(seconds), statistics.median(seconds)
        print(f"{name:10s} {mean * 1e3:9.1f} {median * 1e3:10.1f}")
    rounds = [float(one.report.conditions["rounds"]) for one in every]
    print(f"{statistics.median(rounds):.0f} rounds in the median, {max(rounds):.0f} at most")


def main() -> None:
    """Read the arguments and print what was found for each limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, nargs="+", default=[50.0, 25.0], help="ms")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=640)
    arguments = parser.parse_args()
    size = (arguments.height, arguments.width)
    for limit_ms in arguments.limit:
        found = screen(arguments.candidates, arguments.repeats, limit_ms, size)
        print(f"\nlimit {limit_ms:g} ms, {size[0]}x{size[1]}, {arguments.candidates} candidates")
        for name in WAYS:
            tell(name, found, limit_ms)


if __name__ == "__main__":
    main()

"""How often the answer to a latency limit is wrong, and what a clear answer costs.

    python benchmarks/latency_decisions.py [--nets 12] [--repeats 10]

A family of networks in fine steps of width; the truth about each is the median of three full
measurements in fresh processes, taken in turns; the limit is the middle one's. Each network
within 10 % of the limit is then asked for its side by fresh processes. A network nearer to the
limit than the protocol's guard has no side that processes agree on: it is listed apart. The
targets: at most 2 % wrong; under 1 s in the median for a clearly fast or slow network.
"""

from __future__ import annotations

import argparse
import functools
import time

import numpy as np
from latency_nets import stepped_net

from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency, MeasuringProtocol, side_of


def fresh(engine_name: str) -> IsolatedLatency:
    """A process that is started for one question."""
    engine, _ = pick_engine(engine_name)
    return IsolatedLatency(functools.partial(MeasuredLatency, engine))


def truths_ms(engine_name: str, nets: dict[int, bytes]) -> dict[int, float]:
    """The median of three full measurements of each network, the networks taken in turns."""
    found: dict[int, list[float]] = {width: [] for width in nets}
    for _ in range(3):
        for width, net in nets.items():
            with fresh(engine_name) as latency:
                found[width].append(latency.measure(net, "fp32").median_ms)
    return {width: float(np.median(values)) for width, values in found.items()}


def near_the_limit(
    engine_name: str, nets: dict[int, bytes], truth: dict[int, float], limit: float, repeats: int
) -> None:
    """Print the answers near the limit, and the share of wrong ones outside the guard."""
    guard = MeasuringProtocol().guard
    wrong = decided = asked = 0
    print(
        f"\n{'width':>6} {'truth/limit':>12} {'faster':>7} {'slower':>7} {'undecided':>10} seconds"
    )
    for width, net in nets.items():
        ratio = truth[width] / limit
        if abs(ratio - 1) > 0.1:
            continue
        sides, seconds = [], []
        for _ in range(repeats):
            with fresh(engine_name) as latency:
                latency.identity()
                started = time.perf_counter()
                report = latency.measure(net, "fp32", limit_ms=limit)
                seconds.append(time.perf_counter() - started)
                sides.append(side_of(report, limit))
        counts = [sides.count(side) for side in ("faster", "slower", "undecided")]
        apart = abs(ratio - 1) <= guard
        print(
            f"{width:>6} {ratio:12.3f} {counts[0]:>7} {counts[1]:>7} {counts[2]:>10} "
            f"{np.median(seconds):7.2f}{'  (within the guard)' if apart else ''}"
        )
        if not apart:
            asked += repeats
            decided += counts[0] + counts[1]
            wrong += counts[0] if ratio > 1 else counts[1]
    print(
        f"{wrong} wrong of {decided} decided ({wrong / max(decided, 1):.1%}, wanted: 2 % at "
        f"most); {asked - decided} of {asked} left undecided"
    )


def far_from_the_limit(engine_name: str, net: bytes, truth_ms: float, repeats: int) -> None:
    """Print what a clear answer costs, in one process that is kept."""
    with fresh(engine_name) as latency:
        latency.measure(net, "fp32", limit_ms=truth_ms)
        for factor in (0.1, 0.4, 0.7, 1.4, 2.5, 10.0):
            seconds, right = [], 0
            for _ in range(repeats):
                started = time.perf_counter()
                report = latency.measure(net, "fp32", limit_ms=truth_ms * factor)
                seconds.append(time.perf_counter() - started)
                right += side_of(report, truth_ms * factor) == ("faster", "slower")[factor < 1]
            print(
                f"limit at {factor:4.1f} x the truth: {np.median(seconds):.2f} s in the median "
                f"(wanted: 1 s), {right} of {repeats} right"
            )


def main() -> None:
    """Read the arguments and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--engine", default="openvino")
    arguments = parser.parse_args()
    widths = np.linspace(40, 64, arguments.nets).astype(int)
    nets = {int(width): stepped_net(int(width)) for width in widths}
    truth = truths_ms(arguments.engine, nets)
    limit = float(np.median(list(truth.values())))
    print("truth: " + ", ".join(f"{width}: {ms:.3f} ms" for width, ms in truth.items()))
    near_the_limit(arguments.engine, nets, truth, limit, arguments.repeats)
    middle = min(nets, key=lambda width: abs(truth[width] - limit))
    far_from_the_limit(arguments.engine, nets[middle], truth[middle], arguments.repeats)


if __name__ == "__main__":
    main()

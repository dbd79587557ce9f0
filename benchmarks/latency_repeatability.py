"""How far two fresh processes differ on the same file, alone and beside a competing load.

    python benchmarks/latency_repeatability.py [--nets 20] [--engine openvino] [--quiet]

Each network is measured by two processes, each started for it alone, by the protocol whose `ok`
promises 1 %; then again, at 3 %, while two processes on the same machine multiply matrices in
bursts. The target: of the pairs whose verdicts are both `ok`, 95 % are within what was promised;
where it cannot be promised the verdict is not `ok`, which costs the share of pairs that count.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from latency_nets import mixed_net

from latency_models.base import LatencyReport
from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol

_LOAD = """
import sys, time, numpy as np
random = np.random.default_rng(int(sys.argv[1]))
a = random.random((400, 400), dtype=np.float32)
while True:
    until = time.monotonic() + random.uniform(0.05, 1.5)
    while time.monotonic() < until:
        a @ a
    time.sleep(random.uniform(0.0, 1.0))
"""


@contextmanager
def competing_load(processes: int) -> Iterator[None]:
    """Processes that compute in bursts with pauses, until the end of the block."""
    running = [
        subprocess.Popen([sys.executable, "-c", _LOAD, str(seed)]) for seed in range(processes)
    ]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def fresh_report(engine_name: str, threads: int, within: float, onnx: bytes) -> LatencyReport:
    """Measure in a process that was started for this file alone."""
    engine, _ = pick_engine(engine_name, threads=threads)
    protocol = MeasuringProtocol.within(within)
    with IsolatedLatency(functools.partial(MeasuredLatency, engine, protocol)) as latency:
        return latency.measure(onnx, "fp32")


def compare(title: str, nets: dict[str, bytes], engine: str, threads: int, target: float) -> None:
    """Print one line per network and the share of pairs within the target."""
    print(f"\n{title}\n{'net':>8} {'first ms':>10} {'second ms':>10} {'differ':>8}  verdicts")
    rounds = [
        {name: fresh_report(engine, threads, target, net) for name, net in nets.items()}
        for _ in ("first", "second")
    ]
    differences, others = [], []
    for name in nets:
        first, second = (found[name] for found in rounds)
        difference = abs(second.median_ms / first.median_ms - 1)
        if first.verdict == second.verdict == "ok":
            differences.append(difference)
        else:
            others.append(difference)
        print(
            f"{name:>8} {first.median_ms:10.3f} {second.median_ms:10.3f} {difference:8.2%}  "
            f"{first.verdict} {second.verdict}, drift {first.drift:+.1%} {second.drift:+.1%}",
            flush=True,
        )
    if others:
        print(f"{len(others)} pairs not ok: median difference {np.median(others):.2%}")
    if not differences:
        print("no pair with two ok verdicts")
        return
    within = np.mean(np.asarray(differences) <= target)
    print(
        f"{len(differences)} of {len(nets)} pairs ok; median difference "
        f"{np.median(differences):.2%}, 95th percentile {np.percentile(differences, 95):.2%}; "
        f"{within:.0%} within {target:.0%} (wanted: 95 %)"
    )


def main() -> None:
    """Read the arguments and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=20)
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="leave the busy half out")
    parser.add_argument("--load", type=int, default=2, help="competing processes")
    arguments = parser.parse_args()
    nets = {f"mixed{seed}": mixed_net(seed) for seed in range(arguments.nets)}
    compare("as the machine is", nets, arguments.engine, arguments.threads, 0.01)
    if arguments.quiet:
        return
    with competing_load(arguments.load):
        title = f"beside {arguments.load} competing processes"
        compare(title, nets, arguments.engine, arguments.threads, 0.03)


if __name__ == "__main__":
    main()

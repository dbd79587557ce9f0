"""Whether our figures agree with the engines' own tools on the same files.

    python benchmarks/latency_agreement.py [--nets 6] [--repeats 3]

OpenVINO's benchmark_app and a plain loop around ONNX Runtime's session take turns with our
measurement, each in a process of its own, so that all see the same machine. Both tools tell wall
time: on a busy machine they differ from our processor time and the table says little. The
target: ratios within 3 % in the median.
"""

from __future__ import annotations

import argparse
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from latency_nets import mixed_net

from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency

_ORT_LOOP = """
import sys, time
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
value = session.get_inputs()[0]
feed = {value.name: np.random.default_rng(0).random(value.shape, dtype=np.float32)}
for _ in range(10):
    session.run(None, feed)
times, until = [], time.perf_counter() + 2
while time.perf_counter() < until:
    started = time.perf_counter()
    session.run(None, feed)
    times.append(time.perf_counter() - started)
print(1e3 * float(np.median(times)))
"""


def ours(engine_name: str, path: Path) -> float:
    """Our median in a fresh process."""
    engine, _ = pick_engine(engine_name)
    with IsolatedLatency(functools.partial(MeasuredLatency, engine)) as latency:
        return latency.measure(path.read_bytes(), "fp32").median_ms


def benchmark_app(path: Path) -> float:
    """The median that OpenVINO's tool prints, one thread, f32, synchronous."""
    beside_python = Path(sys.executable).with_name("benchmark_app")
    tool = str(beside_python) if beside_python.exists() else shutil.which("benchmark_app")
    if tool is None:
        raise SystemExit("benchmark_app is missing: it comes with pip install openvino")
    command = [tool, "-m", str(path), "-d", "CPU", "-api", "sync", "-hint", "none", "-t", "2"]
    command += ["-nstreams", "1", "-nthreads", "1", "-infer_precision", "f32"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Median:\s*([\d.]+) ms", done.stdout)
    if found is None:
        raise SystemExit(f"benchmark_app failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(found[1])


def onnxruntime_loop(path: Path) -> float:
    """The median of a plain loop around `InferenceSession.run`."""
    command = [sys.executable, "-c", _ORT_LOOP, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare(engine: str, tool: Callable[[Path], float], nets: list[Path], repeats: int) -> None:
    """Print one line per network, and the median of how far the ratios are from one."""
    print(
        f"\n{engine} against {tool.__name__}\n{'net':>8} {'ours ms':>10} {'theirs ms':>10} ratio"
    )
    off = []
    for path in nets:
        pairs = [(ours(engine, path), tool(path)) for _ in range(repeats)]
        mine, theirs = np.median(pairs, axis=0)
        off.append(abs(mine / theirs - 1))
        print(f"{path.stem:>8} {mine:10.3f} {theirs:10.3f} {mine / theirs:.3f}")
    print(f"median distance from 1: {np.median(off):.1%} (wanted: 3 %), worst {max(off):.1%}")


def main() -> None:
    """Read the arguments and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nets = []
        for seed in range(arguments.nets):
            nets.append(Path(folder) / f"mixed{seed}.onnx")
            nets[-1].write_bytes(mixed_net(seed))
        compare("openvino", benchmark_app, nets, arguments.repeats)
        compare("onnxruntime", onnxruntime_loop, nets, arguments.repeats)


if __name__ == "__main__":
    main()

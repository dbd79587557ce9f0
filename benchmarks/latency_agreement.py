"""Whether our figures agree with the engines' own tools on the same files.

    python benchmarks/latency_agreement.py [--nets 6] [--seconds 12]

OpenVINO's benchmark_app and a plain loop around ONNX Runtime's session run beside our measurement
in slices of a tenth of a second: one process is stopped while the other goes on, so that both see
the same machine, whatever it does. What is compared is the uncorrected median on the wall clock,
which is all that the tools tell; ours must therefore equal theirs before our protocol divides the
slow-down out. The last column is what it then says. The target: ratios within 3 % in the median.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from latency_nets import mixed_net

SLICE_S = 0.1
_OURS = """
import sys
from latency_models.engines import pick_engine
from latency_models.measured import MeasuredLatency, MeasuringProtocol
from pathlib import Path
seconds = float(sys.argv[3])
protocol = MeasuringProtocol(
    half_width=1e-6, budget_s=seconds, max_rounds=100_000, round_s=0.05
)
latency = MeasuredLatency(pick_engine(sys.argv[1])[0], protocol)
report = latency.measure(Path(sys.argv[2]).read_bytes(), "fp32")
print(report.wall_median_ms, report.median_ms)
"""
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
times, until = [], time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < until:
    started = time.perf_counter()
    session.run(None, feed)
    times.append(time.perf_counter() - started)
print("Median:", 1e3 * float(np.median(times)), "ms")
"""


def ours(engine: str, path: Path, seconds: float) -> list[str]:
    """The command that measures with our protocol and prints both medians."""
    return [sys.executable, "-c", _OURS, engine, str(path), str(seconds)]


def benchmark_app(path: Path, seconds: float) -> list[str]:
    """OpenVINO's tool: one thread, f32, synchronous."""
    beside_python = Path(sys.executable).with_name("benchmark_app")
    tool = str(beside_python) if beside_python.exists() else shutil.which("benchmark_app")
    if tool is None:
        raise SystemExit("benchmark_app is missing: it comes with pip install openvino")
    command = [tool, "-m", str(path), "-d", "CPU", "-api", "sync", "-hint", "none"]
    command += ["-nstreams", "1", "-nthreads", "1", "-infer_precision", "f32"]
    return [*command, "-t", str(round(seconds))]


def onnxruntime_loop(path: Path, seconds: float) -> list[str]:
    """A plain loop around `InferenceSession.run`."""
    return [sys.executable, "-c", _ORT_LOOP, str(path), str(seconds)]


def sliced(commands: Sequence[Sequence[str]]) -> list[str]:
    """Run all commands at once, but only one at a time goes on; return what each printed."""
    running = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
        for command in commands
    ]
    for process in running:
        os.killpg(process.pid, signal.SIGSTOP)
    for process in itertools.cycle(running):
        if all(other.poll() is not None for other in running):
            break
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGCONT)
            time.sleep(SLICE_S)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGSTOP)
    return [process.communicate()[0] for process in running]


def compare(
    engine: str, tool: Callable[[Path, float], list[str]], nets: list[Path], seconds: float
) -> None:
    """Print one line per network, and the median of how far the ratios are from one."""
    print(
        f"\n{engine} against {tool.__name__}\n{'net':>8} {'ours ms':>10} {'theirs ms':>10} "
        f"{'ratio':>6} {'corrected ms':>13}"
    )
    off = []
    for path in nets:
        mine, theirs = sliced([ours(engine, path, seconds), tool(path, seconds)])
        found = re.search(r"Median:\s*([\d.]+) ms", theirs)
        if found is None:
            raise SystemExit(f"{tool.__name__} failed:\n{theirs[-2000:]}")
        try:
            wall_ms, corrected_ms = (float(word) for word in mine.split()[-2:])
        except ValueError:
            raise SystemExit(f"our measurement failed:\n{mine[-2000:]}") from None
        ratio = wall_ms / float(found[1])
        off.append(abs(ratio - 1))
        print(
            f"{path.stem:>8} {wall_ms:10.3f} {float(found[1]):10.3f} {ratio:6.3f} "
            f"{corrected_ms:13.3f}",
            flush=True,
        )
    print(f"median distance from 1: {np.median(off):.1%} (wanted: 3 %), worst {max(off):.1%}")


def main() -> None:
    """Read the arguments and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each, both together")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        nets = []
        for seed in range(arguments.nets):
            nets.append(Path(folder) / f"mixed{seed}.onnx")
            nets[-1].write_bytes(mixed_net(seed))
        compare("openvino", benchmark_app, nets, arguments.seconds)
        compare("onnxruntime", onnxruntime_loop, nets, arguments.seconds)


if __name__ == "__main__":
    main()

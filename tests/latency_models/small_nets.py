"""Small ONNX networks and engines that misbehave, for the tests of this folder."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from latency_models.base import CompileError, Frames, LatencyReport, Layer, Precision, Sample


def conv_net(
    *, channels: int = 16, size: int = 32, layers: int = 3, int8: bool = False, seed: int = 0
) -> bytes:
    """A chain of 3x3 convolutions with ReLU on (1, 3, size, size); int8 by TensorRT's rules."""
    random = np.random.default_rng(seed)
    nodes: list[Any] = []
    values: dict[str, np.ndarray] = {}
    x, fan_in = "x", 3
    for i in range(layers):
        w = (random.standard_normal((channels, fan_in, 3, 3)) * 0.1).astype(np.float32)
        values[f"b{i}"] = np.full(channels, 0.1, np.float32)
        if int8:
            values |= {
                f"s{i}": np.array(0.02, np.float32),
                f"z{i}": np.array(0, np.int8),
                f"wq{i}": np.clip(np.round(w / 0.005), -127, 127).astype(np.int8),
                f"ws{i}": np.full(channels, 0.005, np.float32),
                f"wz{i}": np.zeros(channels, np.int8),
            }
            nodes += [
                helper.make_node("QuantizeLinear", [x, f"s{i}", f"z{i}"], [f"q{i}"]),
                helper.make_node("DequantizeLinear", [f"q{i}", f"s{i}", f"z{i}"], [f"d{i}"]),
                helper.make_node(
                    "DequantizeLinear", [f"wq{i}", f"ws{i}", f"wz{i}"], [f"w{i}"], axis=0
                ),
            ]
            x = f"d{i}"
        else:
            values[f"w{i}"] = w
        nodes += [
            helper.make_node(
                "Conv",
                [x, f"w{i}", f"b{i}"],
                [f"c{i}"],
                name=f"conv{i}",
                kernel_shape=[3, 3],
                pads=[1] * 4,
            ),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"], name=f"relu{i}"),
        ]
        x, fan_in = f"r{i}", channels
    return finished(nodes, values, x, [1, 3, size, size], [1, channels, size, size])


def finished(
    nodes: Sequence[Any],
    values: dict[str, np.ndarray],
    output: str,
    input_shape: Sequence[int | str],
    output_shape: Sequence[int | str],
) -> bytes:
    """Put nodes and weights into a file."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(input_shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, list(output_shape))],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def report(**changes: Any) -> LatencyReport:
    """A full receipt of 10 ms, with these fields changed."""
    fields: dict[str, Any] = {
        "median_ms": 10.0,
        "p5_ms": 9.5,
        "p95_ms": 11.0,
        "p99_ms": 12.0,
        "ci_low_ms": 9.9,
        "ci_high_ms": 10.1,
        "samples": 40,
        "warmup_s": 0.1,
        "clock": "cpu",
        "wall_median_ms": 10.0,
        "cpu_median_ms": 10.0,
        "batch_size": 1,
        "input_shape": (1, 3, 8, 8),
        "precision": "fp32",
        "engine": "fake",
        "engine_version": "1",
        "device": "fake device",
        "threads": 1,
        "build_s": 0.1,
        "peak_memory_mib": 1.0,
        "engine_bytes": 10,
        "layers_before": 3,
        "layers_after": 2,
        "onnx_sha256": "0" * 64,
        "drift": 0.0,
        "verdict": "ok",
    }
    return LatencyReport(**{**fields, **changes})


@dataclass
class Stream:
    """A compiled model that takes no time and draws its samples: `draw(run number)` in ms."""

    draw: Callable[[int], float]
    wall_factor: float = 1.0
    runs: int = 0
    engine_bytes: int = 0
    peak_memory_mib: float | None = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.asarray(inputs[0])]

    def timed_runs(self, count: int) -> list[Sample]:
        values = [self.draw(self.runs + i) for i in range(count)]
        self.runs += count
        return [Sample(wall_ms=v * self.wall_factor, cpu_ms=v) for v in values]

    def layers(self, *, timed: bool = False) -> list[Layer]:
        return [Layer(name="all", kind="Fake", precision="f32")]


@dataclass
class FakeEngine:
    """Compiles the reference to one stream and every other file to another."""

    reference: Callable[[], Stream]
    candidate: Callable[[], Stream]
    threads: int = 1
    name: str = "fake"
    _compiled: list[bytes] = field(default_factory=list)

    def available(self) -> str | None:
        return None

    def version(self) -> str:
        return "1"

    def device(self) -> str:
        return f"fake device {os.getpid()} {id(self)}"

    def compile(self, onnx: bytes, precision: Precision) -> Stream:
        self._compiled.append(onnx)
        return self.reference() if len(self._compiled) == 1 else self.candidate()


@dataclass
class Misbehaving:
    """A latency model that does what its file's bytes say."""

    greeting: str = ""

    def __post_init__(self) -> None:
        if self.greeting == "exit":
            print("cannot load libengine.so", file=sys.stderr, flush=True)
            os._exit(3)

    def identity(self) -> dict[str, str]:
        return {"engine": "misbehaving", "pid": str(os.getpid())}

    def run(self, onnx: bytes, precision: Precision, frames: Frames, carried: Any) -> list[Any]:
        return [{name: 2 * x for name, x in frame.items()} for frame in frames]

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        what = onnx.decode().strip()
        print(f"about to {what}", file=sys.stderr, flush=True)
        if what == "segfault":
            ctypes.string_at(0)
        elif what == "exit":
            os._exit(7)
        elif what == "take a second":
            time.sleep(1.0)
        elif what == "hang":
            time.sleep(600)
        elif what == "hang with the interpreter lock":
            ctypes.PyDLL(None).sleep(600)
        elif what == "eat memory":
            self._eat()
        elif what == "refuse":
            raise CompileError("op Rolu is not known")
        elif what == "bug":
            raise KeyError("weights")
        elif what == "torch?":
            return report(device=str("torch" in sys.modules))
        return report(device=str(os.getpid()))

    def _eat(self) -> None:
        kept = []
        while True:
            kept.append(np.ones(4 << 20, np.uint8))
            time.sleep(0.001)

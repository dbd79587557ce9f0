"""A session of ONNX Runtime as a compiled model."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import (
    Closing,
    CompileError,
    DeviceError,
    Layer,
    Precision,
    Sample,
    input_values,
    require_outputs,
)
from latency_models.engines.ort_layers import event_times_ms, optimized_layers

if TYPE_CHECKING:
    from latency_models.engines.ort import OnnxRuntimeEngine

_DEVICE_WORDS = ("cuda error", "cuda failure", "out of memory", "failed to allocate", "bad_alloc")


class OnnxRuntimeModel(Closing):
    """A session; inputs and outputs for timing are bound once.

    Attributes:
        onnx: the file that is really run; on the CPU the rewritten one where an int8 file is in
            TensorRT's style.
    """

    def __init__(self, engine: OnnxRuntimeEngine, onnx: bytes, precision: Precision) -> None:
        self._engine = engine
        self._precision = precision
        self.onnx = onnx
        self._session: Any = engine.session(onnx)
        self._binding: Any = None

    def close(self) -> None:
        """Free the session; nothing can be run afterwards."""
        self._session = self._binding = None

    @property
    def engine_bytes(self) -> int:
        """Size of the file that is run, weights included."""
        return len(self.onnx)

    @property
    def peak_memory_mib(self) -> float | None:
        """None: it is the process's memory."""
        return None

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once on these inputs, in the file's input order; they are cast to its types.

        Raises:
            ValueError: the number of inputs is not the network's.
        """
        expected = self._session.get_inputs()
        if len(inputs) != len(expected):
            raise ValueError(f"{len(inputs)} inputs given, the network has {len(expected)}")
        feeds = {
            value.name: np.ascontiguousarray(array, dtype=_numpy_type(value.type))
            for value, array in zip(expected, inputs, strict=True)
        }
        try:
            return [np.asarray(output) for output in self._session.run(None, feeds)]
        except Exception as error:
            raise blame("run the network", error) from error

    def timed_runs(self, count: int) -> list[Sample]:
        """Time `count` runs on bound inputs; on a GPU they and the outputs stay there."""
        if self._binding is None:
            self._binding = self._bound()
        run, binding = self._session.run_with_iobinding, self._binding
        samples = []
        for _ in range(count):
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            run(binding)
            binding.synchronize_outputs()
            wall = time.perf_counter_ns() - wall
            cpu = time.process_time_ns() - cpu
            samples.append(Sample(wall_ms=wall / 1e6, cpu_ms=cpu / 1e6))
        return samples

    def _bound(self) -> Any:
        import onnxruntime

        place = "cpu" if self._engine.provider == "cpu" else "cuda"
        binding = self._session.io_binding()
        for name, array in self._feeds().items():
            binding.bind_ortvalue_input(
                name, onnxruntime.OrtValue.ortvalue_from_numpy(array, place, 0)
            )
        names = [value.name for value in self._session.get_outputs()]
        for name in names:
            binding.bind_output(name, place)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise blame("run the network", error) from error
        shapes = (output.shape() for output in binding.get_outputs())
        require_outputs(dict(zip(names, shapes, strict=True)))
        return binding

    def _feeds(self) -> dict[str, NDArray[Any]]:
        """Values for each input, the same in every session."""
        return {
            value.name: input_values(
                value.name, tuple(value.shape), _numpy_type(value.type), seed=index
            )
            for index, value in enumerate(self._session.get_inputs())
        }

    def layers(self, *, timed: bool = False) -> list[Layer]:
        """Nodes of the optimized graph; with `timed`, from a second session that is profiled."""
        with tempfile.TemporaryDirectory() as folder:
            if self._engine.provider == "tensorrt":
                # Its subgraphs cannot be written as ONNX: only the profile knows them.
                times = self._profile(Path(folder))
                return [Layer(name, "subgraph", self._precision, (), ms) for name, ms in times]
            path = Path(folder) / "optimized.onnx"
            self._engine.session(self.onnx, optimized=path)
            found = optimized_layers(path.read_bytes(), self.onnx)
            if not timed:
                return found
            times = self._profile(Path(folder))
        ms = dict(times)
        return [
            Layer(layer.name, layer.kind, layer.precision, layer.original_nodes, ms[layer.name])
            for layer in found
            if layer.name in ms
        ]

    def _profile(self, folder: Path) -> list[tuple[str, float]]:
        session = self._engine.session(self.onnx, profile=folder / "profile")
        feeds = self._feeds()
        try:
            for _ in range(7):
                session.run(None, feeds)
        except Exception as error:
            raise blame("run the network", error) from error
        return event_times_ms(json.loads(Path(session.end_profiling()).read_text()))


def blame(what: str, error: Exception) -> CompileError | DeviceError:
    """The graph is at fault unless memory or CUDA is named."""
    words = " ".join(str(error).split())[:600]
    machine = isinstance(error, MemoryError) or any(w in words.lower() for w in _DEVICE_WORDS)
    kind = DeviceError if machine else CompileError
    return kind(f"ONNX Runtime cannot {what}: {words}")


def _numpy_type(ort_type: str) -> np.dtype[Any]:
    """`tensor(float16)` to numpy's type."""
    name = ort_type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))

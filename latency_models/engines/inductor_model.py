"""A network compiled by PyTorch's inductor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import (
    Closing,
    DeviceError,
    Layer,
    Precision,
    Sample,
    graph_inputs,
    input_values,
    require_outputs,
)

if TYPE_CHECKING:
    import torch

    from latency_models.engines.inductor import InductorEngine

_WARM_RUNS = 4  # CUDA graphs are recorded in the second and third run


def example_inputs(model: Any, processor: str) -> list[torch.Tensor]:
    """Random inputs of the graph's shapes and types."""
    import torch
    from onnx import helper

    found = []
    for index, value in enumerate(graph_inputs(model)):
        kind = value.type.tensor_type
        shape = tuple(int(d.dim_value) for d in kind.shape.dim)
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        array = input_values(value.name, shape, dtype, seed=index)
        found.append(torch.from_numpy(array).to(processor))
    return found


class InductorModel(Closing):
    """The compiled module with inputs for timing bound to it."""

    def __init__(
        self,
        engine: InductorEngine,
        module: Any,
        compiled: Any,
        inputs: list[torch.Tensor],
        precision: Precision,
        *,
        engine_bytes: int,
    ) -> None:
        self._engine = engine
        self._module = module
        self._compiled = compiled
        self._inputs = inputs
        self._precision = precision
        self._engine_bytes = engine_bytes
        if engine.processor == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        for _ in range(_WARM_RUNS):
            outputs = self._call(inputs)
        require_outputs({f"number {i}": list(out.shape) for i, out in enumerate(outputs)})
        self._synchronize()

    def close(self) -> None:
        """Free the compiled module; nothing can be run afterwards."""
        self._compiled = self._module = None
        self._inputs = []

    @property
    def engine_bytes(self) -> int:
        """Size of the ONNX file; the compiled code lies in PyTorch's cache."""
        return self._engine_bytes

    @property
    def peak_memory_mib(self) -> float | None:
        """The most that torch held on the GPU since this was compiled; None on a processor."""
        if self._engine.processor == "cpu":
            return None
        import torch

        return float(torch.cuda.max_memory_allocated()) / 2**20

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once on these inputs, in the file's input order; they are cast to its types.

        Raises:
            ValueError: number or shape of the inputs is not the network's.
        """
        import torch

        if len(inputs) != len(self._inputs):
            raise ValueError(f"{len(inputs)} inputs given, the network has {len(self._inputs)}")
        tensors = []
        for given, bound in zip(inputs, self._inputs, strict=True):
            if tuple(given.shape) != tuple(bound.shape):
                raise ValueError(f"an input is {given.shape}, the network takes {bound.shape}")
            values = torch.from_numpy(np.ascontiguousarray(given))
            tensors.append(values.to(device=bound.device, dtype=bound.dtype))
        with self._engine.settings():
            return [output.cpu().numpy().copy() for output in self._call(tensors)]

    def timed_runs(self, count: int) -> list[Sample]:
        """Time `count` runs on the bound inputs; on a GPU by events, two in flight."""
        with self._engine.settings():
            if self._engine.processor == "cpu":
                return self._timed_on_cpu(count)
            try:
                return self._timed_on_gpu(count)
            except RuntimeError as error:
                raise DeviceError(f"timing the network: {error}") from error

    def _timed_on_cpu(self, count: int) -> list[Sample]:
        samples = []
        for _ in range(count):
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            self._call(self._inputs)
            wall = time.perf_counter_ns() - wall
            cpu = time.process_time_ns() - cpu
            samples.append(Sample(wall_ms=wall / 1e6, cpu_ms=cpu / 1e6))
        return samples

    def _timed_on_gpu(self, count: int) -> list[Sample]:
        import torch

        events = [
            (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            for _ in range(count)
        ]
        host = []
        self._call(self._inputs)  # the first sample must not start on an idle GPU
        for index, (start, end) in enumerate(events):
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            if index >= 2:
                events[index - 2][1].synchronize()
            start.record()
            self._call(self._inputs)
            end.record()
            host.append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
        self._synchronize()
        return [
            Sample(wall_ms=wall / 1e6, cpu_ms=cpu / 1e6, device_ms=start.elapsed_time(end))
            for (start, end), (wall, cpu) in zip(events, host, strict=True)
        ]

    def layers(self, *, timed: bool = False) -> list[Layer]:
        """Kernels that PyTorch's profiler sees, from a second compilation that names them.

        Fused C++ and Triton kernels carry the names of the operators they hold.
        """
        from torch.profiler import ProfilerActivity, profile

        gpu = self._engine.processor == "cuda"
        options: dict[str, Any] = {} if gpu else {"cpp.enable_kernel_profile": True}
        named = self._engine.recompiled(self._module, options)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
        with self._engine.settings():
            for _ in range(_WARM_RUNS):
                named(*self._inputs)
            with profile(activities=activities) as record:
                named(*self._inputs)
                self._synchronize()
        found: dict[str, float] = {}
        for event in record.events():
            if not _is_kernel(event, gpu=gpu):
                continue
            us = event.device_time if gpu else event.cpu_time
            found[event.name] = found.get(event.name, 0.0) + us / 1e3
        return [
            Layer(name, _kind(name), self._precision, (), ms if timed else None)
            for name, ms in found.items()
        ]

    def _call(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        outputs: tuple[torch.Tensor, ...] = self._compiled(*inputs)
        return outputs

    def _synchronize(self) -> None:
        if self._engine.processor == "cuda":
            import torch

            torch.cuda.synchronize()


def _is_kernel(event: Any, *, gpu: bool) -> bool:
    """GPU kernels by where they ran; on the CPU inductor's own and oneDNN's, not the wrapper."""
    if gpu:
        return str(event.device_type).endswith("CUDA")
    name = str(event.name)
    return "cpp_fused" in name or name.startswith("mkldnn::") or name == "aten::convolution"


def _kind(name: str) -> str:
    if "fused" in name:
        return "fused"
    return "Convolution" if "conv" in name.lower() else name

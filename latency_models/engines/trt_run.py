"""A TensorRT plan on one GPU: buffers, CUDA graph, event timing. PyTorch is the CUDA layer."""

# Without the library its base classes are Any to the type checker.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from latency_models.base import (
    CompileError,
    DeviceError,
    Sample,
    input_values,
    require_outputs,
)
from latency_models.engines.trt_build import build_log
from latency_models.engines.trt_cache import CacheFile
from latency_models.engines.trt_graph import check_replay
from latency_models.engines.trt_kernels import KeptKernels
from latency_models.engines.trt_library import trt

if TYPE_CHECKING:
    import torch

Launch = Literal["graph", "enqueue"]

# An event resolves about 0.5 us: a span of 0.2 ms keeps that below 0.3 %.
_SPAN_MS = 0.2
_SHORT_MS = 0.1
_IN_FLIGHT = 2  # as trtexec: the GPU always has the next run queued


@contextmanager
def cuda_errors(what: str) -> Iterator[None]:
    """Turn PyTorch's CUDA failures into `DeviceError`."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(f"{what}: GPU memory ran out: {error}") from error
    except RuntimeError as error:
        raise DeviceError(f"{what}: {error}") from error


def torch_dtype(data_type: trt.DataType) -> torch.dtype:
    """The PyTorch type of a TensorRT input or output.

    Raises:
        CompileError: there is none that can be filled from numpy.
    """
    import torch

    known = {
        trt.DataType.FLOAT: torch.float32,
        trt.DataType.HALF: torch.float16,
        trt.DataType.BF16: torch.bfloat16,
        trt.DataType.INT8: torch.int8,
        trt.DataType.UINT8: torch.uint8,
        trt.DataType.INT32: torch.int32,
        trt.DataType.INT64: torch.int64,
        trt.DataType.BOOL: torch.bool,
    }
    if data_type not in known:
        raise CompileError(f"an input or output has type {data_type}, which cannot be bound")
    return known[data_type]


class PlanRunner:
    """A plan loaded on one GPU with bound buffers of its static shapes.

    The engine and its context belong to the CUDA device that is current when they are made, so
    every call runs under that device, on its own stream: the default stream synchronizes more.
    """

    def __init__(
        self,
        plan: bytes,
        *,
        device_index: int,
        launch: Launch,
        runtime_cache: CacheFile | None = None,
    ) -> None:
        """Load, bind, run once and capture.

        Args:
            runtime_cache: where the kernels are kept that the library compiles while it loads.

        Raises:
            CompileError: the plan cannot be bound or captured.
            DeviceError: CUDA failed or its memory ran out.
        """
        import torch

        log = build_log()
        log.lines.clear()
        self._device = torch.device("cuda", device_index)
        with cuda_errors("loading the plan"), torch.cuda.device(self._device):
            self._runtime = trt.Runtime(log.logger)  # must outlive the engine
            engine = self._runtime.deserialize_cuda_engine(plan)
            if engine is None:
                raise log.failure("TensorRT cannot load the plan")
            self.engine = engine
            kernels = KeptKernels(engine, runtime_cache) if runtime_cache is not None else None
            context = engine.create_execution_context() if kernels is None else kernels.context()
            if context is None:
                raise DeviceError(f"no memory for an execution context: {log.errors()}")
            self.context = context
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            self.inputs, self.outputs = self._bind()
            self._graph: torch.cuda.CUDAGraph | None = None
            self._run_once()  # the first enqueue initializes; it must not be captured
            if kernels is not None:
                kernels.keep()
            if launch == "graph":
                self._graph = self._captured()
        self._launches: int | None = None

    def _bind(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Own buffers for every tensor, inputs filled with random values, never zeros."""
        import torch

        inputs: dict[str, torch.Tensor] = {}
        outputs: dict[str, torch.Tensor] = {}
        for index in range(self.engine.num_io_tensors):
            name = self.engine.get_tensor_name(index)
            dims = self.engine.get_tensor_shape(name)
            shape = tuple(int(dims[axis]) for axis in range(len(dims)))
            if any(size < 0 for size in shape):
                raise CompileError(f"'{name}' has no static shape ({shape})")
            dtype = torch_dtype(self.engine.get_tensor_dtype(name))
            buffer = torch.empty(shape, dtype=dtype, device=self._device)
            if self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                # numpy has no bfloat16: floats are cast when they are copied.
                kind = "float32" if dtype.is_floating_point else str(dtype).removeprefix("torch.")
                buffer.copy_(torch.from_numpy(input_values(name, shape, kind, seed=index)))
                inputs[name] = buffer
            else:
                require_outputs({name: shape})
                outputs[name] = buffer
            if not self.context.set_tensor_address(name, buffer.data_ptr()):
                raise build_log().failure(f"TensorRT does not accept the buffer of '{name}'")
        torch.cuda.synchronize(self._device)
        return inputs, outputs

    def _enqueue(self) -> bool:
        return bool(self.context.execute_async_v3(self._stream.cuda_stream))

    def _run_once(self) -> None:
        if not self._enqueue():
            raise build_log().failure("TensorRT refused to run")
        self._stream.synchronize()

    def _captured(self) -> torch.cuda.CUDAGraph:
        """Capture one enqueue and prove that replaying it computes the outputs.

        A refused enqueue or a wrong device leaves an empty graph that replays in microseconds
        (ultralytics pull request 26223): poisoned outputs show it.
        """
        import torch

        expected = [output.clone() for output in self.outputs.values()]
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": another thread may touch its own streams meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                accepted = self._enqueue()
        except RuntimeError as error:
            raise CompileError(
                f"the network cannot be captured as a CUDA graph ({error}): time it with "
                "launch='enqueue', and compare it only with others timed so"
            ) from error
        if not accepted:
            raise CompileError(
                f"TensorRT refused to run under capture ({build_log().errors()}): "
                "time it with launch='enqueue'"
            )
        check_replay(graph.replay, list(self.outputs.values()), expected, self._stream)
        return graph

    def _start(self) -> None:
        if self._graph is not None:
            self._graph.replay()
        elif not self._enqueue():
            raise build_log().failure("TensorRT refused to run")

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Copy in, run, copy out; inputs in the engine's order, cast to its types."""
        import torch

        if len(inputs) != len(self.inputs):
            raise ValueError(f"{len(inputs)} inputs given, the network has {len(self.inputs)}")
        with (
            cuda_errors("running the network"),
            torch.cuda.device(self._device),
            torch.cuda.stream(self._stream),
        ):
            for (name, buffer), value in zip(self.inputs.items(), inputs, strict=True):
                if tuple(value.shape) != tuple(buffer.shape):
                    raise ValueError(f"'{name}' is {tuple(buffer.shape)}, not {value.shape}")
                buffer.copy_(torch.from_numpy(np.ascontiguousarray(value)))
            self._start()
            results = [_to_numpy(output) for output in self.outputs.values()]
            self._stream.synchronize()
        return results

    def timed_runs(self, count: int) -> list[Sample]:
        """Time `count` samples on the bound inputs, two in flight as trtexec does.

        `device_ms` lies between two events on the stream; networks below 0.1 ms are launched
        several times between them and the mean is one sample. `wall_ms` and `cpu_ms` are of one
        turn of the loop, so in steady state wall time is the time per inference too.
        """
        import torch

        with (
            cuda_errors("timing the network"),
            torch.cuda.device(self._device),
            torch.cuda.stream(self._stream),
        ):
            if self._launches is None:
                self._launches = self._launches_per_sample()
            return self._loop(count, self._launches)

    def _launches_per_sample(self) -> int:
        median = float(np.median([sample.device_ms or 0.0 for sample in self._loop(15, 1)[5:]]))
        return 1 if median >= _SHORT_MS else max(2, int(np.ceil(_SPAN_MS / max(median, 1e-3))))

    def _loop(self, count: int, launches: int) -> list[Sample]:
        import torch

        event = partial(torch.cuda.Event, enable_timing=True)
        events = [(event(), event()) for _ in range(count)]
        host = []
        for _ in range(launches):  # so that the first sample does not start on an idle GPU
            self._start()
        for index, (start, end) in enumerate(events):
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            if index >= _IN_FLIGHT:
                events[index - _IN_FLIGHT][1].synchronize()
            start.record(self._stream)
            for _ in range(launches):
                self._start()
            end.record(self._stream)
            host.append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
        self._stream.synchronize()
        return [
            Sample(
                wall_ms=wall / 1e6 / launches,
                cpu_ms=cpu / 1e6 / launches,
                device_ms=start.elapsed_time(end) / launches,
            )
            for (start, end), (wall, cpu) in zip(events, host, strict=True)
        ]

    def layer_times_ms(self, *, runs: int = 10) -> dict[str, float]:
        """Mean time per layer by TensorRT's profiler, without the graph; slower than a run."""
        import torch

        total: dict[str, float] = {}

        class LayerTimes(trt.IProfiler):
            def __init__(self) -> None:
                trt.IProfiler.__init__(self)

            def report_layer_time(self, layer_name: str, ms: Any) -> None:
                total[layer_name] = total.get(layer_name, 0.0) + float(ms)

        with cuda_errors("profiling the network"), torch.cuda.device(self._device):
            profiler = LayerTimes()
            self._profiler = profiler  # the context does not own it
            self.context.profiler = profiler
            self.context.enqueue_emits_profile = False
            for _ in range(runs):
                self._run_once()
                if not self.context.report_to_profiler():
                    raise build_log().failure("TensorRT's profiler reported nothing")
        return {name: ms / runs for name, ms in total.items()}

    def inspect(self) -> str:
        """The engine inspector's JSON."""

        inspector = self.engine.create_engine_inspector()
        inspector.execution_context = self.context
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def memory_bytes(self) -> int:
        """Activations and scratch of one context; the weights are in the plan."""
        name = "device_memory_size_v2"  # from 10.1; the older name is gone in 11
        return int(getattr(self.engine, name, 0))


def _to_numpy(output: torch.Tensor) -> NDArray[Any]:
    import torch

    host = output.to("cpu")
    array: NDArray[Any] = (host.float() if host.dtype == torch.bfloat16 else host).numpy()
    return array

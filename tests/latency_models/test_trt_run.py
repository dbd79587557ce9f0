"""The runner's own logic on a stand-in engine and the CPU in place of a GPU.

Shows that buffers are bound, the graph is proved, samples are counted and failures are told
apart. It says nothing about CUDA or TensorRT.
"""

from __future__ import annotations

import contextlib
import enum
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tensorrt_stand_in import Script, Severity, module

from latency_models.base import CompileError, DeviceError
from latency_models.engines import trt_library
from latency_models.engines.trt_build import build_log
from latency_models.engines.trt_run import PlanRunner

torch = pytest.importorskip("torch")

DataType = enum.Enum("DataType", "FLOAT HALF BF16 INT8 UINT8 INT32 INT64 BOOL FP8")
Mode = enum.Enum("Mode", "INPUT OUTPUT")


class Engine:
    """One input x and one output y, both (1, 2, 3)."""

    device_memory_size_v2 = 4096
    num_io_tensors = 2

    def __init__(self) -> None:
        self.shape = [1, 2, 3]
        self.kind = DataType.FLOAT
        self.accepts = True
        self.has_context = True
        self.runs = 0

    def create_execution_context(self) -> Any:
        return Context(self) if self.has_context else None

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_shape(self, name: str) -> list[int]:
        return self.shape

    def get_tensor_dtype(self, name: str) -> Any:
        return self.kind

    def get_tensor_mode(self, name: str) -> Any:
        return Mode.INPUT if name == "x" else Mode.OUTPUT


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.profiler: Any = None

    def set_tensor_address(self, name: str, address: int) -> bool:
        return address != 0

    def execute_async_v3(self, stream: int) -> bool:
        self.engine.runs += 1
        return self.engine.accepts

    def report_to_profiler(self) -> bool:
        self.profiler.report_layer_time("conv", 0.5)
        return True


class Stream:
    cuda_stream = 7

    def __init__(self, device: Any = None) -> None: ...

    def synchronize(self) -> None: ...


class Event:
    def __init__(self, enable_timing: bool) -> None:
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: Event) -> float:
        return (end.at - self.at) * 1e3


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A stand-in library whose one plan is this engine, and `torch.cuda` on the CPU."""
    made = Engine()
    library = module(Script())
    names: dict[str, Any] = {
        "Runtime": lambda logger: types.SimpleNamespace(
            deserialize_cuda_engine=lambda plan: made if plan == b"plan" else None
        ),
        "DataType": DataType,
        "TensorIOMode": Mode,
        "IProfiler": type("IProfiler", (), {}),
    }
    for name, value in names.items():
        setattr(library, name, value)
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    monkeypatch.setattr(trt_library, "_state", {"chosen": "tensorrt", "used": ""})
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch, "device", lambda *_: cpu)
    for name, value in {
        "Stream": Stream,
        "Event": Event,
        "device": lambda _: contextlib.nullcontext(),
        "stream": lambda _: contextlib.nullcontext(),
        "synchronize": lambda _: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    build_log.cache_clear()
    yield made
    build_log.cache_clear()


def runner(launch: Any = "enqueue", plan: bytes = b"plan") -> PlanRunner:
    return PlanRunner(plan, device_index=0, launch=launch)


def test_inputs_are_bound_and_never_zero(engine: Engine) -> None:
    bound = runner()
    assert list(bound.inputs) == ["x"] and list(bound.outputs) == ["y"]
    assert float(bound.inputs["x"].max()) > 0
    assert bound.memory_bytes() == 4096


def test_inputs_are_copied_before_the_run(engine: Engine) -> None:
    bound = runner()
    bound.run([np.full((1, 2, 3), 5, np.float32)])
    assert float(bound.inputs["x"].min()) == 5
    with pytest.raises(ValueError, match="2 inputs"):
        bound.run([np.zeros(1), np.zeros(1)])
    with pytest.raises(ValueError, match="'x' is"):
        bound.run([np.zeros((2, 3), np.float32)])


def test_short_networks_are_launched_several_times_per_sample(engine: Engine) -> None:
    bound = runner()
    bound.timed_runs(1)
    before = engine.runs
    samples = bound.timed_runs(10)
    assert len(samples) == 10 and all(s.device_ms is not None for s in samples)
    launches, rest = divmod(engine.runs - before, 11)  # ten samples and the untimed start
    assert rest == 0 and launches >= 2


def test_a_slow_network_is_launched_once_per_sample(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(context: Context, stream: int) -> bool:
        time.sleep(0.001)
        context.engine.runs += 1
        return True

    monkeypatch.setattr(Context, "execute_async_v3", slow)
    bound = runner()
    bound.timed_runs(1)
    before = engine.runs
    assert all((s.device_ms or 0) >= 1 for s in bound.timed_runs(5))
    assert engine.runs - before == 6


def test_the_profilers_times_are_means(engine: Engine) -> None:
    assert runner().layer_times_ms(runs=4) == {"conv": 0.5}


def change(name: str, value: Any) -> Callable[[Engine], None]:
    return lambda engine: setattr(engine, name, value)


@pytest.mark.parametrize(
    ("broken", "error", "words"),
    [
        (change("accepts", False), CompileError, "refused to run"),
        (change("has_context", False), DeviceError, "execution context"),
        (change("shape", [1, -1, 3]), CompileError, "no static shape"),
        (change("kind", DataType.FP8), CompileError, "cannot be bound"),
    ],
)
def test_failures_are_told_apart(
    engine: Engine, broken: Callable[[Engine], None], error: Any, words: str
) -> None:
    broken(engine)
    with pytest.raises(error, match=words):
        runner()


def test_a_plan_that_does_not_load_is_refused(engine: Engine) -> None:
    with pytest.raises(CompileError, match="load the plan"):
        runner(plan=b"other")


def test_a_cuda_failure_in_the_log_is_the_machines_fault(engine: Engine) -> None:
    bound = runner()
    engine.accepts = False
    build_log().logger.log(Severity.ERROR, "CUDA error 700")  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="CUDA error 700"):
        bound.run([np.zeros((1, 2, 3), np.float32)])


def test_memory_that_runs_out_is_the_machines_fault(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("2 GiB asked for")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(DeviceError, match="memory ran out"):
        runner()


def test_a_refused_capture_is_not_answered_with_a_plain_run(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def refuse(*_: Any, **__: Any) -> Iterator[None]:
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", refuse)
    with pytest.raises(CompileError, match="launch='enqueue'"):
        runner("graph")

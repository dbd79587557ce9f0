"""OpenVINO on the CPU: the default engine for networks that ship on a processor."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import (
    Closing,
    CompileError,
    DeviceError,
    EngineUnavailable,
    Layer,
    Precision,
    Sample,
    input_values,
    require_outputs,
)

_INT8 = frozenset({"i8", "u8"})
_COMPUTE_KINDS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
_NOT_EXECUTED = frozenset({"Const", "Input", "Output"})
_TELEMETRY = "openvino_telemetry"


def _import_openvino() -> Any:
    """Import openvino with its usage reporting left out: its own stub takes the place."""
    if "openvino" not in sys.modules and _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("openvino")
        finally:
            del sys.modules[_TELEMETRY]
    return importlib.import_module("openvino")


@cache
def _core() -> Any:
    """The one Core of this process, kept to its end.

    A Core gives the thread a signal stack of its own and, when it goes, brings back the one that
    it found. Where several go in another order than they came, the thread is left with a stack
    that is no longer mapped, and the next signal ends the process.
    """
    return _import_openvino().Core()


def _one_line(error: BaseException) -> str:
    """The engine's own words without the source positions that precede them."""
    lines = (line.strip() for line in str(error).splitlines())
    kept = [line for line in lines if line and not line.startswith("Exception from ")]
    return " ".join(kept)[:600] or type(error).__name__


def _why_onnx_refuses(onnx_bytes: bytes) -> str | None:
    """What the ONNX checker says, for OpenVINO only says that it cannot read the file."""
    import onnx

    try:
        onnx.checker.check_model(onnx_bytes)
    except Exception as error:
        return _one_line(error)
    return None


class OpenVINOEngine:
    """Compiles for the CPU with a fixed number of threads and one stream.

    Float layers run in f32: without the hint OpenVINO silently runs bf16 where the processor has
    it. Integer layers come from the Q/DQ nodes of the file.

    Attributes:
        threads: inference threads.
        options: further OpenVINO properties by name; they go over the defaults.
    """

    name = "openvino"

    def __init__(self, threads: int = 1, options: Mapping[str, str] | None = None) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; at least one is needed")
        self.threads = threads
        self.options: dict[str, str] = dict(options or {})

    def available(self) -> str | None:
        """None when openvino is installed, else what to install."""
        if importlib.util.find_spec("openvino") is None:
            return "openvino is not installed: pip install 'freeway-nas[openvino]'"
        return None

    def version(self) -> str:
        """The library's release and build."""
        self._require()
        return str(_import_openvino().get_version())

    def device(self) -> str:
        """The processor's name as OpenVINO reads it."""
        return str(self._cpu().get_property("CPU", "FULL_DEVICE_NAME")).strip()

    def compile(self, onnx: bytes, precision: Precision) -> OpenVINOModel:
        """Compile one file; the float type is always f32, int8 layers come from its Q/DQ nodes.

        Raises:
            CompileError: the file cannot be read or compiled, has an open dimension, or does not
                run at the precision that was asked for.
            DeviceError: this processor cannot run the precision.
        """
        core = self._cpu()
        if precision == "fp16" and "FP16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise DeviceError(
                f"{self.device()} has no fp16 arithmetic, OpenVINO would run f32: "
                "ask for fp32 or int8, or measure on a device that has it"
            )
        config = self._config(precision)
        model = OpenVINOModel(self, onnx, _compile(core, onnx, config), config)
        try:
            _check_precision(model.layers(), precision)
        except CompileError:
            model.close()
            raise
        return model

    def _config(self, precision: Precision) -> dict[str, str]:
        """Properties for one compilation.

        Pinning is off: a pinned thread waits for its core while another stands idle when the
        machine is shared.
        """
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(self.threads),
            "INFERENCE_PRECISION_HINT": "f16" if precision == "fp16" else "f32",
            "ENABLE_CPU_PINNING": "NO",
            **self.options,
        }

    def _require(self) -> None:
        reason = self.available()
        if reason is not None:
            raise EngineUnavailable(reason)

    def _cpu(self) -> Any:
        self._require()
        return _core()


class OpenVINOModel(Closing):
    """A network compiled by OpenVINO; inputs for timing are bound once."""

    def __init__(
        self, engine: OpenVINOEngine, onnx: bytes, compiled: Any, config: Mapping[str, str]
    ) -> None:
        self._engine = engine
        self._onnx = onnx
        self._config = config
        self._compiled = compiled
        self._request: Any = None
        self._bound: Any = None
        self._executed: list[Layer] | None = None

    def close(self) -> None:
        """Free the compiled network; nothing can be run afterwards."""
        self._request = self._bound = self._compiled = None

    @property
    def engine_bytes(self) -> int:
        """Size of the compiled network when written out, weights included."""
        return len(self._compiled.export_model().getvalue())

    @property
    def peak_memory_mib(self) -> float | None:
        """None: it is the process's memory."""
        return None

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once on these inputs, in the file's input order.

        Raises:
            ValueError: the number of inputs is not the network's.
        """
        expected = len(self._compiled.inputs)
        if len(inputs) != expected:
            raise ValueError(f"{len(inputs)} inputs given, the network has {expected}")
        results = self._compiled.create_infer_request().infer(dict(enumerate(inputs)))
        return [np.array(results[output]) for output in self._compiled.outputs]

    def timed_runs(self, count: int) -> list[Sample]:
        """Run `count` times on inputs that stay bound, each timed on its own.

        Outputs stay in the engine's memory, where a caller reads them: left to its default the
        binding for Python copies them at every call (1.7 ms for a picture of 1280x720 in float).
        """
        if self._bound is None:
            self._bound = _bound_request(self._compiled)
        infer = self._bound.infer
        samples = []
        for _ in range(count):
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            infer(share_outputs=True)
            wall = time.perf_counter_ns() - wall
            cpu = time.process_time_ns() - cpu
            samples.append(Sample(wall_ms=wall / 1e6, cpu_ms=cpu / 1e6))
        return samples

    def layers(self, *, timed: bool = False) -> list[Layer]:
        """The executed layers in order; with `timed`, compiled once more with profiling on."""
        if not timed:
            if self._executed is None:
                self._executed = _layers(self._compiled, {})
            return list(self._executed)
        profiled = _compile(self._engine._cpu(), self._onnx, {**self._config, "PERF_COUNT": "YES"})
        request = _bound_request(profiled)
        runs = []
        for _ in range(7):
            request.infer()
            runs.append({p.node_name: _ms(p.real_time) for p in request.profiling_info})
        middle = {name: float(np.median([run[name] for run in runs[2:]])) for name in runs[0]}
        return [layer for layer in _layers(profiled, middle) if layer.ms]


def _ms(duration: Any) -> float:
    return float(duration.total_seconds() * 1e3)


def _bound_request(compiled: Any) -> Any:
    """An inference request whose inputs are set once, to random values; run once.

    Raises:
        CompileError: an input cannot be made up, the first run fails, or it gives nothing.
    """
    ov = _import_openvino()
    request = compiled.create_infer_request()
    for index, port in enumerate(compiled.inputs):
        values = input_values(
            port.any_name, tuple(port.shape), port.element_type.to_dtype(), seed=index
        )
        request.set_input_tensor(index, ov.Tensor(values))
    try:
        request.infer()
    except MemoryError as error:
        raise DeviceError("out of memory while OpenVINO ran the network") from error
    except Exception as error:
        raise CompileError(f"OpenVINO cannot run the network: {_one_line(error)}") from error
    require_outputs({
        _name(port, index): list(request.get_output_tensor(index).shape)
        for index, port in enumerate(compiled.outputs)
    })
    return request


def _name(port: Any, index: int) -> str:
    """A port's name; a tensor that several outputs share may have none."""
    return str(port.any_name) if port.names else f"number {index}"


def _compile(core: Any, onnx_bytes: bytes, config: Mapping[str, str]) -> Any:
    """Read and compile, turning the engine's refusals into `CompileError`."""
    try:
        model = core.read_model(onnx_bytes)
    except Exception as error:
        words = _why_onnx_refuses(onnx_bytes) or _one_line(error)
        raise CompileError(f"OpenVINO cannot read the file: {words}") from error
    for port in model.inputs:
        if port.partial_shape.is_dynamic:
            raise CompileError(
                f"input '{port.any_name}' has no static shape ({port.partial_shape}): "
                "export it with fixed sizes"
            )
    try:
        return core.compile_model(model, "CPU", dict(config))
    except MemoryError as error:
        raise DeviceError("out of memory while OpenVINO compiled the network") from error
    except Exception as error:
        raise CompileError(f"OpenVINO cannot compile the network: {_one_line(error)}") from error


def _layers(compiled: Any, times_ms: Mapping[str, float]) -> list[Layer]:
    """Read the runtime model; constants and what is computed from constants alone are left out."""
    layers = []
    for op in compiled.get_runtime_model().get_ordered_ops():
        info = op.get_rt_info()
        kind = info["layerType"].astype(str)
        if kind in _NOT_EXECUTED or _is_constant(op):
            continue
        names = info["originalLayersNames"].astype(str)
        layers.append(
            Layer(
                name=op.friendly_name,
                kind=kind,
                precision=info["runtimePrecision"].astype(str),
                original_nodes=tuple(name for name in names.split(",") if name),
                ms=times_ms.get(op.friendly_name),
            )
        )
    return layers


def _is_constant(op: Any) -> bool:
    """True for a layer fed by constants only, which costs nothing per run (a bias's reshape)."""
    sources = [value.get_node().get_rt_info()["layerType"] for value in op.input_values()]
    return bool(sources) and all(source.astype(str) == "Const" for source in sources)


def _check_precision(layers: Sequence[Layer], precision: Precision) -> None:
    """Refuse a network that would run at another precision than the report will say."""
    compute = [layer for layer in layers if layer.kind in _COMPUTE_KINDS]
    int8 = [layer for layer in compute if layer.precision in _INT8]
    if precision == "int8" and compute and not int8:
        raise CompileError(
            f"int8 was asked for, but all {len(compute)} compute layers run in "
            f"{compute[0].precision}: the file needs Q/DQ nodes around its convolutions"
        )
    if precision != "int8" and int8:
        raise CompileError(
            f"{precision} was asked for, but {len(int8)} of {len(compute)} compute layers run in "
            "int8 because the file has Q/DQ nodes: ask for int8 or take them out"
        )

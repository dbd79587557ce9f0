"""The types of the latency room: a receipt, what answers with one, and who is to blame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from runtime.pictures import IO

Precision = Literal["fp32", "fp16", "int8"]
Verdict = Literal["ok", "unstable", "contended"]
Clock = Literal["wall", "cpu", "device"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
_COMPUTING = frozenset(
    "Conv FusedConv ConvTranspose Gemm FusedGemm MatMul QLinearConv QLinearMatMul ConvInteger "
    "MatMulInteger QGemm Convolution Deconvolution FullyConnected".split()
)
"""Layers with weights, as OpenVINO and ONNX Runtime call them."""
_UINT8, _PICTURE_AXES = 2, 4
"""ONNX's number of the type; batch, channels, height and width."""
_FLOATS = frozenset({"fp32", "fp16", "f32", "f16", "bf16"})


class CompileError(Exception):
    """The engine refuses this graph: another machine would refuse it too."""


class DeviceError(Exception):
    """The machine is at fault (lost, out of memory, hung): the graph may be fine elsewhere."""


class EngineUnavailable(DeviceError):
    """The engine that was asked for cannot run here; the message says why and what to install."""


class DamagedReceipts(ValueError):
    """A file of receipts cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Sample:
    """One inference, timed by every clock that the engine has.

    Attributes:
        wall_ms: host wall time of the call.
        cpu_ms: processor time the process spent in it (all its threads).
        device_ms: time between two events on the accelerator's stream, where there is one.
    """

    wall_ms: float
    cpu_ms: float
    device_ms: float | None = None


@dataclass(frozen=True)
class Layer:
    """One executed layer of a compiled model.

    Attributes:
        name: the engine's name for it.
        kind: the engine's kind, such as `Convolution`.
        precision: the type it really runs in, as the engine says it.
        original_nodes: names of the ONNX nodes that were fused into it.
        ms: time of one run by the engine's own profiler, where it was asked for.
    """

    name: str
    kind: str
    precision: str
    original_nodes: tuple[str, ...] = ()
    ms: float | None = None


@dataclass(frozen=True)
class LatencyReport:
    """A receipt: how long one inference takes, how that is known, and on what.

    `median_ms`, the percentiles and the interval are on `clock`. A report whose verdict is not
    `ok` must not be compared with another without saying so.

    Attributes:
        ci_low_ms: lower end of the 95 % confidence interval of the median.
        ci_high_ms: its upper end.
        drift: slow-down of the reference network during the measurement, relative (0.02 = 2 %),
            already divided out of the other figures.
        layers_before: nodes in the ONNX file.
        layers_after: layers the engine executes; where it is estimated, those that its parser
            made of the file.
        estimated: true when nothing was run (a prediction or a bound).
        io: how the file takes its first input.
    """

    median_ms: float
    p5_ms: float
    p95_ms: float
    p99_ms: float
    ci_low_ms: float
    ci_high_ms: float
    samples: int
    warmup_s: float
    clock: Clock
    wall_median_ms: float
    cpu_median_ms: float
    batch_size: int
    input_shape: tuple[int, ...]
    precision: Precision
    engine: str
    engine_version: str
    device: str
    threads: int
    build_s: float
    peak_memory_mib: float
    engine_bytes: int
    layers_before: int
    layers_after: int
    onnx_sha256: str
    drift: float
    verdict: Verdict
    estimated: bool = False
    conditions: Mapping[str, float | str] = field(default_factory=dict)
    """Clocks, temperature, throttling, load: what the machine told while it was measured."""
    io: IO = "float_nchw"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        return cls(**{**data, "input_shape": tuple(data["input_shape"])})


class Closing(ABC):
    """A context manager that ends with `close`."""

    @abstractmethod
    def close(self) -> None:
        """Free what is held; nothing can be done with it afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class CompiledModel(Protocol):
    """A network that an engine has compiled for one static shape; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @property
    def engine_bytes(self) -> int:
        """Size of what was compiled, weights included."""

    @property
    def peak_memory_mib(self) -> float | None:
        """Memory on an accelerator; None where the process's own memory tells it."""

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once on these inputs and return the outputs as float32 or the graph's own type."""

    def timed_runs(self, count: int) -> list[Sample]:
        """Run `count` times on bound random inputs, each timed on its own."""

    def layers(self, *, timed: bool = False) -> list[Layer]:
        """What the engine really executes; with `timed`, how long each layer takes."""


class Engine(Protocol):
    """What compiles an ONNX file and runs it."""

    name: str
    threads: int

    def available(self) -> str | None:
        """None when this engine can run here, else the reason and what to install."""

    def version(self) -> str:
        """The library's version."""

    def device(self) -> str:
        """The name of the processor it compiles for."""

    def compile(self, onnx: bytes, precision: Precision) -> CompiledModel:
        """Compile one file.

        Raises:
            CompileError: the engine refuses the graph; with the engine's own words.
            DeviceError: the machine failed.
        """


@dataclass(frozen=True)
class Plan:
    """A network that was compiled without being loaded.

    Attributes:
        data: what the engine loads; it holds native code, so load only your own.
        parsed_layers: layers that the engine's parser made of the file, before any is fused.
    """

    data: bytes
    parsed_layers: int


class AheadOfTime(Engine, Protocol):
    """An engine that compiles on machines without the device that will run the plan."""

    def builds(self) -> str | None:
        """None when it can compile here, else the reason and what to install."""

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        """Compile one file without loading it.

        Raises:
            CompileError: the engine refuses the graph; with the engine's own words.
            EngineUnavailable: it cannot compile here.
        """

    def compile(
        self, onnx: bytes, precision: Precision, plan: bytes | None = None
    ) -> CompiledModel:
        """As any engine; with the plan that `build` made of the file elsewhere, only load it."""


class LatencyModel(Protocol):
    """Anything that answers how long one inference of this file takes."""

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        """Return the receipt; with `limit_ms` it may stop as soon as the side is certain.

        Raises:
            CompileError: the graph is at fault.
            DeviceError: the machine is at fault.
        """


Arrays = Mapping[str, NDArray[Any]]
"""Inputs or outputs of a file by name."""
Frames = Sequence[Arrays]
"""Those of frames that follow each other; a picture is one frame."""


def graph_inputs(onnx_model: Any) -> list[Any]:
    """What is asked for at each run: files of IR 3 list their weights among the inputs too."""
    graph = onnx_model.graph
    weights = {tensor.name for tensor in graph.initializer}
    weights |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in weights]


def first_input_shape(onnx_model: Any) -> tuple[int, ...]:
    """The static shape of the first graph input that is no weight.

    Raises:
        CompileError: there is none, or a dimension of any input is not fixed.
    """
    shapes = []
    for value in graph_inputs(onnx_model):
        shape = tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)
        if not shape or any(d <= 0 for d in shape):
            raise CompileError(
                f"input '{value.name}' has no static shape ({shape}): export it with fixed sizes"
            )
        shapes.append(shape)
    if not shapes:
        raise CompileError(
            f"the ONNX graph '{onnx_model.graph.name}' has no input, so there is nothing to run"
        )
    return shapes[0]


def io_of(value: Any) -> IO:
    """How an input or output of an ONNX file holds a picture, as its type and axes tell."""
    kind = value.type.tensor_type
    if kind.elem_type != _UINT8 or len(kind.shape.dim) != _PICTURE_AXES:
        return "float_nchw"
    return "uint8_nhwc" if kind.shape.dim[-1].denotation == "DATA_CHANNEL" else "uint8_nchw"


def random_inputs(shape: tuple[int, ...], *, seed: int = 0) -> NDArray[np.float32]:
    """Uniform values in [0, 1): non-zero, so that no kernel takes a short cut."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def input_values(
    name: str, shape: tuple[int, ...], dtype: Any, *, seed: int = 0
) -> NDArray[Any]:
    """Values for an input that is timed: random in floats, bytes and truth values.

    Whole numbers of more than a byte are sizes or places: what they are decides how much is
    computed, so none are made up.

    Raises:
        CompileError: the input holds such numbers.
    """
    kind = np.dtype(dtype)
    values = random_inputs(shape, seed=seed)
    if kind.kind == "b":
        return values < 0.5
    if kind.itemsize == 1 and kind.kind in "ui":
        limits = np.iinfo(kind)
        return np.floor(values * 256 + limits.min).astype(kind)
    if kind.kind in "ui":
        raise CompileError(
            f"input '{name}' is {kind.name}: its values decide what is computed, so none are made "
            f"up: give them, as in nas bench ... --input {name}=1,3,720,1280"
        )
    return values.astype(kind)


def in_float(layers: Sequence[Layer]) -> dict[str, float]:
    """Of an int8 network how many layers with weights run, and how many of them in float.

    Nothing where none runs in float, or where the engine tells too little.
    """
    computing = [layer for layer in layers if layer.kind in _COMPUTING]
    floats = sum(layer.precision in _FLOATS for layer in computing)
    return {"compute_layers": len(computing), "layers_in_float": floats} if floats else {}


def require_outputs(outputs: Mapping[str, Sequence[int]]) -> None:
    """Refuse a network that gave an output without a single value: nothing was computed for it.

    Args:
        outputs: the shape of each output after a run, by its name.

    Raises:
        CompileError: one of them is empty.
    """
    for name, shape in outputs.items():
        if any(size == 0 for size in shape):
            raise CompileError(
                f"output '{name}' is empty ({'x'.join(map(str, shape))}) for the inputs that it "
                "was timed on: a latency would say nothing"
            )

"""ONNX Runtime: the second CPU engine, quick to compile, and its CUDA and TensorRT providers.

An int8 file that is written for it (`search_spaces/both_ends.py`) runs as it is. A file in
TensorRT's style, which others may have, would run in float on the CPU: `compile(..., "int8")`
rewrites that one first (`ort_flavour`). Either way the integer convolutions of the optimized
graph are counted.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from latency_models.base import (
    CompileError,
    DeviceError,
    EngineUnavailable,
    Layer,
    Precision,
    graph_inputs,
    random_inputs,
)
from latency_models.engines import file_facts, ort_flavour
from latency_models.engines.ort_model import OnnxRuntimeModel, blame

Provider = Literal["cpu", "cuda", "tensorrt"]

HANDLING = 2
"""Counts up when the same file is compiled otherwise than before: a receipt from before is then
one of something else."""
_EXACT_ANYWHERE = 64
"""Weights up to this one are added exactly on any processor (`int8_support.py`)."""
_INT8_KINDS = frozenset({"QLinearConv", *file_facts.INTEGER_OPS})
_COMPUTE_KINDS = frozenset({"Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul"})

_PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_INSTALL = {
    "cpu": "pip install 'freeway-nas[onnxruntime]'",
    "cuda": "pip install onnxruntime-gpu (in place of onnxruntime)",
    "tensorrt": "pip install onnxruntime-gpu tensorrt-cu12 (in place of onnxruntime)",
}


class OnnxRuntimeEngine:
    """Compiles for one execution provider and never runs on another.

    Attributes:
        threads: threads of one operator; they do not spin while idle, because a spinning thread
            adds its processor time to whatever is measured next.
        provider: "cpu", "cuda" or "tensorrt".
        handling: how files are compiled, as a number that receipts depend on.
    """

    name = "onnxruntime"

    def __init__(self, threads: int = 1, provider: Provider = "cpu") -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; at least one is needed")
        if provider not in _PROVIDERS:
            raise ValueError(f"provider is {provider!r}: one of {', '.join(_PROVIDERS)}")
        self.threads = threads
        self.provider: Provider = provider
        self.handling = HANDLING

    def available(self) -> str | None:
        """None when the provider can be used, else what to install."""
        try:
            ort = importlib.import_module("onnxruntime")
        except ImportError as error:
            return f"onnxruntime is not installed ({error}): {_INSTALL[self.provider]}"
        wanted, there = _PROVIDERS[self.provider], ort.get_available_providers()
        if wanted not in there:
            return (
                f"this onnxruntime has {', '.join(there)}, not {wanted}: "
                + (_INSTALL[self.provider])
            )
        return None

    def version(self) -> str:
        """The library's version, and the provider where it is not the CPU."""
        self._require()
        version = str(importlib.import_module("onnxruntime").__version__)
        return version if self.provider == "cpu" else f"{version} ({self.provider})"

    def device(self) -> str:
        """The processor's name, or the GPU's number for the GPU providers."""
        self._require()
        return _processor_name() if self.provider == "cpu" else "cuda:0"

    def compile(self, onnx: bytes, precision: Precision) -> OnnxRuntimeModel:
        """Compile one file written at this precision.

        An int8 file with quantizers at both ends of its convolutions is taken as it is, and so
        are files of ONNX Runtime's own quantizer. On the CPU one in TensorRT's style is rewritten;
        scales that it does not hold are taken from one random input, which is enough for timing.
        To ship such a file, call `ort_flavour.to_ort_flavour` with ranges of real images.

        Raises:
            CompileError: the graph is refused, or would not run as asked.
            DeviceError: the provider or the machine failed.
        """
        self._require()
        model = file_facts.read_model(onnx)
        file_facts.require_precision(model, precision)
        convs = len(file_facts.quantized_convs(model))
        taken = self._int8_file(onnx, model, convs) if precision == "int8" else onnx
        compiled = OnnxRuntimeModel(self, taken, precision)
        if self.provider == "cpu" and precision != "fp32":
            # What others quantized may run in float in part; what was made to run so may not.
            whole = taken is not onnx or file_facts.is_own(model)
            least = convs if whole else 1
            try:
                _require_run_precision(compiled.layers(), precision, least=least)
            except (CompileError, DeviceError):
                compiled.close()
                raise
        return compiled

    def _int8_file(self, onnx: bytes, model: Any, convs: int) -> bytes:
        if self.provider == "cuda":
            raise CompileError(
                "the CUDA provider has no int8 convolution and would run this file in float: use "
                "the tensorrt engine, or the cpu provider"
            )
        if file_facts.integer_layers(model):
            return onnx
        if convs == 0:
            raise CompileError("int8 was asked for, but no convolution of the file is quantized")
        if self.provider == "tensorrt" or file_facts.has_both_ends(model):
            return onnx
        if not ort_flavour.can_rewrite(model):
            return onnx
        shapes = [_shape(value) for value in graph_inputs(model)]
        inputs = [random_inputs(shape, seed=index) for index, shape in enumerate(shapes)]
        return ort_flavour.to_ort_flavour(onnx, ort_flavour.ranges_from_inputs(onnx, [inputs]))

    def session(
        self, onnx: bytes, *, profile: Path | None = None, optimized: Path | None = None
    ) -> Any:
        """Open a session on the asked provider alone.

        Args:
            onnx: the file.
            profile: prefix of a profile to write.
            optimized: where to write the optimized graph.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # failures come as exceptions
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if _may_saturate(onnx):
            # Without it, processors that have no VNNI saturate sums of uint8 x int8 products:
            # outputs were wrong by 10 % of their range. With VNNI it changes nothing. QLinearConv
            # of int8 in the file itself is refused with it (ONNX Runtime 1.32: half of the types
            # are changed to uint8). Files with weights up to 64 run as in any plain session.
            options.add_session_config_entry("session.x64quantprecision", "1")
        if self.provider != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        if optimized is not None:
            options.optimized_model_filepath = str(optimized)
        wanted = _PROVIDERS[self.provider]
        try:
            session = onnxruntime.InferenceSession(onnx, options, providers=[wanted])
        except Exception as error:
            raise blame("compile the network", error) from error
        if session.get_providers()[0] != wanted:
            raise DeviceError(
                f"{wanted} was asked for, ONNX Runtime took {session.get_providers()}"
            )
        return session

    def _require(self) -> None:
        reason = self.available()
        if reason is not None:
            raise EngineUnavailable(reason)


def _require_run_precision(
    layers: Sequence[Layer], precision: Precision, *, least: int
) -> None:
    """Refuse what would run at another precision than the report will say.

    Args:
        least: how many layers have to run in int8, where that was asked for.
    """
    if precision == "int8":
        found = sum(layer.kind in _INT8_KINDS for layer in layers)
        if found < least:
            raise CompileError(
                f"layers of the file are quantized, at least {least}, but ONNX Runtime runs only "
                f"{found} in int8 and the others in float"
            )
    elif any(layer.kind in _COMPUTE_KINDS and layer.precision == "fp32" for layer in layers):
        raise DeviceError(
            "ONNX Runtime has no fp16 kernels for this processor and would cast to fp32: ask for "
            "fp32 or int8, or measure on a device that has them"
        )


def _may_saturate(onnx: bytes) -> bool:
    """True for Q/DQ pairs with weights of which two products may not fit into 16 bits."""
    from onnx import load_model_from_string

    if b"DequantizeLinear" not in onnx:
        return False
    model = load_model_from_string(onnx)
    large = file_facts.largest_integer(model) > _EXACT_ANYWHERE
    return large and not file_facts.integer_layers(model)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)


def _processor_name() -> str:
    """The processor's model name, as Linux tells it."""
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

"""PyTorch's own compiler over the ONNX file: for users who ship PyTorch itself.

On the CPU it runs the same class of kernels as the other engines (within 12 % on three networks)
and compiles for seconds where they take milliseconds, so it is not for screening many candidates.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from latency_models.base import CompileError, DeviceError, EngineUnavailable, Precision
from latency_models.engines import file_facts
from latency_models.engines.inductor_model import InductorModel, example_inputs
from latency_models.engines.inductor_module import to_module

Processor = Literal["cpu", "cuda"]
Mode = Literal["default", "reduce-overhead", "max-autotune"]

_INSTALL = "pip install torch"
_INSTALL_CUDA = "pip install torch --index-url https://download.pytorch.org/whl/cu130"


class InductorEngine:
    """Compiles with `torch.compile`; weights are frozen into the code.

    Attributes:
        threads: threads of one operator on the CPU.
        processor: "cpu" or "cuda".
        mode: PyTorch's compile mode. On a GPU "reduce-overhead" and "max-autotune" replay CUDA
            graphs; "default" launches each kernel from Python.
    """

    name = "inductor"

    def __init__(
        self,
        threads: int = 1,
        *,
        processor: Processor = "cpu",
        mode: Mode | None = None,
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; at least one is needed")
        if processor not in ("cpu", "cuda"):
            raise ValueError(f"processor is {processor!r}: cpu or cuda")
        self.threads = threads
        self.processor: Processor = processor
        self.mode: Mode = mode or ("default" if processor == "cpu" else "max-autotune")

    def available(self) -> str | None:
        """None when PyTorch can compile for the processor, else what is missing."""
        if importlib.util.find_spec("torch") is None:
            return f"PyTorch is not installed: {_INSTALL}"
        if self.processor == "cuda":
            return _why_no_cuda()
        wanted = os.environ.get("CXX", "g++")
        if not any(shutil.which(name) for name in (wanted, "g++", "clang++")):
            return (
                f"no C++ compiler ({wanted}) was found, inductor compiles its kernels with one: "
                "apt-get install g++, or set CXX"
            )
        return None

    def version(self) -> str:
        """PyTorch's version, the processor and the mode."""
        self._require()
        import torch

        return f"{torch.__version__} ({self.processor}, {self.mode})"

    def device(self) -> str:
        """The processor's name."""
        self._require()
        import torch

        if self.processor == "cuda":
            return torch.cuda.get_device_name(0)
        return str(torch.backends.cpu.get_cpu_capability()) + " " + _processor_name()

    def compile(self, onnx: bytes, precision: Precision) -> InductorModel:
        """Compile one file written at this precision and run it once.

        Raises:
            CompileError: int8, which inductor does not compile from Q/DQ nodes; an operator that
                is not covered; or the compiler's own refusal.
            DeviceError: the GPU failed, or the processor has no fp16 arithmetic.
        """
        if precision == "int8":
            raise CompileError(
                "the inductor engine does not run int8: it lowers integer convolutions only from "
                "its own quantized graphs, never from Q/DQ nodes, which would run in float. Use "
                "openvino, onnxruntime or tensorrt for int8"
            )
        self._require()
        model = file_facts.read_model(onnx)
        file_facts.require_precision(model, precision)
        if precision == "fp16" and self.processor == "cpu" and not _has_half_kernels():
            raise DeviceError(
                "this processor has no fp16 arithmetic, PyTorch would convert to fp32 and back: "
                "ask for fp32, or use processor='cuda'"
            )
        module = to_module(model)
        with self.settings(), _compile_errors():
            compiled = self._compiled(module, {})
            inputs = example_inputs(model, self.processor)
            return InductorModel(self, module, compiled, inputs, precision, engine_bytes=len(onnx))

    def recompiled(self, module: Any, options: dict[str, Any]) -> Any:
        """Compile the same module once more with further options, for profiling."""
        with self.settings(), _compile_errors():
            return self._compiled(module, options)

    def _compiled(self, module: Any, options: dict[str, Any]) -> Any:
        import torch

        chosen: dict[str, Any] = {"freezing": True, **options}
        if self.mode != "default":
            chosen.update(torch._inductor.list_mode_options(self.mode))
        module = module.to(self.processor)
        with warnings.catch_warnings():
            # PyTorch's own import of its own deprecated script_method (2.13).
            warnings.simplefilter("ignore", DeprecationWarning)
            import torch._inductor.compile_fx
        torch._dynamo.reset()  # its cache of earlier networks counts towards a recompile limit
        return torch.compile(module, fullgraph=True, dynamic=False, options=chosen)

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Threads, frozen weights and no gradients, all global to PyTorch, restored afterwards.

        Freezing must be set while tracing too, or weights stay inputs and nothing is fused.
        """
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.no_grad(), torch._inductor.config.patch(freezing=True):
                yield
        finally:
            torch.set_num_threads(before)

    def _require(self) -> None:
        reason = self.available()
        if reason is not None:
            raise EngineUnavailable(reason)


def _why_no_cuda() -> str | None:
    import torch

    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA: {_INSTALL_CUDA}"
    if not torch.cuda.is_available():
        return "no NVIDIA GPU can be used here (is one visible to nvidia-smi?)"
    if importlib.util.find_spec("triton") is None:
        return "triton, which inductor needs for GPUs, is not installed: pip install triton"
    return None


@contextmanager
def _compile_errors() -> Iterator[None]:
    """The compiler's refusals are the graph's fault; memory and CUDA are the machine's."""
    import torch

    try:
        yield
    except (CompileError, DeviceError):
        raise
    except (torch.OutOfMemoryError, torch.AcceleratorError, MemoryError) as error:
        raise DeviceError(f"inductor: {error}") from error
    except Exception as error:
        words = " ".join(str(error).split())[:600]
        if "InvalidCxxCompiler" in type(error).__name__ + words:
            raise EngineUnavailable(f"inductor has no working C++ compiler: {words}") from error
        raise CompileError(f"inductor cannot compile the network: {words}") from error


def _has_half_kernels() -> bool:
    import torch

    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", None)
    return supported is not None and bool(supported())


def _processor_name() -> str:
    import platform

    return platform.processor() or platform.machine()

"""TensorRT: the engine for NVIDIA GPUs, from version 10.3 on and 11.

The precision of a network is in its ONNX file, one file per precision, because both majors build
strongly typed networks. What was built is read back with the engine inspector.
Nothing is timed on the host's clock alone: `Sample.device_ms` is the time between two events.
"""

from __future__ import annotations

import importlib
import re
import time
from pathlib import Path

from latency_models.base import CompileError, DeviceError, EngineUnavailable, Precision
from latency_models.engines import file_facts
from latency_models.engines.trt_build import BuildOptions
from latency_models.engines.trt_cache import TimingCacheFile, default_cache_dir, driver_version
from latency_models.engines.trt_model import Source, TensorRTModel
from latency_models.engines.trt_run import Launch

OLDEST = (10, 3)  # JetPack 6 has 10.3; every name used here exists from there on
_INSTALL = "pip install 'freeway-nas[tensorrt]' (or tensorrt-cu13, tensorrt-cu12 for CUDA 12)"
_INSTALL_TORCH = "pip install torch --index-url https://download.pytorch.org/whl/cu130"


class TensorRTEngine:
    """Compiles for one GPU and launches through a CUDA graph.

    Attributes:
        options: how TensorRT builds; part of `version()`, since they change a latency.
        launch: "graph" replays a captured CUDA graph; "enqueue" is the plain call, for networks
            that cannot be captured. The two are never compared.
        threads: always 1, the host thread that launches.
    """

    name = "tensorrt"
    threads = 1

    def __init__(
        self,
        *,
        optimization_level: int = 3,
        avg_timing_iterations: int = 8,
        workspace_mib: int | None = None,
        max_aux_streams: int | None = None,
        tf32: bool = True,
        launch: Launch = "graph",
        verify_precision: bool = True,
        device_index: int = 0,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Keep the options; nothing is imported or opened yet.

        Args:
            optimization_level: see `BuildOptions`, as the next four.
            avg_timing_iterations: runs per tactic.
            workspace_mib: limit for one tactic's scratch.
            max_aux_streams: streams for parallel branches.
            tf32: fp32 convolutions may use TF32, TensorRT's own default.
            launch: how a run is started.
            verify_precision: build once more with details and check what the convolutions run
                in; the second build reuses the timing cache.
            device_index: which of the visible GPUs.
            cache_dir: where timing caches lie; default is the user's cache folder.
        """
        if launch not in ("graph", "enqueue"):
            raise ValueError(f"launch is {launch!r}: graph or enqueue")
        self.options = BuildOptions(
            optimization_level=optimization_level,
            avg_timing_iterations=avg_timing_iterations,
            workspace_mib=workspace_mib,
            max_aux_streams=max_aux_streams,
            tf32=tf32,
        )
        self.launch = launch
        self.verify_precision = verify_precision
        self.device_index = device_index
        self.cache_dir = Path(cache_dir) if cache_dir is not None else default_cache_dir()

    def available(self) -> str | None:
        """None when TensorRT and a GPU are here, else what is missing and how to get it."""
        try:
            version = library_version()
        except (ImportError, OSError) as error:  # OSError: a library of CUDA is missing
            return f"TensorRT is not installed ({error}): {_INSTALL}"
        if _numbers(version) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            return f"TensorRT {version} is older than {oldest}: {_INSTALL}"
        return self._why_no_gpu()

    def _why_no_gpu(self) -> str | None:
        try:
            import torch
        except ImportError:
            return f"PyTorch, the CUDA layer of this engine, is not installed: {_INSTALL_TORCH}"
        if torch.version.cuda is None:
            return f"PyTorch {torch.__version__} is built without CUDA: {_INSTALL_TORCH}"
        if not torch.cuda.is_available():
            return (
                "no NVIDIA GPU can be used here (is one visible to nvidia-smi, and is its driver "
                f"new enough for CUDA {torch.version.cuda}?)"
            )
        if self.device_index >= torch.cuda.device_count():
            return f"GPU {self.device_index} was asked for, there are {torch.cuda.device_count()}"
        return None

    def version(self) -> str:
        """The library's version and the options that a latency depends on."""
        try:
            version = library_version()
        except (ImportError, OSError) as error:
            raise EngineUnavailable(f"TensorRT is not installed ({error}): {_INSTALL}") from error
        return f"{version} ({self.launch}, {self.options.describe()})"

    def device(self) -> str:
        """The GPU's name."""
        self._require()
        import torch

        return torch.cuda.get_device_name(self.device_index)

    def compile(self, onnx: bytes, precision: Precision) -> TensorRTModel:
        """Build one file, load it, capture it, and check the precision of its convolutions.

        Raises:
            CompileError: the file is not at this precision, the parser or builder refuses it, it
                cannot be captured, or a convolution runs in another type.
            DeviceError: CUDA failed or its memory ran out.
        """
        self._require()
        import torch

        model = file_facts.read_model(onnx)
        file_facts.require_precision(model, precision)
        source = Source(self, onnx, precision, model)
        with torch.cuda.device(self.device_index):
            started = time.perf_counter()
            plan = source.build(detailed=False)
            build_s = time.perf_counter() - started
            compiled = TensorRTModel(source, plan, build_s=build_s)
            try:
                if self.verify_precision:
                    compiled.require_precision()
            except (CompileError, DeviceError):
                compiled.close()
                raise
        return compiled

    def timing_cache(self) -> TimingCacheFile:
        """The timing cache of this GPU, driver, CUDA and TensorRT."""
        import torch

        key = (library_version(), self.device(), driver_version(), str(torch.version.cuda))
        return TimingCacheFile(self.cache_dir, key)

    def _require(self) -> None:
        reason = self.available()
        if reason is not None:
            raise EngineUnavailable(reason)


def library_version() -> str:
    """TensorRT's own version.

    Raises:
        ImportError: it is not installed, or a library it needs is missing.
    """
    return str(importlib.import_module("tensorrt").__version__)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])

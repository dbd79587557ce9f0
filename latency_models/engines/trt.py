"""TensorRT: the engine for NVIDIA GPUs, from version 10.3 on and 11; `trt_rtx` has its sibling.

The precision of a network is in its ONNX file, one file per precision, because both majors build
strongly typed networks. What was built is read back with the engine inspector.
Nothing is timed on the host's clock alone: `Sample.device_ms` is the time between two events.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import ClassVar

from latency_models.base import CompileError, DeviceError, EngineUnavailable, Precision
from latency_models.engines import file_facts
from latency_models.engines.trt_build import BuildOptions
from latency_models.engines.trt_cache import CacheFile, default_cache_dir, driver_version
from latency_models.engines.trt_library import LIBRARIES, Library, take
from latency_models.engines.trt_model import Source, TensorRTModel
from latency_models.engines.trt_run import Launch

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
    member: ClassVar[Library] = LIBRARIES["tensorrt"]

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
        return self.why_no_library() or self.why_no_gpu()

    def why_no_library(self) -> str | None:
        """None when the library is here and new enough, else what to install."""
        library = self.member
        try:
            version = library.version()
        except (ImportError, OSError) as error:  # OSError: a library of CUDA is missing
            return f"{library.title} is not installed ({error}): {library.install}"
        if _numbers(version) < library.oldest:
            oldest = ".".join(map(str, library.oldest))
            return f"{library.title} {version} is older than {oldest}: {library.install}"
        return None

    def why_no_gpu(self) -> str | None:
        """None when PyTorch reaches the GPU that was asked for, else what is missing."""
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
            version = self.member.version()
        except (ImportError, OSError) as error:
            raise EngineUnavailable(str(self.why_no_library())) from error
        return f"{version} ({self.launch}, {self.options.describe()})"

    def device(self) -> str:
        """The GPU's name."""
        self.require(self.available())
        import torch

        return torch.cuda.get_device_name(self.device_index)

    def compile(
        self, onnx: bytes, precision: Precision, plan: bytes | None = None
    ) -> TensorRTModel:
        """Build one file, load it, capture it, and check the precision of its convolutions.

        Args:
            plan: what was built of the file before, by this version for this kind of GPU; it is
                loaded in place of a build.

        Raises:
            CompileError: the file is not at this precision, the parser or builder refuses it, it
                cannot be captured, or a convolution runs in another type.
            DeviceError: CUDA failed or its memory ran out.
        """
        self.require(self.available())
        import torch

        source = self.source_of(onnx, precision)
        with torch.cuda.device(self.device_index):
            started = time.perf_counter()
            data = plan if plan is not None else source.build(detailed=False).data
            build_s = time.perf_counter() - started
            compiled = TensorRTModel(source, data, build_s=build_s)
            try:
                if self.verify_precision:
                    compiled.require_precision()
            except (CompileError, DeviceError):
                compiled.close()
                raise
        return compiled

    def timing_cache(self) -> CacheFile | None:
        """The timing cache of this GPU, driver, CUDA and TensorRT."""
        return self._cache_file("timing")

    def runtime_cache(self) -> CacheFile | None:
        """Where kernels are kept that are compiled when a plan is loaded: none here."""
        return None

    def _cache_file(self, kind: str) -> CacheFile:
        import torch

        key = (self.member.version(), self.device(), driver_version(), str(torch.version.cuda))
        return CacheFile(self.cache_dir, (self.name, *key), kind)

    def source_of(self, onnx: bytes, precision: Precision) -> Source:
        """The file with what building needs to know of it, in this engine's library.

        Raises:
            CompileError: it is not at this precision.
            EngineUnavailable: this process works with another library of the family.
        """
        take(self.member.module)
        model = file_facts.read_model(onnx)
        file_facts.require_precision(model, precision)
        return Source(self, onnx, precision, model)

    @staticmethod
    def require(reason: str | None) -> None:
        """Refuse to go on where there is a reason.

        Raises:
            EngineUnavailable: with that reason.
        """
        if reason is not None:
            raise EngineUnavailable(reason)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])

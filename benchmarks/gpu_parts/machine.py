"""The machine: its GPU, driver and libraries, and why it has no CUDA where it has none."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from typing import Any

from gpu_parts.base import Form, Pace, Row, Tell
from latency_models import device
from latency_models.engines.inductor import InductorEngine
from latency_models.engines.trt_cache import driver_version

LIBRARIES = (
    "triton", "pytorch_lightning", "tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings",
    "onnxruntime", "pynvml",
)  # fmt: skip


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Tell one row."""
    import torch

    gpu = torch.cuda.is_available()
    cores = len(os.sched_getaffinity(0))
    facts: dict[str, Any] = {
        "no_cuda": "" if gpu else InductorEngine(processor="cuda").available() or "no GPU",
        "libraries": [name for name in LIBRARIES if importlib.util.find_spec(name)],
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "driver": driver_version(),
        "processor": device.cpu_name(),
        "c_compiler": next(filter(None, map(shutil.which, ("gcc", "cc", "clang"))), None),
        "cores": cores,
        "conditions": device.conditions(),
    }
    name = device.cpu_name()
    if gpu:
        name = torch.cuda.get_device_name(0)
        facts |= {
            "gpu": name,
            "capability": list(torch.cuda.get_device_capability(0)),
            "memory_mib": torch.cuda.get_device_properties(0).total_memory >> 20,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        }
    measured_on = name if form.device == "cuda" else device.cpu_name()
    words = f"torch {facts['torch']}, CUDA {facts['cuda']}, driver {facts['driver']}"
    if not facts["c_compiler"]:
        words += "; no C compiler, which torch.compile needs"
    tell(Row("machine", measured_on[:42], "measured", cores, "cores", words, facts))

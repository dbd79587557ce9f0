"""What int8 arithmetic of this processor can hold without saturating."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"}
_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_WITHOUT_DOT_PRODUCTS = {"SSE41", "AVX", "AVX2", "AVX512_CORE"}
_FULL, _HALF = 127, 64


@cache
def processor_flags() -> frozenset[str]:
    """The instruction sets the kernel lists for the first processor; empty where it does not."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def largest_weight(engine: str, flags: frozenset[str] | None = None) -> int:
    """The largest int8 weight that this engine computes exactly on this machine.

    x86 processors without VNNI add two u8 x s8 products in 16 bits, saturating: 2 * 255 * 127
    does not fit, 2 * 255 * 64 does. Larger weights give wrong outputs there, without an error
    (oneDNN developer guide, "Nuances of int8 computations"). OpenVINO does the same beside VNNI
    where its oneDNN is told to leave that (ONEDNN_MAX_CPU_ISA=AVX2).
    """
    on_processor = engine in ("openvino", "onnxruntime")
    known = processor_flags() if flags is None else flags
    x86 = platform.machine() in ("x86_64", "AMD64") or "sse2" in known
    held_back = engine == "openvino" and _held_back()
    adds_exactly = bool(known & _DOT_PRODUCTS) and not held_back
    return _HALF if on_processor and x86 and known and not adds_exactly else _FULL


def _held_back() -> bool:
    """Whether oneDNN's environment keeps it from the instructions that add exactly."""
    cap = next((os.environ[name] for name in _CAPS if os.environ.get(name)), "")
    return cap.upper() in _WITHOUT_DOT_PRODUCTS

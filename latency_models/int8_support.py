"""What int8 arithmetic of this processor can hold without saturating."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"}
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
    (oneDNN developer guide, "Nuances of int8 computations").
    """
    on_processor = engine in ("openvino", "onnxruntime")
    known = processor_flags() if flags is None else flags
    x86 = platform.machine() in ("x86_64", "AMD64") or "sse2" in known
    return _HALF if on_processor and x86 and known and not known & _DOT_PRODUCTS else _FULL

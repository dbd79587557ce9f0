"""Which member of the TensorRT family this process works with: their APIs are one.

`tensorrt` builds on the GPU that it will run on. `tensorrt_rtx` (TensorRT for RTX) compiles ahead
of time, without a GPU, and finishes its kernels on the card. All other files of this folder take
`trt` from here, and so serve both.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from latency_models.base import EngineUnavailable

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["LIBRARIES", "Library", "chosen", "take", "trt", "used"]


@dataclass(frozen=True)
class Library:
    """One member of the family.

    Attributes:
        module: the Python package, and the engine's name.
        title: as NVIDIA calls it.
        oldest: major and minor version from which on every name used here exists.
        install: the command that installs it.
    """

    module: str
    title: str
    oldest: tuple[int, int]
    install: str

    def version(self) -> str:
        """The library's own version.

        Raises:
            ImportError: it is not installed, or a library that it needs is missing.
        """
        return str(importlib.import_module(self.module).__version__)


LIBRARIES: Mapping[str, Library] = {
    library.module: library
    for library in (
        Library(
            "tensorrt", "TensorRT", (10, 3),  # JetPack 6 has 10.3
            "pip install 'freeway-nas[tensorrt]' (or tensorrt-cu13, tensorrt-cu12 for CUDA 12)",
        ),
        Library(
            "tensorrt_rtx", "TensorRT for RTX", (1, 7),
            "pip install 'freeway-nas[tensorrt-rtx]' (or tensorrt-rtx-cu13 for CUDA 13)",
        ),
    )
}
_state = {"chosen": "tensorrt", "used": ""}


def chosen() -> Library:
    """The member that `trt` stands for."""
    return LIBRARIES[_state["chosen"]]


def used() -> None:
    """Remember that something was made with the chosen member, which from now on must stay."""
    _state["used"] = _state["chosen"]


def take(name: str) -> None:
    """Let `trt` stand for this member.

    Raises:
        EngineUnavailable: this process has begun to work with the other one. Objects of the two
            do not mix, so each gets a process of its own (`IsolatedLatency` does that).
    """
    if _state["used"] not in ("", name):
        raise EngineUnavailable(
            f"this process works with {LIBRARIES[_state['used']].title}: "
            f"{LIBRARIES[name].title} needs a process of its own (IsolatedLatency gives it one)"
        )
    _state["chosen"] = name


if not TYPE_CHECKING:

    class _Chosen:
        """The chosen package; it is imported when one of its names is asked for."""

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module(_state["chosen"]), name)

    trt = _Chosen()

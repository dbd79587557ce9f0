"""A real TensorRT for the tests: it builds without a GPU, in a process of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_ASKER = Path(__file__).resolve().parents[2] / "benchmarks" / "tensorrt_answers.py"


def answers(files: Sequence[bytes], *, version: str, build: bool = True) -> list[str]:
    """Why TensorRT for RTX refuses each file, empty where it takes it.

    Skips the test where the library is not installed or is not the one of the recorded answers.
    """
    installed, told = _asker(version).ask(files, build=build)
    _same(installed, version)
    return [str(answer) for answer in told]


def operators(version: str) -> set[str]:
    """ONNX's operators that TensorRT for RTX knows; skips like `answers`."""
    installed, names = _asker(version).known_operators()
    _same(installed, version)
    return set(names)


def _same(installed: str, version: str) -> None:
    if installed != version:
        pytest.skip(f"the answers were recorded with {version}, installed is {installed}")


def _asker(version: str) -> Any:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip(f"no TensorRT for RTX: pip install tensorrt-rtx-cu12=={version}")
    spec = importlib.util.spec_from_file_location("tensorrt_answers", _ASKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

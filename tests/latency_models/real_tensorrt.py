"""A real TensorRT for the tests: it builds without a GPU, in a process of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
import pytest

from latency_models.base import CompileError
from latency_models.isolated import Isolated
from latency_models.trt_examined import Parser


def answers(files: Sequence[bytes], *, version: str, build: bool = True) -> list[str]:
    """Why TensorRT for RTX refuses each file, empty where it takes it.

    Skips the test where the library is not installed or is not the one of the recorded answers.
    """
    with _library(version) as child:
        return [_answer(child, file, build) for file in files]


def operators(version: str) -> set[str]:
    """ONNX's operators that TensorRT for RTX knows; skips like `answers`."""
    names = sorted({s.name for s in onnx.defs.get_all_schemas() if s.domain == ""})
    with _library(version) as child:
        return set(child.ask("operators", names))


def _answer(child: Isolated, file: bytes, build: bool) -> str:
    try:
        return str(child.ask("refusal", file, build=build))
    except CompileError as error:
        return f"crash: {error}"


@contextmanager
def _library(version: str) -> Iterator[Isolated]:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip(f"no TensorRT for RTX: pip install tensorrt-rtx-cu12=={version}")
    with Isolated(Parser) as child:
        installed = child.ask("version")
        if installed != version:
            pytest.skip(f"the answers were recorded with {version}, installed is {installed}")
        yield child

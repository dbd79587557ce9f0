"""One process works with one member of the TensorRT family."""

from __future__ import annotations

import sys
import types

import pytest

from latency_models.base import EngineUnavailable
from latency_models.engines import trt_library
from latency_models.engines.trt_library import LIBRARIES, chosen, take, trt, used


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt_library, "_state", {"chosen": "tensorrt", "used": ""})
    for name in LIBRARIES:
        there = types.ModuleType(name)
        there.__version__ = "9.9"  # type: ignore[attr-defined]
        there.Builder = f"that of {name}"  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, there)


def test_the_names_are_those_of_the_member_that_was_taken() -> None:
    assert trt.Builder == "that of tensorrt"
    take("tensorrt_rtx")
    assert trt.Builder == "that of tensorrt_rtx"
    assert chosen().title == "TensorRT for RTX"
    assert chosen().version() == "9.9"


def test_once_used_it_stays_and_the_other_is_told_to_have_a_process_of_its_own() -> None:
    take("tensorrt_rtx")
    used()
    take("tensorrt_rtx")
    with pytest.raises(EngineUnavailable, match="TensorRT needs a process of its own"):
        take("tensorrt")
    assert trt.Builder == "that of tensorrt_rtx"

"""An engine is picked by name and never replaced by another."""

from __future__ import annotations

import pytest

from latency_models import engines
from latency_models.base import EngineUnavailable
from latency_models.engines import ENGINES, pick_engine
from latency_models.engines.ov import OpenVINOEngine


def test_the_engine_that_was_asked_for_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cores", lambda: 2)
    engine, sentence = pick_engine("openvino", threads=2)
    assert isinstance(engine, OpenVINOEngine)
    assert engine.threads == 2
    assert "openvino" in sentence


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "auto"])
def test_more_threads_than_cores_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "cores", lambda: 2)
    with pytest.raises(ValueError, match="threads is 3, and this process has 2 cores"):
        pick_engine(name, threads=3)


def test_an_unknown_name_lists_the_known_ones() -> None:
    known = "openvino, onnxruntime, tensorrt, tensorrt_rtx, inductor and auto"
    with pytest.raises(ValueError, match=known):
        pick_engine("tflite")


def test_an_engine_that_cannot_run_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(OpenVINOEngine, "available", lambda self: "not here: pip install it")
    with pytest.raises(EngineUnavailable, match="openvino.*not here: pip install it"):
        pick_engine("openvino")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "openvino", "latency_models.engines.no_such_file:Engine")
    with pytest.raises(EngineUnavailable, match="pip install"):
        pick_engine("openvino")


def test_auto_says_what_it_picked_and_why_not_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(ENGINES, "tensorrt", "latency_models.engines.no_such_file:Engine")
    engine, sentence = pick_engine("auto")
    assert engine.name == "openvino"
    assert "openvino was picked" in sentence
    assert "not tensorrt" in sentence


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="no setting.*colour"):
        pick_engine("openvino", settings={"colour": "red"})

"""What is said of a network that was compiled and not run."""

from __future__ import annotations

import pytest
from trt_style_nets import chain

from latency_models.base import CompileError, EngineUnavailable, Plan, Precision
from latency_models.cards import CARDS
from latency_models.compiled import CompiledLatency, require_builder
from latency_models.engines.ov import OpenVINOEngine
from latency_models.file_work import work_of_file
from latency_models.roofline import roof


class Compiler:
    """Builds a plan of a few bytes."""

    name, threads = "tensorrt_rtx", 1

    def __init__(self, refusal: str = "", why: str | None = None) -> None:
        self._refusal, self._why = refusal, why

    def version(self) -> str:
        return "1.7"

    def builds(self) -> str | None:
        return self._why

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        if self._refusal:
            raise CompileError(self._refusal)
        return Plan(b"plan", 4)


def latency(card: str = "rtx_4090", refusal: str = "") -> CompiledLatency:
    return CompiledLatency(Compiler(refusal), card)  # type: ignore[arg-type]


def test_the_answer_is_the_roofline_of_the_data_sheet_and_marked_as_estimated() -> None:
    onnx = chain(float_type="fp16")
    report = latency().measure(onnx, "fp16")
    under = roof(work_of_file(onnx), CARDS["rtx_4090"].peaks("fp16"))
    assert report.estimated and report.samples == 0
    assert report.median_ms == under.bound_ms == max(under.compute_ms, under.memory_ms)
    assert report.device == "GeForce RTX 4090"
    assert report.engine_bytes == 4
    told = report.conditions
    assert (told["parsed_layers"], told["compute_ms"]) == (4, under.compute_ms)
    assert report.layers_before == 3
    assert type(report).from_json(report.to_json()) == report


def test_what_the_engine_refuses_is_refused_with_its_words() -> None:
    with pytest.raises(CompileError, match="no kernel"):
        latency(refusal="no kernel for it").measure(chain(), "fp32")


def test_receipts_of_another_card_or_of_a_run_answer_nothing() -> None:
    one, other = latency().identity(), latency("rtx_3090").identity()
    assert one != other
    assert "not run" in one["state"]


@pytest.mark.parametrize("name", CARDS)
def test_every_card_is_faster_at_lower_precision_and_has_a_kind(name: str) -> None:
    card = CARDS[name]
    rates = [card.peaks(p).gmacs_per_s for p in ("fp32", "fp16", "int8")]  # type: ignore[arg-type]
    assert rates == sorted(rates) and len(set(rates)) == 3
    assert card.kind.startswith("sm")


def test_an_engine_that_needs_its_device_is_no_compiler() -> None:
    with pytest.raises(EngineUnavailable, match="'openvino' cannot compile only"):
        require_builder(OpenVINOEngine())
    with pytest.raises(EngineUnavailable, match="not installed: pip"):
        require_builder(Compiler(why="not installed: pip"))

"""`nas widths`: the cost of a layer at each feature count, and what to make of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from latency_models.base import CompileError, LatencyReport, Precision
from latency_models.engines.trt import TensorRTEngine
from latency_models.file_work import work_of_file
from nas.commands.widths import main
from nas.measurements.width_plot import width_plot
from nas.measurements.width_sweep import (
    OPS,
    LayerShape,
    Op,
    WidthPoint,
    judge,
    override,
    sweep,
    worth_trying,
)
from search_spaces.super_resolution import SuperResolutionSpace
from tests.nas.finished_studies import receipt

SHAPE = LayerShape(height=8, width=8)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def points(times_ms: dict[int, float]) -> list[WidthPoint]:
    """Dense layers of these times; the work grows with the square of the count."""
    return [WidthPoint(c, c * c, ms) for c, ms in times_ms.items()]


def marks(times_ms: dict[int, float]) -> dict[int, str]:
    return {p.channels: p.mark for p in judge(points(times_ms))}


def test_a_device_that_computes_blocks_of_32_shows_its_stairs() -> None:
    # Every count costs what the next multiple of 32 costs.
    stairs = {c: float((-(-c // 32)) ** 2) for c in range(8, 129, 8)}
    found = marks(stairs)
    assert [c for c, mark in found.items() if mark == "sweet spot"] == [32, 64, 96, 128]
    assert all(found[c] == "no use" for c in found if c % 32)
    assert worth_trying(judge(points(stairs))) == [32, 64, 96, 128]


def test_a_count_that_is_much_less_efficient_than_a_narrower_one_is_past_a_cliff() -> None:
    found = marks({16: 2.56, 32: 10.24, 40: 25.0, 48: 26.0, 64: 40.96})
    assert found == {16: "", 32: "sweet spot", 40: "cliff", 48: "cliff", 64: "sweet spot"}


def test_where_efficiency_only_grows_all_counts_are_worth_trying() -> None:
    growing = judge(points({8: 1.0, 16: 3.0, 32: 10.0}))
    assert worth_trying(growing) == [8, 16, 32]
    assert [p.mark for p in growing] == ["", "", "sweet spot"]
    assert growing[-1].efficiency == 1.0
    assert override(growing) == "search_space.widths=[8,16,32]"


def test_nothing_is_left_out_on_a_vague_time() -> None:
    times = {16: 2.56, 32: 10.24, 40: 25.0, 64: 40.96}
    vague = [replace(p, error_ms=0.3 * (p.layer_ms or 0)) for p in points(times)]
    judged = judge(vague)
    assert judged[2].mark == "cliff"
    assert worth_trying(judged) == [16, 32, 40, 64]


def test_counts_without_a_time_are_kept_out() -> None:
    odd = WidthPoint(24, 576, why="refused")
    judged = judge([*points({8: 1.0, 16: 3.0}), odd])
    assert worth_trying(judged) == [8, 16]
    assert judged[-1] == odd
    assert judge([odd]) == [odd]


class Chains:
    """Two milliseconds for what stands around the chain, 3 ns for each multiply-add."""

    def measure(
        self, file: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        return receipt(2.0 + work_of_file(file).macs * 3e-6, precision=precision)


@pytest.mark.parametrize("op", OPS)
def test_the_layers_own_cost_is_isolated_from_what_stands_around_it(op: Op) -> None:
    shape = LayerShape(op, 1 if op == "pointwise" else 3, 64, 64)
    ((point, told),) = sweep(shape, [64], Chains(), engine="openvino")
    assert told is not None
    assert point.ns_per_mac == pytest.approx(3.0)
    assert point.macs == shape.macs(64)


def test_multiply_adds_are_those_of_the_layer() -> None:
    pixels = 8 * 8
    assert LayerShape("conv", 5, 8, 8).macs(16) == 25 * 16 * 16 * pixels
    assert LayerShape("depthwise", 3, 8, 8).macs(16) == 9 * 16 * pixels
    assert LayerShape("separable", 3, 8, 8).macs(16) == (9 + 16) * 16 * pixels


def test_a_difference_within_the_noise_is_no_time() -> None:
    class Even(Chains):
        def measure(
            self, file: bytes, precision: Precision, *, limit_ms: float | None = None
        ) -> LatencyReport:
            return receipt(2.0, precision=precision)

    ((point, _),) = sweep(SHAPE, [8], Even(), engine="openvino")
    assert point.layer_ms is None and "cannot be told" in point.why


def test_an_uncertain_count_is_measured_again_and_the_better_time_counts() -> None:
    class Calming(Chains):
        asked = 0

        def measure(
            self, file: bytes, precision: Precision, *, limit_ms: float | None = None
        ) -> LatencyReport:
            self.asked += 1
            report = super().measure(file, precision)
            width = 0.5 if self.asked <= 2 else 0.01
            low, high = report.median_ms * (1 - width), report.median_ms * (1 + width)
            return replace(report, ci_low_ms=low, ci_high_ms=high)

    latency = Calming()
    ((point, _),) = sweep(LayerShape(height=64, width=64), [64], latency, engine="openvino")
    assert latency.asked == 4
    assert point.layer_ms is not None and point.error_ms < 0.1 * point.layer_ms


def test_a_refusal_is_told_and_the_sweep_goes_on() -> None:
    class Picky(Chains):
        def measure(
            self, file: bytes, precision: Precision, *, limit_ms: float | None = None
        ) -> LatencyReport:
            if b"n1.weight" in file and work_of_file(file).macs < 9 * 12 * 12 * 64:
                raise CompileError("too narrow for me")
            return super().measure(file, precision)

    (narrow, told), (wide, _) = sweep(SHAPE, [8, 256], Picky(), engine="openvino")
    assert narrow.why == "too narrow for me" and told is None
    assert wide.layer_ms is not None


def test_the_figures_the_picture_and_the_setting_are_written(
    fake: object, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--engine", "openvino", "--widths", "64:128:32", "--size", "64x64"]
    assert main([*asked, "--out", "widths.json"]) == 0
    out = capsys.readouterr().out
    found = json.loads((elsewhere / "widths.json").read_text())
    assert [p["channels"] for p in found["points"]] == [64, 96, 128]
    assert found["layer"]["op"] == "conv" and found["engine"] == "openvino"
    assert all(p["layer_ms"] > 0 and p["ns_per_mac"] > 0 for p in found["points"])
    assert found["override"] in out
    assert SuperResolutionSpace(widths=found["widths"]).widths == found["widths"]
    picture = ElementTree.fromstring((elsewhere / "widths.svg").read_text())
    assert picture.tag.endswith("svg")


def test_a_real_engine_can_be_swept(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--engine", "openvino", "--widths", "16", "--size", "48x48", "--no-plot"]
    code = main([*asked, "--out", "widths.json"])
    if code == 2:  # on a busy machine so small a difference may drown
        assert "cannot be told" in capsys.readouterr().err
        return
    assert json.loads((elsewhere / "widths.json").read_text())["layer"]["precision"] == "int8"
    assert not (elsewhere / "widths.svg").exists()


def test_the_picture_needs_nothing_from_elsewhere(fake: object, elsewhere: Path) -> None:
    asked = ["--engine", "openvino", "--widths", "64,128", "--size", "64x64"]
    assert main([*asked, "--plot", "widths.html"]) == 0
    page = (elsewhere / "widths.html").read_text()
    assert page.startswith("<!doctype html>") and "search_space.widths" in page
    for reference in ("src=", "href=", "@import", "url("):
        assert reference not in page
    assert page.count("http") == page.count("http://www.w3.org/2000/svg")


def test_a_picture_of_one_count_or_none_can_be_drawn() -> None:
    for some in ([], points({8: 1.0})):
        ElementTree.fromstring(width_plot(judge(some), title="a < b"))


def test_an_engine_that_is_not_here_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TensorRTEngine, "available", lambda self: "absent: pip install it")
    assert main(["--engine", "tensorrt"]) == 2
    assert "pip install it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--widths", "128:8"], "no row of feature counts"),
        (["--widths", "a,b"], "no row of feature counts"),
        (["--widths", "8:16:0"], "no row of feature counts"),
        (["--op", "dense"], "invalid choice"),
        (["--kernel", "4"], "give an odd number"),
        (["--op", "pointwise", "--kernel", "3"], "a pointwise convolution is 1x1"),
        (["--plot", "widths.png"], "end it in .svg or .html"),
        (["--out", "nowhere/widths.json"], "no folder nowhere"),
        (["--engine", "tflite"], "unknown engine"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    asked: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert told.startswith("nas: ") and words in told and told.count("\n") == 1

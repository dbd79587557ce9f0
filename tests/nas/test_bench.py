"""`nas bench`: every cell gives a receipt or its reason."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fake_benches import REFUSED, FakeIsolated

from latency_models.engines.trt import TensorRTEngine
from nas.commands.bench import main
from tests.latency_models.small_nets import conv_net

SMALL = ["--shape", "16x16"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "freeway" / "receipts.sqlite"


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TensorRTEngine, "available", lambda self: "absent: pip install it")


def cells(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["cells"]
    return found


def test_every_combination_is_a_line_in_the_order_of_the_networks(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    engines = ["openvino", "onnxruntime"]
    asked = ["espcn", "fsrcnn", "--engine", *engines, "--precision", "fp32", "int8"]
    assert main([*asked, "--shape", "16x16", "8x8", "--batch", "1", "2", "--json"]) == 0
    found = cells(capsys)
    assert len(found) == 2 * 2 * 2 * 2 * 2
    assert [cell["engine"] for cell in found[:2]] == engines
    assert {cell["network"] for cell in found[:16]} == {"espcn"}
    assert all(c["report"]["input_shape"] == [c["batch"], 3, *c["size"]] for c in found)
    two = next(c for c in found if c["batch"] == 2)
    assert two["images_per_s"] == pytest.approx(2e3 / two["report"]["median_ms"])


def test_a_real_engine_measures_a_tiny_file_and_its_receipt_answers_the_next_time(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.onnx"
    net.write_bytes(conv_net(channels=8, size=16, layers=2, int8=True))
    first_run = [str(net), "--engine", "openvino", "--layers", "--json"]
    assert main(first_run) == 0
    (first,) = cells(capsys)
    assert cache.is_file()
    nodes = {node for layer in first["layers"] for node in layer["original_nodes"]}
    assert {"conv0", "relu0", "conv1"} <= nodes
    assert sum(layer["ms"] for layer in first["layers"]) > 0
    if first["report"]["verdict"] == "ok":
        assert main([str(net), "--engine", "openvino", "--json"]) == 0
        (second,) = cells(capsys)
        assert second["from_receipt"]
        assert second["report"] == first["report"]


def test_a_receipt_answers_and_without_the_cache_nothing_is_kept(
    fake: type[FakeIsolated], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["espcn", *SMALL, "--engine", "openvino"]
    assert main([*asked, "--no-cache"]) == 0
    assert not cache.exists()
    assert main(asked) == main(asked) == 0
    assert len(fake.asked) == 2
    assert "1 of 1 from receipts" in capsys.readouterr().out
    assert main([*asked, "--no-cache"]) == 0
    assert len(fake.asked) == 3


def test_one_engine_that_is_not_here_is_an_error_and_never_another_engine(
    fake: type[FakeIsolated], no_tensorrt: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["espcn", "--engine", "tensorrt"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("nas: engine 'tensorrt'") and "pip install" in told.err
    assert told.err.count("\n") == 1 and not told.out
    assert not fake.asked


def test_beside_others_it_is_a_footnote_and_they_go_on(
    fake: type[FakeIsolated], no_tensorrt: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["espcn", *SMALL, "--engine", "tensorrt", "openvino"]) == 0
    out = capsys.readouterr().out
    assert "[1] engine 'tensorrt' was asked for but cannot run here" in out
    assert "ms" in out


def test_a_refused_network_is_a_footnote_and_others_go_on(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["espcn", "--engine", "openvino", "--shape", f"{REFUSED}x16", "16x16"]) == 0
    out = capsys.readouterr().out
    assert "[1] the engine does not like odd pictures" in out
    assert "16x16" in out


def test_when_nothing_can_be_measured_the_reason_is_the_error(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net(size=8))
    assert main([str(tmp_path / "net.onnx"), *SMALL, "--engine", "openvino"]) == 2
    assert "static input (1, 3, 8, 8), --shape and --batch cannot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["resnet"], "'resnet' is no network"),
        ([], "required: network"),
        (["espcn", "--engine", "tflite"], "unknown engine 'tflite'"),
        (["espcn", "--shape", "360"], "no size: give HEIGHTxWIDTH"),
        (["espcn", "--shape", "0x8"], "no size"),
        (["espcn", "--precision", "bf16"], "bf16"),
        (["espcn", "--batch", "0"], "no positive whole number"),
        (["espcn", "--limit", "-3"], "--limit is -3 ms"),
        (["espcn", "--threads", "none"], "no positive whole number"),
        (["espcn", "--json", "--csv"], "not allowed with"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    asked: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert told.startswith("nas: ") and words in told and told.count("\n") == 1


def test_a_cache_that_cannot_be_written_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert main(["espcn", "--engine", "openvino"]) == 2
    assert "--no-cache" in capsys.readouterr().err


def test_the_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.count("nas bench ") > 8 and "module" in out


def test_the_csv_has_a_line_for_each_cell_and_figures_by_name(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["espcn", "fsrcnn", "--engine", "openvino", "--shape", "16x16", f"{REFUSED}x16"]
    assert main([*asked, "--csv", "--roofline", "--limit", "1"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["network"] for line in lines] == ["espcn", "espcn", "fsrcnn", "fsrcnn"]
    good, bad = lines[:2]
    assert float(good["median_ms"]) > 0 and float(good["macs"]) > 0
    assert good["side"] == "faster" and good["error"] == ""
    assert bad["median_ms"] == "" and "odd pictures" in bad["error"]


def test_the_table_names_clock_interval_and_limit(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["espcn", *SMALL, "--engine", "openvino", "--limit", "0.01"]
    assert main(asked) == 0
    out = capsys.readouterr().out
    for words in ("cpu time", "95 % interval", "images/s", "memory", "build", "layers",
                  "verdict", "in 0.01 ms", "no", "1 thread"):
        assert words in out


def test_the_layers_name_the_files_nodes_and_mark_the_engines_own(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["espcn", *SMALL, "--engine", "openvino", "--layers"]) == 0
    out = capsys.readouterr().out
    assert "Conv_t1" in out and "Tanh_t1" in out
    assert "made_up_by_the_engine" not in out
    assert "none, the engine's own" in out and "75 %" in out


def test_the_roofline_tells_the_nearer_roof(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["espcn", *SMALL, "--engine", "openvino", "--roofline", "--json"]) == 0
    (cell,) = cells(capsys)
    found = cell["roofline"]
    # The fake computes 100 GMAC/s, and the peak networks are files like any other.
    assert found["peaks"]["gmacs_per_s"] == pytest.approx(100.0)
    assert found["compute_ms"] == pytest.approx(found["macs"] / 1e8)
    assert found["nearer"] in ("compute", "memory")
    assert main(["espcn", *SMALL, "--engine", "openvino", "--roofline"]) == 0
    assert "measured peaks, openvino int8: 100 GMAC/s" in capsys.readouterr().out


def test_the_check_tells_what_tensorrt_would_say(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["espcn", *SMALL, "--engine", "openvino", "--check"]) == 0
    assert "TensorRT check of espcn: no known rule is broken" in capsys.readouterr().out


def test_energy_is_a_column_only_where_it_is_counted(
    fake: type[FakeIsolated], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["espcn", *SMALL, "--engine", "openvino", "--no-cache"]
    assert main(asked) == 0
    assert "energy" not in capsys.readouterr().out
    plain = FakeIsolated.measure

    def counted(self: FakeIsolated, *args: Any, **named: Any) -> Any:
        report = plain(self, *args, **named)
        report.conditions["energy_mj"] = 12.3
        return report

    monkeypatch.setattr(FakeIsolated, "measure", counted)
    assert main(asked) == 0
    assert "12.3 mJ" in capsys.readouterr().out

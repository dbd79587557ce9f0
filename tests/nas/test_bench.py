"""`nas bench`: every measurement gives a receipt or its reason."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fake_benches import REFUSED, FakeIsolated
from trt_style_nets import Net

from latency_models.engines.trt import TensorRTEngine
from nas.commands.bench import main
from nas.networks import Form, resolve
from search_spaces.references import reference
from tests.latency_models.small_nets import conv_net, finished
from tests.nas.finished_studies import receipt

SMALL = ["--size", "16x16"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "freeway" / "receipts.sqlite"


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TensorRTEngine, "available", lambda self: "absent: pip install it")


def measurements(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["measurements"]
    return found


def test_every_combination_is_a_line_in_the_order_of_the_networks(
    fake: type[FakeIsolated], capsys: pytest.CaptureFixture[str]
) -> None:
    engines = ["openvino", "onnxruntime"]
    asked = ["espcn", "fsrcnn", "--engine", *engines, "--precision", "fp32", "int8"]
    assert main([*asked, "--size", "16x16", "8x8", "--batch", "1", "2", "--json"]) == 0
    found = measurements(capsys)
    assert len(found) == 2 * 2 * 2 * 2 * 2
    assert [measured["engine"] for measured in found[:2]] == engines
    assert {measured["network"] for measured in found[:16]} == {"espcn"}
    assert all(c["report"]["input_shape"] == [c["batch"], *c["size"], 3] for c in found)
    two = next(c for c in found if c["batch"] == 2)
    assert two["images_per_s"] == pytest.approx(2e3 / two["report"]["median_ms"])


def test_a_real_engine_measures_a_tiny_file_and_its_receipt_answers_the_next_time(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.onnx"
    net.write_bytes(conv_net(channels=8, size=16, layers=2, int8=True))
    first_run = [str(net), "--engine", "openvino", "--layers", "--json"]
    assert main(first_run) == 0
    (first,) = measurements(capsys)
    assert cache.is_file()
    nodes = {node for layer in first["layers"] for node in layer["original_nodes"]}
    assert {"conv0", "relu0", "conv1"} <= nodes
    assert sum(layer["ms"] for layer in first["layers"]) > 0
    if first["report"]["verdict"] == "ok":
        assert main([str(net), "--engine", "openvino", "--json"]) == 0
        (second,) = measurements(capsys)
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
    assert main(["espcn", "--engine", "openvino", "--size", f"{REFUSED}x16", "16x16"]) == 0
    out = capsys.readouterr().out
    assert "[1] the engine does not like odd pictures" in out
    assert "16x16" in out


def test_when_nothing_can_be_measured_the_reason_is_the_error(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.onnx").write_bytes(conv_net(size=8))
    assert main([str(tmp_path / "net.onnx"), *SMALL, "--engine", "openvino"]) == 2
    assert "static input (1, 3, 8, 8), --size and --batch cannot" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["resnet"], "'resnet' is no network"),
        ([], "required: network"),
        (["espcn", "--engine", "tflite"], "unknown engine 'tflite'"),
        (["espcn", "--size", "360"], "no size: give HEIGHTxWIDTH"),
        (["espcn", "--size", "0x8"], "no size"),
        (["espcn", "--precision", "bf16"], "bf16"),
        (["espcn", "--batch", "0"], "no positive whole number"),
        (["espcn", "--limit", "-3"], "argument --limit: '-3'"),
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
    asked = ["espcn", "fsrcnn", "--engine", "openvino", "--size", "16x16", f"{REFUSED}x16"]
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
    (measured,) = measurements(capsys)
    found = measured["roofline"]
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
    said = capsys.readouterr().out
    assert "TensorRT check of espcn, by " in said and ": no errors, no advice" in said


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


def test_files_of_one_name_are_told_apart_by_the_shortest_path(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "int8.onnx").write_bytes(conv_net(size=8, int8=True))
    files = [str(tmp_path / folder / "int8.onnx") for folder in ("one", "other")]
    assert main([*files, "--engine", "openvino", "--json"]) == 0
    assert [measured["network"] for measured in measurements(capsys)] == ["one/int8", "other/int8"]


def bundle(folder: Path, shipped: bytes) -> Path:
    """A winner's folder with one shipped file, for pictures of 16x24."""
    folder.mkdir()
    architecture = reference("ecbsr_m4c16", 2).to_json()
    told = receipt(3.0, precision="int8", engine="openvino", input_shape=(1, 3, 16, 24))
    documents = {
        "architecture.json": architecture,
        "case.json": {"architecture": architecture},
        "latency.json": {"int8": told.to_json()},
    }
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "int8.onnx").write_bytes(shipped)
    return folder


def test_a_bundles_row_says_which_file_was_timed(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = resolve("ecbsr_m4c16").file(Form("int8", (16, 24)), "openvino")
    folder = bundle(tmp_path / "1a2b", trained)
    asked = [str(folder), "--engine", "openvino", "--precision", "int8", "fp32"]
    assert main([*asked, "--json"]) == 0
    shipped, anew = measurements(capsys)
    assert shipped["file"] == f"the shipped file, {folder / 'int8.onnx'}"
    assert anew["file"].startswith("written anew with untrained weights")
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "1a2b int8: the shipped file" in out and "1a2b fp32: written anew" in out
    assert main([*asked, "--csv"]) == 0
    (line, _) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert line["file"] == shipped["file"]


def test_what_tensorrt_says_is_told_where_nothing_could_be_measured_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = Net()
    path = tmp_path / "net.onnx"
    path.write_bytes(net.file(net.node("Foo", ["x"], "y")))
    assert main([str(path), "--engine", "openvino", "--check"]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("TensorRT check of net, by ") and "Foo is not known" in told.out
    # Another process may have the device just then, which is told too.
    assert told.err.splitlines()[-1].startswith("nas: nothing could be measured: ")


@pytest.mark.parametrize("damaged", [b"", bytes(4096)], ids=["empty", "zeros"])
def test_a_shipped_file_that_is_damaged_has_no_latency(
    tmp_path: Path, damaged: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(tmp_path / "1a2b", damaged)
    assert main([str(folder), "--engine", "openvino"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("nas: nothing could be measured: ")
    assert told.err.count("\n") == 1


def test_json_stays_json_whatever_a_module_prints(
    fake: type[FakeIsolated], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "loud_nets.py").write_text(
        "from torch import nn\nprint('imported')\n"
        "def loud():\n    print('made')\n    return nn.Conv2d(3, 4, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["loud_nets:loud", *SMALL, "--engine", "openvino", "--json"]) == 0
    told = capsys.readouterr()
    assert [measured["network"] for measured in json.loads(told.out)["measurements"]] == ["loud"]
    assert "imported" in told.err and "made" in told.err


def resizer(folder: Path) -> Path:
    """A Resize whose sizes are an input."""
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4),
        onnx.helper.make_node("Resize", ["c", "", "", "sizes"], ["y"]),
    ]
    model = onnx.load_model_from_string(finished(
        nodes, {"w": np.ones((4, 3, 3, 3), np.float32)}, "y", [1, 3, 8, 8], [1, 4, "h", "w"]
    ))
    sizes = onnx.helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, [4])
    model.graph.input.append(sizes)
    (folder / "resizer.onnx").write_bytes(model.SerializeToString())
    return folder / "resizer.onnx"


def test_values_of_an_input_are_asked_for_and_told_with_the_latency(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(resizer(tmp_path)), "--engine", "openvino", "--json"]
    assert main(asked) == 2
    assert "--input sizes=1,3,720,1280" in capsys.readouterr().err
    assert main([*asked, "--input", "sizes=1,4,32,32"]) == 0
    (measured,) = measurements(capsys)
    assert measured["file"] == "given: sizes = 1,4,32,32"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["espcn", "--input", "x=1"], "espcn is none"),
        (["a.onnx", "--input", "sizes"], "tells nothing about an input"),
        (["a.onnx", "--input", "sizes=1x"], "tells nothing about an input"),
    ],
)
def test_an_input_that_is_told_wrongly_is_refused(
    told: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(told) == 2
    assert words in capsys.readouterr().err


def test_work_that_cannot_be_counted_is_marked_and_told(
    fake: type[FakeIsolated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4),
        onnx.helper.make_node("Strange", ["c"], ["y"], "odd", domain="elsewhere"),
    ]
    net = finished(
        nodes, {"w": np.ones((4, 3, 3, 3), np.float32)}, "y", [1, 3, 8, 8], [1, 4, 8, 8]
    )
    model = onnx.load_model_from_string(net)
    model.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    asked = [str(tmp_path / "odd.onnx"), "--engine", "openvino", "--roofline"]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "odd: not counted: elsewhere.Strange odd" in out and "over 6.91e-06" in out
    assert main([*asked, "--json"]) == 0
    (measured,) = measurements(capsys)
    assert measured["roofline"]["not_counted"] == "elsewhere.Strange odd"


def test_more_threads_than_cores_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["espcn", "--threads", "4096"]) == 2
    assert "threads is 4096, and this process has" in capsys.readouterr().err

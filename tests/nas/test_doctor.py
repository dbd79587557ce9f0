"""`nas doctor` on files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from trt_style_nets import Net

from latency_models.base import Precision
from nas.commands import doctor
from nas.networks import GraphNetwork, resolve


def written(folder: Path, engine: str, precision: Precision) -> str:
    network = resolve("espcn", scale=None)
    assert isinstance(network, GraphNetwork)
    form = replace(network.own, size=(32, 48), precision=precision)
    path = folder / f"{precision}.onnx"
    path.write_bytes(network.file(form, engine))
    return str(path)


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp32"), ("tensorrt", "int8")])
def test_a_file_for_tensorrt_breaks_no_rule(
    tmp_path: Path, engine: str, precision: Precision, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, engine, precision)
    assert doctor.main([path]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: no findings")


def test_an_int8_file_for_cpus_is_refused_with_what_writes_one_for_tensorrt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([written(tmp_path, "openvino", "int8")]) == 2
    said = capsys.readouterr().err
    assert "; these int8 files are for CPUs: target.engine=tensorrt" in said
    assert "target.engine=tensorrt" in said


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["runs/*/fp32.onnx"]) == 2
    assert "no such file: runs/*/fp32.onnx" in capsys.readouterr().err


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main([str(tmp_path)]) == 2
    assert f"give ONNX files, which {tmp_path} is not" in capsys.readouterr().err


def test_a_node_whose_name_is_broken_over_lines_is_told_in_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    net = Net()
    path.write_bytes(net.file(net.node("Foo", ["x"], "two\nlines")))
    assert doctor.main([str(path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("  error: ", f"{path}: ")) for line in lines)

"""`nas verify`: one line for each check, and an exit code that CI can use."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from finished_studies import receipt
from made_bundles import told_again, with_golden, write_bundle
from onnx import numpy_helper

from nas.commands.verify import main
from nas.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with golden outputs."""
    return with_golden(write_bundle(tmp_path_factory.mktemp("made") / "bundle"))


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the test's own."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def lines(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, list[str]]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out.splitlines()


def test_what_was_exported_passes_bit_for_bit_on_its_engine_and_within_bounds_on_another(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = lines(capsys, bundle)
    assert code == 0
    assert told[0] == "ok     7 files: as they were exported"
    assert all(line.startswith("ok ") for line in told)
    for precision in ("fp32", "int8"):
        (own,) = [line for line in told if f"{precision} on openvino" in line]
        (other,) = [line for line in told if f"{precision} on onnxruntime" in line]
        assert own.endswith("the golden output bit for bit")
        assert "from the golden output (at most" in other and "it is of openvino" in other


def test_a_changed_weight_fails_though_every_hash_is_right(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(bundle / "fp32.onnx")
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    changed = numpy_helper.to_array(weights) * np.float32(1.2)
    weights.CopyFrom(numpy_helper.from_array(changed, weights.name))
    (bundle / "fp32.onnx").write_bytes(model.SerializeToString())
    code, told = lines(capsys, told_again(bundle))
    assert code == 1
    failed = [line for line in told if line.startswith("FAILED")]
    assert {line.split(":")[0].split(" on ")[0] for line in failed} == {"FAILED fp32"}


def test_damages_are_one_line_each_and_the_rest_is_still_looked_at(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (bundle / "int8.onnx").read_bytes()
    (bundle / "int8.onnx").write_bytes(content[:100])
    (bundle / "README.md").write_text("a better card")
    (bundle / "notes\x1b.txt").touch()
    code, told = lines(capsys, bundle)
    assert code == 1
    failed = [line for line in told if line.startswith("FAILED")]
    assert len(failed) == 2
    assert all("is not what was exported" in line for line in failed)
    assert "-      notes?.txt: not named in manifest.json: it came later" in told
    assert any(line.startswith("ok     fp32 on openvino") for line in told)


@pytest.mark.parametrize("name", ["architecture.json", "golden.npz", "golden.json"])
def test_a_changed_description_is_told_and_nothing_breaks(
    name: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / name).write_bytes(b"PK" if name.endswith("npz") else b"[]")
    assert lines(capsys, bundle)[0] == 1
    code, told = lines(capsys, told_again(bundle))
    assert code == 1
    assert sum(line.startswith("FAILED") for line in told) == 1


def test_a_bundle_that_is_refused_is_one_line(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told_again(bundle, format=99)
    code, told = lines(capsys, bundle)
    assert (code, len(told)) == (1, 1)
    assert told[0].startswith("FAILED bundle: ") and "install a newer freeway-nas" in told[0]
    assert main([str(bundle.parent / "none")]) == 2
    assert "none is no bundle" in capsys.readouterr().err
    assert main([str(bundle), "--slower-by", "5"]) == 2
    assert "--slower-by needs --time" in capsys.readouterr().err


def test_an_older_bundle_passes_and_what_it_lacks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = lines(capsys, write_bundle(tmp_path / "old", said={}))
    assert code == 0
    assert told == [
        "ok     4 files: as they were exported",
        "-      older bundle: it has no golden.json, golden.npz, README.md: export it again to "
        "have them",
    ]


def test_receipts_are_measured_again_and_compared(
    bundle: Path, fake: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    then = {
        p: receipt(10.0, precision=p, engine="openvino", engine_version="2026.4")
        for p in ("fp32", "int8")
    }
    said = {p: one.to_json() for p, one in then.items()}
    (bundle / "latency.json").write_text(json.dumps(said))
    told_again(bundle)
    now = {"fp32": then["fp32"], "int8": receipt(
        11.2, engine="openvino", engine_version="2026.5", verdict="contended"
    )}  # fmt: skip
    monkeypatch.setattr(
        fake, "measure", lambda self, onnx, precision, *, limit_ms=None: now[precision]
    )
    checks = {one.what: one for one in verify(bundle, timed=True)}
    assert checks["int8 timed"].told == (
        "12 % slower than its receipt (11.2 ms now, 10.0 ms then): openvino 2026.4 -> 2026.5; "
        "contended, so time it again"
    )
    assert checks["fp32 timed"].told == (
        "level with its receipt (10.0 ms now, 10.0 ms then): openvino 2026.4 as then"
    )
    assert checks["int8 timed"].passed and checks["fp32 timed"].passed
    now["int8"] = replace(now["int8"], verdict="ok")
    code, told = lines(capsys, bundle, "--time", "--slower-by", "10")
    assert code == 1
    assert [line for line in told if line.startswith("FAILED int8 timed: 12 % slower")]
    assert lines(capsys, bundle, "--time", "--slower-by", "15")[0] == 0


def test_what_was_exported_for_an_engine_that_is_not_here_is_said_not_failed(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = json.loads((bundle / "golden.json").read_text())
    for one in golden.values():
        one["engine"] = "their:Engine"
    (bundle / "golden.json").write_text(json.dumps(golden))
    said = {"int8": receipt(1.0, engine="their:Engine").to_json()}
    (bundle / "latency.json").write_text(json.dumps(said))
    code, told = lines(capsys, told_again(bundle), "--time")
    assert code == 0
    assert any(line.startswith("-      int8 on their:Engine: not run") for line in told)
    assert any(line.startswith("-      int8 timed: not timed") for line in told)

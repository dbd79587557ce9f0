"""What is no bundle is refused by the C++ library as `runtime.load` does; `verify` tells alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from built_cpp import Programs, missing
from made_bundles import holding, told_again, with_golden, write_bundle
from onnx.external_data_helper import set_external_data

from nas.commands.verify import main as nas_verify
from nas.verify import verify
from runtime import BadBundle, load

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")


def test_the_hash_is_sha256_at_every_length_around_a_block(
    programs: Programs, tmp_path: Path
) -> None:
    dice, path = np.random.default_rng(0), tmp_path / "file"
    for length in (0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_003):
        path.write_bytes(content := dice.bytes(length))
        expected = hashlib.sha256(content).hexdigest()
        assert programs.asked("sha256", path).decode().strip() == expected


def changed(folder: Path) -> None:
    content = (folder / "int8.onnx").read_bytes()
    (folder / "int8.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def says(**fields: Any) -> Callable[[Path], object]:
    def say(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return say


def linked(folder: Path) -> None:
    (folder / "int8.onnx").rename(folder.parent / "elsewhere")
    (folder / "int8.onnx").symlink_to(folder.parent / "elsewhere")


def parted(folder: Path) -> None:
    model = onnx.load(folder / "fp32.onnx")
    inner = onnx.helper.make_graph([], "g", [], [], initializer=[model.graph.initializer[-1]])
    node = onnx.helper.make_node("If", [], [], then_branch=inner)
    set_external_data(node.attribute[0].g.initializer[0], "../../weights")
    model.graph.node.append(node)
    (folder / "int8.onnx").write_bytes(model.SerializeToString())
    told_again(folder)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte": changed,
    "its end": lambda folder: (folder / "int8.onnx").write_bytes(b"\x08"),
    "later": says(format=3),
    "outside": says(**{"../fp32.onnx": "5f"}),
    "on another system": says(**{"a\\b": "5f"}),
    "a drive": says(**{"C:x": "5f"}),
    "link": linked,
    "parts": parted,
    "no onnx": lambda folder: holding(folder, "int8.onnx", b"\x3a\xff\xff\x01"),
    "no field": lambda folder: holding(folder, "int8.onnx", b"\xff" * 12),
    "no json": lambda folder: holding(folder, "latency.json", b"{"),
    "a list": lambda folder: holding(folder, "architecture.json", b"[]"),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "a list of files": lambda folder: (folder / "manifest.json").write_text("[]"),
    "no picture": says(picture=[]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_python_refuses_is_refused_in_the_same_words(
    programs: Programs, damage: str, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b")
    DAMAGES[damage](folder)
    with pytest.raises(BadBundle) as refused:
        load(folder)
    code, made, errors = programs.freeway("run", folder, "--size", "32x24")
    assert (code, made, errors) == (2, b"", f"freeway: {refused.value}\n")
    failed = any(check.passed is False for check in verify(folder))
    assert programs.freeway("verify", folder)[0] == failed


def test_what_cannot_be_read_is_told(programs: Programs, tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "b")
    (folder / "int8.onnx").unlink()
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "int8.onnx cannot be read (No such file or directory): ex" in errors
    (folder / "manifest.json").write_text("{")
    assert "manifest.json cannot be read" in programs.freeway("run", folder, "--size", "9x9")[2]
    assert programs.freeway("verify", folder)[0] == 1


def test_no_other_engine_takes_the_place_of_the_one_it_was_timed_on(
    programs: Programs, tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b", precisions=("fp32",))
    receipt = {"fp32": {"engine": "tensorrt", "median_ms": 1.0}}
    holding(folder, "latency.json", json.dumps(receipt).encode())
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "was timed on tensorrt, which is not built in: build with it" in errors
    assert programs.freeway("run", folder, "--size", "32x24", "--engine", "openvino")[0] == 0


@pytest.mark.parametrize("number", [0, -1, True, "2", 1.5, None, []])
def test_what_is_no_format_is_refused(programs: Programs, number: Any, tmp_path: Path) -> None:
    says(format=number)(folder := write_bundle(tmp_path / "b"))
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "which is none: export it again" in errors and errors.count("\n") == 1


@pytest.mark.parametrize("change", [{"signature": {"inputs": []}}, {"scale": "2"}, {"scale": -1}])
def test_a_description_of_no_network_is_refused(
    programs: Programs, change: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_bundle(tmp_path / "b")
    described = json.loads((folder / "architecture.json").read_text()) | change
    holding(folder, "architecture.json", json.dumps(described).encode())
    code, _, errors = programs.freeway("run", folder, "--size", "32x24")
    assert code == 2 and "describes no network" in errors and errors.count("\n") == 1


def golden_lines(printed: str) -> Iterator[str]:
    return (line for line in printed.splitlines() if " on openvino " in line)


def test_a_whole_bundle_passes_in_the_words_of_nas_verify(
    programs: Programs, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, errors = programs.freeway("verify", whole)
    assert (code, errors) == (0, "")
    assert nas_verify([str(whole)]) == 0
    said = capsys.readouterr().out
    assert sorted(golden_lines(printed.decode())) == sorted(golden_lines(said))
    assert printed.decode().count("the golden output bit for bit") == 2
    assert printed.decode().splitlines()[0] == said.splitlines()[0]


@pytest.mark.parametrize("by", [1, 200])
def test_a_golden_output_that_is_another_fails_where_it_is_far(
    programs: Programs, by: int, tmp_path: Path
) -> None:
    folder = with_golden(write_bundle(tmp_path / "b", precisions=("fp32",)))
    with np.load(folder / "golden.npz") as packed:
        arrays = dict(packed)
    arrays["fp32.0.output"][..., 0, 0] += by / 100
    np.savez(folder / "golden.npz", allow_pickle=False, **arrays)
    known = json.loads((folder / "golden.json").read_text())
    known["fp32"]["outputs"]["0.output"]["sha256"] = "0"
    known["fp32"] |= {"largest": 0.05, "mean": 0.01}
    (folder / "golden.json").write_text(json.dumps(known))
    code, printed, _ = programs.freeway("verify", told_again(folder))
    (line, *_) = golden_lines(printed.decode())
    assert code == (by > 1) and line.startswith("FAILED" if by > 1 else "ok")
    assert "from the golden output (at most 0.05)" in line


def test_golden_outputs_of_an_earlier_bundle_are_told_and_not_failed(
    programs: Programs, tmp_path: Path
) -> None:
    folder = with_golden(write_bundle(tmp_path / "b", precisions=("fp32",)))
    with np.load(folder / "golden.npz") as packed:
        np.savez_compressed(folder / "golden.npz", allow_pickle=False, **dict(packed))
    code, printed, _ = programs.freeway("verify", told_again(folder))
    assert code == 0 and b"-      golden.npz: it is compressed" in printed
    content = (folder / "golden.npz").read_bytes()
    for damage in (content[:-9], b"", b"PK\5\6" + b"\xff" * 18, content.replace(b"PK\1\2", b"PK")):
        (folder / "golden.npz").write_bytes(damage)
        code, printed, errors = programs.freeway("verify", told_again(folder))
        assert code == 1 and b"FAILED golden.npz: it cannot be read" in printed and not errors

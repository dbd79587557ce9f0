"""A folder that is not what was exported is refused in one line, before an engine sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from made_bundles import told_again, write_bundle
from onnx.external_data_helper import set_external_data

from runtime import BadBundle, load


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """As a search leaves it, with drawn weights."""
    return write_bundle(tmp_path / "bundle", precisions=("fp32", "int8"))


def refused(folder: Path) -> str:
    with pytest.raises(BadBundle) as told:
        load(folder)
    assert "\n" not in str(told.value)
    return str(told.value)


def says(folder: Path, **fields: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_bundle_of_a_later_version_is_refused_and_an_older_one_is_not(bundle: Path) -> None:
    assert load(bundle).precision == "int8"
    says(bundle, format=3)
    assert "of format 3, and this version reads up to 2: install a newer" in refused(bundle)


@pytest.mark.parametrize("number", [0, -1, True, "2", 1.5, None, []])
def test_what_is_no_format_is_refused(bundle: Path, number: Any) -> None:
    says(bundle, format=number)
    assert "which is none" in refused(bundle)


@pytest.mark.parametrize(
    "name", ["../fp32.onnx", "/etc/passwd", "..", "a/b", "a\\b", "C:x", "nul\0"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(bundle: Path, name: str) -> None:
    says(bundle, **{name: "5f"})
    assert "which is outside of it" in refused(bundle)


@pytest.mark.parametrize("name", ["manifest.json", "int8.onnx", "latency.json"])
def test_a_link_is_refused_though_what_it_names_is_right(bundle: Path, name: str) -> None:
    (bundle / name).rename(bundle.parent / "elsewhere")
    (bundle / name).symlink_to(bundle.parent / "elsewhere")
    assert f"{name} is a link" in refused(bundle)


def test_a_file_that_ends_early_or_that_another_byte_is_in_is_refused(bundle: Path) -> None:
    path = bundle / "int8.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert "int8.onnx is not what was exported" in refused(bundle)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "int8.onnx is not what was exported" in refused(bundle)
    path.unlink()
    assert "int8.onnx cannot be read" in refused(bundle)


@pytest.mark.parametrize("place", ["../../weights", "/etc/passwd", "weights.bin"])
def test_weights_elsewhere_are_refused_wherever_in_the_file_they_are_named(
    bundle: Path, place: str
) -> None:
    path = bundle / "int8.onnx"
    for nested in (False, True):
        model = onnx.load(bundle / "fp32.onnx")
        tensor = model.graph.initializer[-1]
        if nested:
            inner = onnx.helper.make_graph([], "g", [], [], initializer=[tensor])
            node = onnx.helper.make_node("If", [], [], then_branch=inner)
            tensor = node.attribute[0].g.initializer[0]
            set_external_data(tensor, place)
            model.graph.node.append(node)
        else:
            set_external_data(tensor, place)
        path.write_bytes(model.SerializeToString())
        told_again(bundle)
        assert f"int8.onnx keeps weights in {place}, outside of it" in refused(bundle)


@pytest.mark.parametrize("content", [b"\x3a\xff\xff\x01", b"\x3b", b"\xff" * 12, b"\x3a"])
def test_what_is_no_onnx_file_is_refused_though_its_hash_is_right(
    bundle: Path, content: bytes
) -> None:
    (bundle / "int8.onnx").write_bytes(content)
    assert "int8.onnx is no ONNX file" in refused(told_again(bundle))


def test_the_file_runs_that_the_bundle_names_and_any_that_is_asked_for(bundle: Path) -> None:
    says(bundle, runs={"precision": "fp32", "why": "int8 takes longer"})
    assert load(bundle).precision == "fp32"
    assert load(bundle, precision="int8").precision == "int8"
    says(bundle, runs={"precision": "fp8"})
    assert load(bundle).precision == "int8"

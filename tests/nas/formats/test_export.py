"""`nas export` and `nas.export`: a bundle copied, or written for a player."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from made_bundles import told_again, write_bundle

import nas
from nas.commands.export import main
from nas.formats import FORMATS
from nas.settings import SettingsError
from runtime.manifest import read_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("made") / "1a2b")


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the test's own, as the winner of a run."""
    return Path(shutil.copytree(made, tmp_path / "run/winners/1a2b"))


def said(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str]:
    """The exit code, and what was printed: on the error stream where that is not 0."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert err.count("\n") == bool(code)
    return code, err if code else out


def test_each_format_writes_its_files_where_it_is_told_to_and_names_them(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = set()
    for name in FORMATS:
        code, told = said(capsys, bundle.parents[1], "--format", name, "--to", tmp_path / "to")
        assert code == 0
        names |= {Path(line.split("  ")[0]).name for line in told.splitlines()}
    there = {path.name for path in (tmp_path / "to").iterdir()}
    assert there == names == {
        "1a2b-x2.glsl", "1a2b-x2.onnx", "1a2b-x2.param", "1a2b-x2.bin"
    }  # fmt: skip


def test_a_network_of_the_zoo_is_known_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(capsys, "x2-fast", "--format", "mpv", "--to", tmp_path)
    assert code == 0 and told.startswith(f"{tmp_path / 'x2-fast.glsl'}  ")


def test_the_same_again_is_written_again_and_what_is_another_file_stays(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    way = (bundle, "--format", "ncnn", "--to", tmp_path)
    assert said(capsys, *way)[0] == said(capsys, *way)[0] == 0
    (tmp_path / "1a2b-x2.bin").write_text("mine")
    before = (tmp_path / "1a2b-x2.param").stat().st_mtime_ns
    code, told = said(capsys, *way)
    assert code == 2 and "1a2b-x2.bin is something else: remove it, or name another" in told
    assert (tmp_path / "1a2b-x2.bin").read_text() == "mine"
    assert (tmp_path / "1a2b-x2.param").stat().st_mtime_ns == before


def test_without_a_format_the_folder_is_copied_whole(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(capsys, bundle, "--to", tmp_path / "product")
    assert code == 0 and told.startswith(f"{tmp_path / 'product'}: a copy of ")
    assert read_manifest(tmp_path / "product").hashes == read_manifest(bundle).hashes
    code, told = said(capsys, bundle, "--to", tmp_path / "product")
    assert code == 2 and "is in use: give a folder that does not exist yet" in told


def test_from_python_a_format_is_an_argument(bundle: Path, tmp_path: Path) -> None:
    made = nas.export(bundle, tmp_path, format="ncnn")
    assert made == tmp_path / "1a2b-x2.param" and made.is_file()
    half = nas.export(bundle, tmp_path / "half", format="ncnn", precision="fp16")
    sizes = [path.with_suffix(".bin").stat().st_size for path in (made, half)]
    assert sizes[1] < 0.6 * sizes[0]
    with pytest.raises(SettingsError, match="no format 'nccn' .did you mean ncnn.*: use mpv, "):
        nas.export(bundle, tmp_path, format="nccn")


@pytest.mark.parametrize(("arguments", "words"), [
    ((), r"where to\? Give --to FOLDER, or --format"),
    (("--to", "x", "--precision", "fp16"), "--precision needs --format"),
    (("--format", "mpv", "--precision", "fp16"), "a shader has no fp16, .*: use fp32"),
    (("--format", "mpv", "--to", "file"), "file is a file: name a folder"),
    (("--format", "gif"), "invalid choice: 'gif'"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...], words: str, bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    code, told = said(capsys, bundle, *arguments)
    assert code == 2
    assert re.search(words, told)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "file"}


def test_a_bundle_that_is_damaged_or_lacks_its_weights_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    way = (bundle, "--format", "vsmlrt", "--to", tmp_path)
    file = (bundle / "fp32.onnx").read_bytes()
    (bundle / "fp32.onnx").write_bytes(file[:-1])
    assert "fp32.onnx is not what was exported" in said(capsys, *way)[1]
    (bundle / "fp32.onnx").write_bytes(file)
    described = json.loads((bundle / "architecture.json").read_text())
    (bundle / "architecture.json").write_text(json.dumps(described | {"blocks": []}))
    told_again(bundle)
    assert "holds no architecture (" in said(capsys, *way)[1]
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["fp32.onnx"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert "has no fp32.onnx, whose weights a format needs" in said(capsys, *way)[1]


@pytest.mark.parametrize(("format", "half"), [
    ("mpv", ()), *((name, ("--precision", "fp16")) for name in ("vsmlrt", "ncnn")),
])  # fmt: skip
def test_what_half_precision_cannot_hold_is_not_written_in_it(
    format: str, half: tuple[str, ...], bundle: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    said_inside = {"gates": {"fp32": {"largest_inside": 70000.0}}}
    (bundle / "parity.json").write_text(json.dumps(said_inside))
    told_again(bundle)
    way = (bundle, "--format", format, "--to", tmp_path / "to")
    code, told = said(capsys, *way, *half)
    assert code == 2 and "has values of 7e+04 inside, over the 65504 that half precision" in told
    assert not (tmp_path / "to").exists()
    assert not half or said(capsys, *way)[0] == 0

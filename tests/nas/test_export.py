"""The winner's bundle: complete or not there, and of what really ships."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from toy_search import (
    ScriptedLatency,
    on_rig,
    small_candidate,
    toy_experiment,
    write_photos,
)

from nas.bundle import export
from nas.candidate import Candidate
from nas.evidence import EXPORTED
from nas.experiment import Experiment
from nas.stages.probe import probe
from nas.stages.quantize import quantize
from nas.stages.screen import screen
from nas.stages.train import train
from search_spaces.base import Architecture

FILES = {"fp32.onnx", "int8.onnx", "architecture.json", "latency.json", "parity.json", "case.json"}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, Experiment]:
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    here = toy_experiment(tmp_path_factory.mktemp("study"), photos)
    return quantize(train(probe(screen(small_candidate(), here), here), here), here), here


@pytest.fixture
def elsewhere(quantized: Any, tmp_path: Path) -> tuple[Candidate, Experiment]:
    """The same candidate, exported into a folder of the test's own."""
    candidate, here = quantized
    return candidate, replace(here, folder=tmp_path)


def bundle_of(candidate: Candidate, here: Experiment) -> Path:
    assert candidate.has(EXPORTED)
    return here.folder / candidate[EXPORTED].folder


def test_a_bundle_holds_the_files_and_what_is_known_about_them(elsewhere: Any) -> None:
    candidate, here = elsewhere
    exported = export(candidate, here)
    bundle = bundle_of(exported, here)
    assert {path.name for path in bundle.iterdir()} >= FILES
    assert bundle.name == candidate.architecture.id
    said = json.loads((bundle / "architecture.json").read_text())
    assert Architecture.from_json(said) == candidate.architecture
    assert Candidate.from_json(json.loads((bundle / "case.json").read_text())) == exported
    parity = json.loads((bundle / "parity.json").read_text())
    assert parity["max_abs_error"] == dict(exported[EXPORTED].max_abs_error)
    for precision in ("fp32", "int8"):
        model = onnx.load(bundle / f"{precision}.onnx")
        onnx.checker.check_model(model, full_check=True)
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        assert shape == [1, 3, 24, 32]


def test_what_is_timed_is_what_ships(elsewhere: Any) -> None:
    candidate, here = elsewhere
    latency = ScriptedLatency(5.0)
    bundle = bundle_of(export(candidate, on_rig(here, full=latency)), here)
    timed = {hashlib.sha256(file).hexdigest() for file in latency.files}
    shipped = {hashlib.sha256(path.read_bytes()).hexdigest() for path in bundle.glob("*.onnx")}
    assert timed == shipped


def test_the_receipts_are_in_the_bundle_by_precision(elsewhere: Any) -> None:
    candidate, here = elsewhere
    bundle = bundle_of(export(candidate, here), here)
    receipts = json.loads((bundle / "latency.json").read_text())
    assert {p: r["precision"] for p, r in receipts.items()} == {"fp32": "fp32", "int8": "int8"}


def test_the_engine_computes_what_torch_computes(elsewhere: Any) -> None:
    candidate, here = elsewhere
    exported = export(candidate, here).get(EXPORTED)
    assert exported is not None
    assert exported.max_abs_error["fp32"] < 1e-5
    # Single values may be rounded to the other side: a few steps, and far less in the mean.
    assert exported.max_abs_error["int8"] < 0.02
    assert exported.mean_abs_error["int8"] < 1e-4


def test_a_file_that_misses_the_limit_is_rejected_and_nothing_is_written(elsewhere: Any) -> None:
    candidate, here = elsewhere
    late = export(candidate, on_rig(here, full=ScriptedLatency(10.1)))
    assert not late.has(EXPORTED)
    assert late.rejected is not None
    assert (late.rejected.constraint, late.rejected.value) == ("latency_ms", 10.1)
    assert "over the 10" in late.rejected.reason
    assert list(here.folder.iterdir()) == []


def test_a_bundle_that_dies_half_way_is_not_there_and_the_next_one_is_whole(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, here = elsewhere

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            export(candidate, here)
    assert list((here.folder / "winners").iterdir()) == []
    bundle = bundle_of(export(candidate, here), here)
    assert {path.name for path in bundle.iterdir()} >= FILES
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_exporting_again_replaces_the_bundle(elsewhere: Any) -> None:
    candidate, here = elsewhere
    bundle = bundle_of(export(candidate, here), here)
    (bundle / "stale.txt").touch()
    export(candidate, here)
    assert not (bundle / "stale.txt").exists()
    assert {path.name for path in bundle.iterdir()} >= FILES


def test_a_float_target_ships_one_file(elsewhere: Any) -> None:
    candidate, here = elsewhere
    floating = on_rig(here, target=replace(here.target, precision="fp32"))
    exported = export(candidate, floating)
    bundle = bundle_of(exported, floating)
    assert {path.name for path in bundle.glob("*.onnx")} == {"fp32.onnx"}
    assert exported.has(EXPORTED)
    assert exported[EXPORTED].shipped == exported[EXPORTED].fp32

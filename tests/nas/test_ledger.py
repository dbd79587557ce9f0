"""Case files on disk, and deaths between any two lines."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_studies import PSNR, finished_study, probed, proposal, winner

from nas.evidence import EXPORTED, TRAINED, OutsideFolder
from nas.ledger import (
    Ledger,
    load_arrays,
    pack_scales,
    save_arrays,
    unpack_scales,
    write_aside,
)
from nas.storage import StorageError
from nas.study import Study
from search_spaces.graph import Graph
from search_spaces.primitives import Conv, Input
from search_spaces.quantize import (
    CPU_RULES,
    ONNXRUNTIME_RULES,
    QuantRules,
    nominal_scales,
    place,
)
from search_spaces.weights import random_weights
from trainers.base import Damaged, TrainReport


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for candidate in finished_study():
        ledger.save(candidate)
    assert Ledger(tmp_path).all() == sorted(finished_study(), key=lambda c: c.name)
    assert Ledger(tmp_path).load("trial-8") == winner(8, 31.5, 33.10)


def test_saving_again_replaces_the_case_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(proposal(1))
    ledger.save(probed(1, 20.0, 31.0))
    assert ledger.all() == [probed(1, 20.0, 31.0)]
    assert [path.name for path in ledger.home("trial-1").iterdir()] == ["case.json"]


def test_an_unknown_candidate_is_none_and_an_empty_study_empty(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "nowhere").all() == []
    assert Ledger(tmp_path).load("trial-1") is None


def test_a_candidate_that_died_before_its_first_evidence_is_not_there(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.home("trial-1")
    ledger.save(proposal(2))
    assert ledger.all() == [proposal(2)]
    assert ledger.load("trial-1") is None


@pytest.mark.parametrize("dying_call", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying_call: str
) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(proposal(1))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    home: Any = os if dying_call == "fsync" else Path
    with monkeypatch.context() as patched:
        patched.setattr(home, dying_call, die)
        with pytest.raises(KeyboardInterrupt):
            ledger.save(probed(1, 20.0, 31.0))
    assert ledger.all() == [proposal(1)]
    assert [path.name for path in ledger.home("trial-1").iterdir()] == ["case.json"]


_DIES_WHILE_WRITING = """
import os, pathlib, signal, sys
from nas.durable import write_aside

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "fsync":
    os.fsync = die
else:
    pathlib.Path.replace = die
write_aside(pathlib.Path(sys.argv[1]), b"new" * 1000)
"""


@pytest.mark.parametrize("dying_call", ["fsync", "replace"])
def test_a_process_that_is_killed_while_writing_leaves_the_old_file(
    tmp_path: Path, dying_call: str
) -> None:
    path = tmp_path / "case.json"
    path.write_bytes(b"old")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _DIES_WHILE_WRITING, str(path), dying_call],
        cwd=root,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    write_aside(path, b"new")
    assert path.read_bytes() == b"new"


def test_arrays_come_back_with_their_types(tmp_path: Path) -> None:
    arrays = {"n1.weight": np.ones((2, 3, 1, 1), np.float32), "n1.bias": np.zeros(2, np.float16)}
    save_arrays(tmp_path / "home" / "fp32.npz", arrays)
    back = load_arrays(tmp_path / "home" / "fp32.npz")
    assert {k: v.dtype for k, v in back.items()} == {k: v.dtype for k, v in arrays.items()}
    assert all(np.array_equal(back[k], arrays[k]) for k in arrays)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["fp32.npz"]


PRELU = Graph((Input((), 4), Conv((0,), 8, activation="prelu"), Conv((1,), 3)))


@pytest.mark.parametrize("rules", [CPU_RULES, ONNXRUNTIME_RULES])
@pytest.mark.parametrize("in_float", [frozenset[int](), frozenset({2})])
def test_weights_and_scales_share_one_file(
    tmp_path: Path, in_float: frozenset[int], rules: QuantRules
) -> None:
    graph, weights = PRELU, random_weights(PRELU)
    placement = place(graph, rules, keep_float=in_float)
    nominal = nominal_scales(graph, placement, weights)
    moved = [tensor for tensor in placement.tensors if placement.shifts(graph, tensor)]
    assert bool(moved) == (rules is ONNXRUNTIME_RULES)
    scales = replace(nominal, zero_points=dict.fromkeys(moved, 77))
    save_arrays(tmp_path / "int8.npz", weights | pack_scales(scales))
    arrays = load_arrays(tmp_path / "int8.npz")
    back_weights, back_placement, back = unpack_scales(arrays, graph, rules)
    assert back_placement == placement
    assert set(back_weights) == set(weights)
    assert all(np.array_equal(back_weights[k], weights[k]) for k in weights)
    assert back.tensors == pytest.approx(dict(scales.tensors))
    assert back.zero_points == scales.zero_points
    assert all(np.array_equal(back.weights[i], scales.weights[i]) for i in scales.weights)


def test_scales_for_another_engine_are_refused() -> None:
    weights, placement = random_weights(PRELU), place(PRELU)
    arrays = weights | pack_scales(nominal_scales(PRELU, placement, weights))
    with pytest.raises(Damaged, match="without scales for 2 of 4 tensors"):
        unpack_scales(arrays, PRELU, ONNXRUNTIME_RULES)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_not_finite_are_words_in_json_and_read_back(
    tmp_path: Path, value: float
) -> None:
    ledger = Ledger(tmp_path)
    report = TrainReport(value, "psnr_y", 2, 0.1, scores=(value, 1.0))
    ledger.save(proposal(1, trained=report))
    text = (ledger.home("trial-1") / "case.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    again = Ledger(tmp_path).load("trial-1")
    assert again is not None and again.has(TRAINED)
    assert [again[TRAINED].metric, *again[TRAINED].scores] == pytest.approx(
        [value, value, 1.0], nan_ok=True
    )


@pytest.mark.parametrize("name", ["../../evil", "..", ".", "a/b", "/tmp/evil", "", "a\\b"])
def test_a_name_that_leads_elsewhere_is_no_candidates(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideFolder, match="is no name of a folder"):
        replace(proposal(1), name=name)
    for use in (Ledger(tmp_path).home, Ledger(tmp_path).load):
        with pytest.raises(OutsideFolder):
            use(name)
    assert list(tmp_path.iterdir()) == []


def test_a_case_file_that_names_another_place_is_told_by_its_path(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(proposal(1))
    path = ledger.home(proposal(1).name) / "case.json"
    path.write_text(path.read_text().replace(proposal(1).name, "../../evil"))
    with pytest.raises(OutsideFolder, match=r"case.json: a candidate's name is '../../evil'"):
        Ledger(tmp_path).all()


@pytest.mark.parametrize(
    ("written", "damaged", "words"),
    [
        ('"kind": "proposed"', '"kind": "stolen"', "Origin.kind is stolen"),
        ('"steps": 120', '"steps": "many"', "TrainReport.steps is many"),
        ('"probed"', '"probes"', "evidence 'probes': known are screened, probed"),
    ],
)
def test_a_case_file_with_values_of_another_kind_is_damaged(
    tmp_path: Path, written: str, damaged: str, words: str
) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(probed(1, 20.0, 32.0))
    path = ledger.home("trial-1") / "case.json"
    assert written in path.read_text()
    path.write_text(path.read_text().replace(written, damaged))
    with pytest.raises(Damaged, match=words):
        ledger.load("trial-1")


def test_the_folder_of_a_bundle_lies_in_the_study() -> None:
    exported = winner(8, 31.5, 33.10)[EXPORTED]
    assert exported is not None
    for folder in ("../elsewhere", "/tmp/evil", "winners/../../x"):
        with pytest.raises(OutsideFolder, match="the folder of a bundle"):
            replace(exported, folder=folder)


def test_a_study_belongs_to_one_folder_wherever_that_is_moved(tmp_path: Path) -> None:
    def opened(home: Path) -> Study:
        return Study(tmp_path / "shared.journal", name="x", seed=0, metric=PSNR, home=home)

    opened(tmp_path / "one")
    opened(tmp_path / "one")
    with pytest.raises(StorageError, match=r"belongs to .*one, this search writes to .*other"):
        opened(tmp_path / "other")
    (tmp_path / "one").rename(tmp_path / "moved")
    opened(tmp_path / "moved")

"""Networks of other ports than one picture go the whole corridor, from a user's own files."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_search import cases, nas

from nas.candidate import Candidate
from nas.evidence import EXPORTED, QUANTIZED
from nas.ledger import load_arrays, unpack_scales
from nas.networks import rules_for
from nas.one_network import trained_in
from nas.trained import INT8_WEIGHTS
from runtime import load
from runtime.signature import Signature
from search_spaces.fake_quantize import restore
from search_spaces.modules import build, load_weights
from search_spaces.skeletons import lower
from trainers.calls import run_of

pytestmark = pytest.mark.slow
TOYS = Path(__file__).parent / "toys"
SHORT = (
    "study.references=[]", "study.candidates=3", "study.finalists=1", "study.probe_steps=10",
    "budget.quant_steps=20", "study.training_processes=1",
)
FRAMES = 100
"""A second and a half of a film."""


@dataclass(frozen=True)
class Found:
    """The winner of a search in a folder of the user's own."""

    study: Path
    bundle: Path
    output: str

    @property
    def case(self) -> dict[str, Any]:
        return dict(json.loads((self.bundle / "case.json").read_text()))

    @property
    def home(self) -> Path:
        return self.study / "candidates" / str(self.case["name"])


def searched(folder: Path, *settings: str) -> Found:
    shutil.copytree(TOYS, folder, dirs_exist_ok=True)
    code, output, errors = nas("search", *settings, *SHORT, "study.name=toy", folder=folder)
    assert code == 0, errors + output
    study = folder / "runs" / "toy"
    (bundle,) = (path for path in (study / "winners").iterdir() if path.is_dir())
    return Found(study, bundle, output)


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return searched(
        tmp_path_factory.mktemp("moving"), "task=moving", "search_space=moving",
        "target.height=48", "target.width=64", "budget.max_steps=80", "budget.batch_size=4",
    )


@pytest.fixture
def film(monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, Any]], Signature]:
    """A hundred frames, as the toy's own file makes them."""
    monkeypatch.syspath_prepend(str(TOYS))
    import moving as toy

    low, motion, _ = toy.Moving().film(np.random.default_rng(3), FRAMES, 48, 64)
    frames = [
        {"frame": low[t : t + 1].numpy(), "motion": motion[t : t + 1].numpy()}
        for t in range(FRAMES)
    ]
    sys.modules.pop("moving", None)
    return frames, toy.SIGNATURE


def apart_db(one: dict[str, Any], other: dict[str, Any]) -> float:
    """PSNR of one picture against the other, dB, at most 100."""
    error = np.clip(one["large"], 0, 1) - np.clip(other["large"], 0, 1)
    return float(min(100.0, -10 * np.log10(np.mean(error**2) + 1e-12)))


@pytest.mark.parametrize("name", ["digits.py", "conf/task/digits.yaml"])
def test_the_page_on_tasks_shows_the_files_that_are_tried_here(name: str) -> None:
    page = (TOYS.parents[2] / "docs" / "your_own_task.md").read_text()
    shown = page.partition(f"<!-- file: {name} -->\n")[2].split("```")[1].partition("\n")[2]
    assert shown.strip() == (TOYS / name).read_text().strip()


def test_a_network_with_a_memory_is_found_trained_quantized_and_exported(moving: Found) -> None:
    found = cases(moving.study)[str(moving.case["name"])]
    assert set(found["evidence"]) >= {"screened", "probed", "trained", "quantized", "exported"}
    assert moving.bundle.name in moving.output
    parity = json.loads((moving.bundle / "parity.json").read_text())
    # The picture leaves as levels, and what lies between two of them goes either way.
    assert parity["max_abs_error"]["fp32"] < 1.01 / 255
    assert parity["mean_abs_error"]["fp32"] < 1e-4
    assert parity["mean_abs_error"]["int8"] < 1e-3


def test_its_int8_file_does_not_drift_from_torch_over_a_hundred_frames(
    moving: Found, film: tuple[list[dict[str, Any]], Signature]
) -> None:
    frames, signature = film
    architecture, weights = trained_in(moving.home)
    graph = lower(architecture)
    network = build(graph, seed=0)
    load_weights(network, weights)
    in_float = run_of(network.eval(), signature)(frames)
    arrays = load_arrays(moving.home / INT8_WEIGHTS, sha256="")
    quantized, placement, scales = unpack_scales(arrays, graph, rules_for("openvino"))
    as_quantized = run_of(
        restore(network, placement, quantized, scales), signature
    )(frames)
    shipped = list(load(moving.bundle).over(frames))
    assert load(moving.bundle).precision == "int8"
    to_float = [apart_db(one, other) for one, other in zip(shipped, in_float, strict=True)]
    to_int8 = [apart_db(one, other) for one, other in zip(shipped, as_quantized, strict=True)]
    # Single frames differ by what is in them, so ten at each end.
    assert np.mean(to_float[-10:]) > np.mean(to_float[1:11]) - 0.5
    assert min(to_int8) > 45


def test_what_is_carried_matters(
    moving: Found, film: tuple[list[dict[str, Any]], Signature]
) -> None:
    frames, _ = film
    network = load(moving.bundle)
    remembered = list(network.over(frames[:6]))[-1]
    forgotten = next(iter(network.over(frames[5:6])))
    assert np.abs(remembered["large"] - forgotten["large"]).max() > 1e-3


def test_a_network_of_several_inputs_is_no_function_of_a_picture(moving: Found) -> None:
    network = load(moving.bundle)
    with pytest.raises(ValueError, match="takes frame, motion, history and gives large, features"):
        network(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="the inputs are frame: this network takes frame, motion"):
        network.run({"frame": np.zeros((1, 3, 48, 64), np.float32)})


def test_a_classifier_of_digits_is_found_and_is_right_nine_times_in_ten(tmp_path: Path) -> None:
    found = searched(
        tmp_path, "task=digits", "search_space=mobile", "search_space.in_channels=1",
        "search_space.classes=10", "target.height=32", "target.width=32",
        "budget.max_steps=150", "budget.batch_size=32",
    )
    assert Candidate.from_json(found.case)[QUANTIZED].metric > 85
    assert "top1 over 360" in found.output
    scores = load(found.bundle).run(np.zeros((1, 1, 32, 32), np.float32))
    assert scores.shape == (1, 10)


def test_an_engine_of_ones_own_times_judges_and_ships(tmp_path: Path) -> None:
    found = searched(
        tmp_path, "target.engine=halved:Halved", "target.height=48", "target.width=64",
        "study.horizon=null", "budget.max_steps=20", "budget.batch_size=4",
    )
    candidate = Candidate.from_json(found.case)
    assert candidate[EXPORTED].shipped.engine == "halved"
    assert candidate[QUANTIZED].precision == "int8"
    code, output, errors = nas("bench", "espcn", "--engine", "halved:Halved", folder=tmp_path)
    assert (code, "halved" in output) == (0, True), errors


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("halved:Whole", "halved has no Whole"),
        ("nowhere:Engine", "engine 'nowhere:Engine' cannot be imported: No module named"),
    ],
)
def test_an_engine_that_is_not_there_is_told_in_one_line(
    engine: str, words: str, tmp_path: Path
) -> None:
    shutil.copytree(TOYS, tmp_path, dirs_exist_ok=True)
    code, _, errors = nas("search", f"target.engine={engine}", folder=tmp_path)
    assert (code, errors.count("\n")) == (2, 1)
    assert words in errors

"""A trained network made smaller: what is left of it, what is told, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_search import Notes
from toy_search import SMALL, on_rig, toy_experiment, write_photos
from untimed import SHORT, compose_here

from nas.candidate import Candidate
from nas.commands import prune as command
from nas.evidence import EXPORTED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.ledger import Ledger, load_arrays, save_arrays
from nas.networks import UnknownNetwork
from nas.one_network import OneNetwork, train_one, trained_home, trained_in
from nas.pruning import Pruning, comparison, figures_after, figures_before, pruned
from nas.settings import SettingsError
from nas.trained import FLOAT_WEIGHTS, INT8_WEIGHTS
from search_spaces.base import BlockSpec
from trainers.base import CRITERIA

WIDE = replace(SMALL, blocks=(BlockSpec.of("conv", 16), BlockSpec.of("conv", 16)))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def experiment(folder: Path, photos: Path, **changed: Any) -> Experiment:
    toy = toy_experiment(folder, photos, space=OneNetwork(WIDE, 2))
    return on_rig(toy, target=replace(toy.target, max_latency_ms=float("inf")), **changed)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Experiment:
    """A run that has left a trained network."""
    made = experiment(tmp_path_factory.mktemp("runs") / "wide", photos)
    assert train_one(made, "wide").has(EXPORTED)
    return made


def known(source: Experiment) -> Candidate:
    found = source.ledger.load("wide")
    assert found is not None
    return found


def test_what_is_left_begins_with_the_weights_that_it_had(
    source: Experiment, photos: Path, tmp_path: Path
) -> None:
    notes = Notes()
    made = experiment(tmp_path / "run", photos, listeners=(notes,))
    smaller = pruned(made, str(source.folder), Pruning())
    assert isinstance(smaller.space, OneNetwork)
    assert smaller.space.architecture == SMALL
    _, whole = trained_in(source.folder)
    assert smaller.weights is not None and smaller.weights.keys() == whole.keys()
    # The skip connection ties both layers: what stays, stays in both.
    wide = [np.abs(w).sum((1, 2, 3)) for w in whole.values() if w.ndim == 4 and len(w) == 16]
    assert len(wide) == 2
    stays = np.sort(np.argsort(-sum(one / one.mean() for one in wide))[:8])
    first = min(name for name, w in whole.items() if w.shape == (16, 3, 3, 3))
    np.testing.assert_array_equal(smaller.weights[first], whole[first][stays])
    assert "16 k3" in notes.lines[-1] and "8 k3" in notes.lines[-1]
    assert "pruned by l1" in notes.lines[-1]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_leaves_a_network_that_trains(
    source: Experiment, photos: Path, tmp_path: Path, criterion: Any
) -> None:
    made = experiment(tmp_path / "run", photos)
    smaller = pruned(made, str(source.folder), Pruning(criterion=criterion))
    still = replace(smaller.budget, learning_rate=1e-12, ema_decay=0.0, max_steps=1)
    done = train_one(replace(smaller, budget=still), "wide-pruned")
    assert done.rejected is None and done.has(TRAINED)
    after = load_arrays(smaller.ledger.home("wide-pruned") / FLOAT_WEIGHTS)
    assert smaller.weights is not None
    for name, value in smaller.weights.items():
        np.testing.assert_allclose(after[name], value, atol=1e-6, err_msg=name)


def test_both_networks_stand_side_by_side(
    source: Experiment, photos: Path, tmp_path: Path
) -> None:
    made = experiment(tmp_path / "run", photos)
    done = train_one(pruned(made, str(source.folder), Pruning()), "wide-pruned")
    before, after = figures_before(made, str(source.folder)), figures_after(made, done)
    # Judged here and again, as it was then.
    assert before.metric == pytest.approx(known(source)[TRAINED].metric, abs=1e-4)
    assert before.shipped_metric == pytest.approx(known(source)[QUANTIZED].metric)
    assert after.metric == done[TRAINED].metric
    assert after.params < before.params and after.gmacs < 0.6 * before.gmacs
    lines = comparison(before, after, made)
    assert len(lines) == 6
    assert f"{before.params:,}" in lines[1] and f"{after.params:,}" in lines[1]
    assert "psnr_y, int8" in lines[5] and lines[5].count("dB") == 3


def test_without_its_int8_weights_only_the_float_network_is_compared(
    source: Experiment, photos: Path, tmp_path: Path
) -> None:
    notes = Notes()
    made = experiment(tmp_path / "run", photos, listeners=(notes,))
    weights = source.ledger.home("wide") / INT8_WEIGHTS
    content = weights.read_bytes()
    weights.unlink()
    try:
        before = figures_before(made, str(source.folder))
    finally:
        weights.write_bytes(content)
    assert before.shipped_metric is None
    assert "only its float is known" in notes.lines[-2]
    assert notes.lines[-1].startswith("before: 5.00 ms in int8, ")
    assert comparison(before, before, made)[5].split()[-2:] == ["-", "-"]


def test_a_winner_a_candidate_and_a_run_are_the_same_network(source: Experiment) -> None:
    home, bundle = source.ledger.home("wide"), source.folder / known(source)[EXPORTED].folder
    assert trained_home(bundle) == trained_home(source.folder) == trained_home(home) == home


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"ratio": 0.0}, "ratio is 0: give the share"),
        ({"ratio": 1.0}, "ratio is 1: give the share"),
        ({"criterion": "l3"}, "criterion is 'l3': use l1, random, mean_activation, apoz"),
        ({"multiple": 0}, "multiple is 0: use 1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(how: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pruning(**how)


def test_a_ratio_that_takes_nothing_out_is_told(
    source: Experiment, photos: Path, tmp_path: Path
) -> None:
    made = experiment(tmp_path / "run", photos)
    with pytest.raises(SettingsError, match=r"ratio=0.1 takes nothing out of .*multiple=4"):
        pruned(made, str(source.folder), Pruning(ratio=0.1))


def test_a_network_that_was_trained_anew_since_is_refused(photos: Path, tmp_path: Path) -> None:
    first = experiment(tmp_path / "first", photos)
    done = train_one(first, "wide")
    made = experiment(tmp_path / "run", photos)
    pruned(made, str(first.folder), Pruning())
    weights = first.ledger.home("wide") / FLOAT_WEIGHTS
    halved = {key: value * 0.5 for key, value in load_arrays(weights).items()}
    trained = replace(done[TRAINED], weights_sha256=save_arrays(weights, halved))
    Ledger(first.folder).save(done.having(TRAINED, trained))
    with pytest.raises(SettingsError, match="begun with another network"):
        pruned(made, str(first.folder), Pruning())


def test_a_folder_without_a_trained_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownNetwork, match="there is no folder .*nowhere"):
        trained_home(tmp_path / "nowhere")
    with pytest.raises(UnknownNetwork, match="holds 0 trained networks"):
        trained_home(tmp_path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called."""
    compose_here(tmp_path, monkeypatch, command)
    return tmp_path


def test_the_command_prunes_to_a_bundle_and_carries_on(
    here: Path, source: Experiment, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(source.folder), *SHORT, f"task.data.train={photos}", "ratio=0.5"]
    assert command.main(arguments) == 0
    output, errors = capfd.readouterr()
    assert errors == ""
    assert "pruned by l1" in output and "full training: step 3:" in output
    (bundle,) = here.glob("runs/train/wide-pruned-x2-24x32-int8-*/winners/*")
    assert json.loads((bundle / "architecture.json").read_text()) == SMALL.to_json()
    rows = {line.split(",")[0].split()[0]: line for line in output.splitlines() if line.strip()}
    assert all(name in rows for name in ("parameters", "GMACs", "latency", "psnr_y", "files"))
    assert command.main(arguments) == 0
    again = capfd.readouterr().out
    assert "step 3:" not in again and "(of an earlier run)" in again
    assert rows["parameters"] in again and rows["psnr_y"] in again
    # What was pruned is a trained network, to be pruned again.
    assert command.main([str(bundle), *SHORT, f"task.data.train={photos}", "multiple=4"]) == 0
    assert list(here.glob("runs/train/wide-pruned-pruned-*/winners/*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give the folder of a trained network"),
        (["ratio=0.5"], "give the folder of a trained network"),
        (["nowhere"], "there is no folder nowhere"),
        (["."], "holds 0 trained networks"),
        ([".", "weights=x"], "leave weights=... out"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    here: Path, arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    errors = capfd.readouterr().err
    assert words in errors and errors.count("\n") == 1
    assert list(here.iterdir()) == []

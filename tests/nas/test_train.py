"""One network through the corridor, outside of any search."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import SeededChooser
from fake_search import Notes
from hydra import compose, initialize_config_module
from real_search import ROOT, nas
from toy_search import SMALL, on_rig, toy_experiment, write_photos
from untimed import SHORT, compose_here

from nas.candidate import GIVEN, Candidate
from nas.commands import train as command
from nas.commands.train import summary
from nas.curves import CurveWriter, history
from nas.evidence import EXPORTED, PROBED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.ledger import Ledger, load_arrays, save_arrays
from nas.networks import UnknownNetwork
from nas.one_network import (
    OneNetwork,
    architecture_named,
    begun,
    label,
    taught,
    teacher_in,
    train_one,
    trained_in,
)
from nas.trained import FLOAT_WEIGHTS
from runtime.signature import one_to_one
from search_spaces.modules import build, load_some_weights, weights_of
from search_spaces.references import reference
from search_spaces.skeletons import lower
from trainers.data.sources import Sources
from trainers.tasks.super_resolution import SuperResolution


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(SMALL.to_json()))
    return path


def experiment(folder: Path, photos: Path, network: Path, **changed: Any) -> Experiment:
    toy = toy_experiment(folder, photos, space=OneNetwork(str(network), 2))
    unlimited = replace(toy.target, max_latency_ms=float("inf"))
    return on_rig(toy, target=unlimited, budget=replace(toy.budget, judge_every=3), **changed)


def test_a_network_is_trained_quantized_and_exported_as_a_winner_is(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    made = experiment(tmp_path / "run", photos, saved)
    done = train_one(made, "mine")
    assert done.rejected is None
    assert not done.has(PROBED)
    assert done.has(TRAINED) and done[TRAINED].steps == 8
    assert done.has(QUANTIZED) and done.has(EXPORTED)
    bundle = made.folder / done[EXPORTED].folder
    assert {"architecture.json", "fp32.onnx", "int8.onnx", "latency.json", "parity.json"} <= {
        path.name for path in bundle.iterdir()
    }
    text = "\n".join(summary(done, made))
    assert "in fp32 after 8 steps" in text
    assert "dB in int8, " in text and "own output" in text
    assert str(bundle) in text


def test_every_look_at_the_metric_is_a_line_of_the_curve(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    made = experiment(tmp_path / "run", photos, saved)
    done = train_one(replace(made, listeners=(CurveWriter(made.ledger),)), "mine")
    rows = history(made.ledger.home("mine"))
    looks = [row for row in rows if "trained/metric" in row]
    assert [row["step"] for row in looks] == [3, 6, 8]
    assert looks[-1]["trained/metric"] == done[TRAINED].metric
    assert [row["step"] for row in rows if "quantized/metric" in row] == [3, 4]


def test_a_second_call_repeats_nothing_and_tells_what_is_known(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    first = train_one(experiment(tmp_path / "run", photos, saved), "mine")
    notes = Notes()
    again = train_one(experiment(tmp_path / "run", photos, saved, listeners=(notes,)), "mine")
    assert again == first
    assert [kind for kind, _, _ in notes.events] == ["again"] * 4


def test_a_network_over_a_limit_that_was_given_is_refused_with_its_latency(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    made = experiment(tmp_path / "run", photos, saved)
    tight = on_rig(made, target=replace(made.target, max_latency_ms=1.0))
    done = train_one(tight, "mine")
    assert done.rejected is not None
    assert "takes 5 ms, over the 1" in done.rejected.reason


def test_a_teacher_of_an_earlier_run_changes_what_is_learned(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    alone = experiment(tmp_path / "teacher", photos, saved)
    first = train_one(alone, "mine")
    pupil = experiment(tmp_path / "pupil", photos, saved)
    second = train_one(taught(pupil, str(alone.folder), 10.0), "mine")
    assert first.has(TRAINED) and second.has(TRAINED)
    assert first[TRAINED].metric != second[TRAINED].metric
    found = teacher_in(alone.ledger.home("mine"), alone.task)
    assert not found.training


def test_what_is_no_teacher_is_refused(tmp_path: Path, photos: Path, saved: Path) -> None:
    made = experiment(tmp_path / "run", photos, saved)
    with pytest.raises(UnknownNetwork, match="holds 0 trained networks"):
        taught(made, str(tmp_path), 1.0)
    train_one(made, "mine")
    larger = SuperResolution(scale=3, data=Sources(str(photos)), crop=16)
    with pytest.raises(UnknownNetwork, match="by 2, the task 3 by 3"):
        teacher_in(made.folder, larger)


def test_a_training_goes_on_from_the_weights_of_an_earlier_run(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    first = experiment(tmp_path / "first", photos, saved)
    train_one(first, "mine")
    second = begun(experiment(tmp_path / "second", photos, saved), str(first.folder))
    still = replace(second, budget=replace(second.budget, learning_rate=1e-12, ema_decay=0.0))
    done = train_one(still, "mine")
    assert done.has(TRAINED)
    _, before = trained_in(first.folder)
    _, after = trained_in(still.folder)
    assert before.keys() == after.keys()
    for key, value in before.items():
        np.testing.assert_allclose(after[key], value, atol=1e-6, err_msg=key)


def test_from_another_scale_all_but_the_last_layers_are_taken(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    first = experiment(tmp_path / "first", photos, saved)
    train_one(first, "mine")
    _, trained = trained_in(first.folder)
    larger = tmp_path / "larger.json"
    larger.write_text(json.dumps(replace(SMALL, signature=one_to_one(3, 3, 3)).to_json()))
    space = OneNetwork(str(larger), 3)
    other = replace(experiment(tmp_path / "second", photos, saved), space=space)
    taken = begun(other, str(first.folder)).weights
    assert taken is not None
    assert 0 < len(taken) < len(trained)
    network = build(lower(space.architecture), seed=0)
    load_some_weights(network, taken)
    found = weights_of(network)
    for key, value in taken.items():
        np.testing.assert_array_equal(found[key], value)


def test_weights_of_another_network_are_refused(
    tmp_path: Path, photos: Path, saved: Path
) -> None:
    first = experiment(tmp_path / "first", photos, saved)
    train_one(first, "mine")
    wider = tmp_path / "wider.json"
    blocks = tuple(replace(block, channels=16) for block in SMALL.blocks)
    wider.write_text(json.dumps(replace(SMALL, blocks=blocks).to_json()))
    other = experiment(tmp_path / "second", photos, wider)
    with pytest.raises(UnknownNetwork, match="holds another network .*16"):
        begun(other, str(first.folder))
    with pytest.raises(UnknownNetwork, match="there is no folder .*nowhere"):
        begun(other, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("n2.weight"), r"lack 'n2.weight' of shape"),
        (lambda w: w.update({"n2.weight": w["n2.weight"][:1]}), r"hold 'n2.weight' of shape"),
    ],
)
def test_weights_that_are_not_whole_or_misshapen_are_refused_before_training(
    tmp_path: Path, photos: Path, saved: Path, change: Any, words: str
) -> None:
    made = experiment(tmp_path / "first", photos, saved)
    home = made.ledger.home("mine")
    weights = weights_of(build(lower(SMALL), seed=0))
    assert "n2.weight" in weights
    change(weights)
    save_arrays(home / FLOAT_WEIGHTS, weights)
    made.ledger.save(Candidate("mine", GIVEN, SMALL))
    other = experiment(tmp_path / "second", photos, saved)
    with pytest.raises(UnknownNetwork, match=words):
        begun(other, str(made.folder))
    with pytest.raises(UnknownNetwork, match=words):
        teacher_in(made.folder, made.task)


def test_networks_are_named_as_references_files_or_bundles(tmp_path: Path, saved: Path) -> None:
    assert architecture_named("espcn", scale=3) == reference("espcn", 3)
    assert architecture_named(str(saved), scale=2) == SMALL
    bundle = tmp_path / "abc"
    bundle.mkdir()
    (bundle / "architecture.json").write_text(saved.read_text())
    assert architecture_named(str(bundle), scale=2) == SMALL
    assert OneNetwork(str(bundle), 2).propose(SeededChooser(0)) == SMALL


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (None, "there is no"),
        ("a.onnx", "other files can be timed"),
        ("folder/", "has no architecture.json"),
        ("broken.json", "holds no architecture"),
    ],
)
def test_what_cannot_be_trained_is_named(
    tmp_path: Path, make: str | None, words: str
) -> None:
    path = tmp_path / (make or "nothing")
    if make is not None and make.endswith("/"):
        path.mkdir()
    elif make is not None:
        path.write_text("{}")
    with pytest.raises(UnknownNetwork, match=words):
        architecture_named(str(path), scale=2)


def test_a_network_of_another_scale_than_the_task_is_refused(saved: Path) -> None:
    with pytest.raises(UnknownNetwork, match="give task.scale=2"):
        OneNetwork(str(saved), 3)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("fsrcnn", "fsrcnn"),
        ("nets/my net.json", "my-net"),
        ("runs/a/winners/0ab1/architecture.json", "0ab1"),
        ("runs/a/candidates/trial-00012/case.json", "of-trial-00012"),
    ],
)
def test_a_network_is_called_after_how_it_was_named(spec: str, name: str) -> None:
    assert label(spec) == name


def test_the_command_teaches_and_names_mistakes(tmp_path: Path) -> None:
    code, output, errors = nas("train", "--help", folder=tmp_path)
    assert (code, errors) == (0, "")
    assert "nas train ecbsr_m4c16" in output
    assert "judge_every" in output
    code, _, errors = nas("train", folder=tmp_path)
    assert (code, errors.count("\n")) == (2, 1)
    assert "give the network to train" in errors
    code, _, errors = nas("train", "nope", folder=tmp_path)
    assert code == 2 and "there is no 'nope'" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called."""
    compose_here(tmp_path, monkeypatch, command)
    return tmp_path


def test_the_command_trains_a_network_to_its_bundle(
    here: Path, photos: Path, saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = command.main([str(saved), *SHORT, f"task.data.train={photos}"])
    output, errors = capfd.readouterr()
    assert (code, errors) == (0, "")
    assert "full training: step 3:" in output
    assert "own output" in output
    bundles = list(here.glob("runs/train/mine-x2-24x32-int8-*/winners/*"))
    assert len(bundles) == 1
    assert (bundles[0] / "int8.onnx").is_file()
    for path in here.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("role", ["weights", "teacher"])
def test_a_run_does_not_go_on_from_weights_that_were_trained_anew_since(
    here: Path, photos: Path, saved: Path, capfd: pytest.CaptureFixture[str], role: str
) -> None:
    first = train_one(experiment(here / "first", photos, saved), "mine")
    arguments = [str(saved), *SHORT, f"task.data.train={photos}", f"{role}={here / 'first'}"]
    for _ in range(2):
        assert command.main(arguments) == 0
    weights = here / "first" / "candidates" / first.name / FLOAT_WEIGHTS
    halved = {key: value * 0.5 for key, value in load_arrays(weights).items()}
    trained = replace(first[TRAINED], weights_sha256=save_arrays(weights, halved))
    Ledger(here / "first").save(first.having(TRAINED, trained))
    capfd.readouterr()
    assert command.main(arguments) == 2
    assert f"another network in {here / 'first'} ({role})" in capfd.readouterr().err


def test_a_run_does_not_go_on_with_other_pictures_to_judge_by(
    here: Path, saved: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(here / "own")
    arguments = [str(saved), *SHORT, f"task.data.train={photos}"]
    assert command.main(arguments) == 0
    write_photos(photos / "more", count=12, size=(64, 96))
    assert command.main(arguments) == 2
    errors = capfd.readouterr().err
    assert errors.count("\n") == 1
    assert "begun with other pictures to judge by" in errors


@pytest.mark.parametrize("budget", sorted(p.stem for p in (ROOT / "conf/budget").glob("*.yaml")))
def test_every_budget_leaves_a_curve_and_the_quick_one_costs_a_search_none(budget: str) -> None:
    with initialize_config_module("conf", version_base="1.3"):
        made = [
            compose(name, overrides=[f"budget={budget}", *more]).budget
            for name, more in (("train", ["network=espcn", "label=espcn"]), ("config", []))
        ]
    train, search = made
    assert 0 < train.judge_every <= train.max_steps / 10
    assert search.judge_every == (0 if budget == "quick" else train.judge_every)

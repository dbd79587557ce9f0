"""Finalists that are trained at once are those that would have been trained in turn."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_search import Notes
from toy_search import SMALL, small_candidate, toy_experiment, write_photos

from nas import parallel
from nas.candidate import Candidate, Origin
from nas.curves import CURVE, CurveWriter, history
from nas.events import Event, Step
from nas.evidence import TRAINED
from nas.experiment import Experiment, Plan
from nas.ledger import Ledger
from nas.parallel import processes_for, train_at_once
from nas.stages.screen import screen
from nas.stages.train import train
from nas.trained import FLOAT_WEIGHTS


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def two(experiment: Experiment) -> list[Candidate]:
    """Two different networks, screened."""
    other = replace(SMALL, args=(("base", "nearest"), ("centre", True)))
    second = Candidate("trial-00001", Origin("proposed"), other)
    return [screen(candidate, experiment) for candidate in (small_candidate(), second)]


def test_networks_trained_at_once_are_those_trained_in_turn(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    torch.set_num_threads(1)
    plan = Plan("toy", training_processes=0)
    notes = Notes()
    followed: set[str] = set()

    def follow(event: Event) -> None:
        if isinstance(event, Step):
            followed.add(event.candidate.name)

    listeners = (CurveWriter(Ledger(tmp_path / "once")), notes, follow)
    at_once = toy_experiment(tmp_path / "once", photos, plan=plan, listeners=listeners)
    in_turn = toy_experiment(tmp_path / "turn", photos, plan=plan)
    candidates = two(at_once)
    train_at_once(at_once, candidates)
    for candidate in candidates:
        saved = at_once.ledger.load(candidate.name)
        expected = train(candidate, in_turn).get(TRAINED)
        assert saved is not None and saved.has(TRAINED) and expected is not None
        assert saved[TRAINED].metric == expected.metric
        assert saved[TRAINED].steps == at_once.budget.max_steps
        assert (at_once.ledger.home(candidate.name) / FLOAT_WEIGHTS).is_file()
        home = at_once.ledger.home(candidate.name)
        assert history(home)[-1]["step"] == at_once.budget.max_steps
        lines = (home / CURVE).read_text().splitlines()
        assert len(set(lines)) == len(lines), "kept where the step is made, and nowhere else"
    finished = {name for kind, name, _ in notes.events if kind == "finished"}
    assert finished == {candidate.name for candidate in candidates}
    assert followed == finished, "each of them is told of, for those who follow it"
    assert "training 2 networks at once, 1 thread(s) each" in notes.lines


def impatient(event: Event) -> None:
    """Stops the search as soon as anything is told of a training."""
    if isinstance(event, Step):
        raise KeyboardInterrupt


@pytest.mark.slow
def test_an_interrupt_leaves_checkpoints_and_no_process(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    endless = toy_experiment(
        tmp_path, photos, plan=Plan("toy", training_processes=2), listeners=(impatient,)
    )
    endless = replace(endless, budget=replace(endless.budget, max_steps=100_000))
    candidates = two(endless)
    before = set(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt):
        train_at_once(endless, candidates)
    deadline = time.monotonic() + 5
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(multiprocessing.active_children()) - before
    checkpoints = [endless.ledger.home(c.name) / "training.ckpt" for c in candidates]
    assert any(path.is_file() for path in checkpoints)
    assert all(endless.ledger.load(c.name) is None for c in candidates)


def test_one_network_or_one_process_is_left_to_the_search_itself(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(parallel, "_pool", never)
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    alone = toy_experiment(tmp_path, photos, plan=Plan("toy", training_processes=1))
    train_at_once(alone, two(alone))
    many = replace(alone, plan=Plan("toy", training_processes=0))
    train_at_once(many, two(many)[:1])
    assert alone.ledger.all() == []


def test_as_many_as_asked_for_as_there_are_cores_or_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    every, three = Plan("a", training_processes=0), Plan("a", training_processes=3)
    assert processes_for(every, 11, gpu=False) == 4
    assert processes_for(every, 2, gpu=False) == 2
    assert processes_for(every, 11, gpu=True) == 1
    assert processes_for(three, 11, gpu=True) == 3
    assert processes_for(every, 0, gpu=False) == 1

"""Settings of the wrong type, out of range, infinite, huge, empty or endless, of every verb.

Each must be refused before anything is timed: one line, exit code 2, no traceback.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from bad_settings import bad_options, bad_settings, drawn, shown
from real_search import ROOT, TOY, nas
from toy_search import write_photos

from nas.commands.guard import guarded

SEED = 18
SEARCHES = drawn(bad_settings("config"), 15000, seed=SEED)
SWEEPS = drawn(bad_settings("config"), 100, seed=SEED + 1)
TRAININGS = drawn(bad_settings("train"), 5000, seed=SEED + 2)
QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")


class Began(BaseException):
    """It went on to what costs time: a wrong success."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here, and whatever would take time says that it was begun."""

    def began(*_: Any, **__: Any) -> None:
        raise Began

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    for place in (
        "nas.pipeline.run_study", "nas.train.train_one",
        "nas.study.Study.start_from",
    ):
        monkeypatch.setattr(place, began)


def refused(
    verb: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["nas", verb, *arguments])
    module = importlib.import_module(f"nas.commands.{verb.replace('-', '_')}")
    try:
        code = guarded(lambda: int(module.main(list(arguments))))
    except Began:
        pytest.fail(f"nas {verb} {shown(arguments)} was begun")
    _, errors = capfd.readouterr()
    assert (code, errors.count("\n")) == (2, 1), errors
    assert errors.startswith("nas: ")
    assert len(errors) < 1500


@pytest.mark.parametrize("bad", SEARCHES, ids=shown)
def test_a_search_refuses_it(
    bad: tuple[str, ...], photos: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = (*TOY, "study.references=[]", f"task.data.train={photos}", *QUIET, *bad)
    refused("search", arguments, monkeypatch, capfd)


@pytest.mark.parametrize("bad", SWEEPS, ids=shown)
def test_a_sweep_refuses_it(
    bad: tuple[str, ...], photos: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    started = ("-m", "cluster=local", "worker='range(0,2)'")
    arguments = (*started, *TOY, "study.references=[]", f"task.data.train={photos}", *QUIET, *bad)
    refused("search", arguments, monkeypatch, capfd)


@pytest.mark.parametrize("bad", TRAININGS, ids=shown)
def test_a_training_refuses_it(
    bad: tuple[str, ...], photos: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    toy = [a for a in TOY if not a.startswith("study.")]
    refused("train", ("espcn", *toy, f"task.data.train={photos}", *QUIET, *bad), monkeypatch, capfd)

"""Settings of the wrong type, out of range, infinite, huge, empty or endless, of every verb.

Each must be refused before anything is timed: one line, exit code 2, no traceback.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from bad_settings import bad_options, bad_settings, drawn, parser_of, shown
from real_search import TOY, nas
from toy_search import write_photos

from nas.commands.guard import guarded

SEED = 18
# What each verb that measures or looks needs beside the option that is tried.
BESIDE = {
    "bench": ["espcn"], "show": ["espcn"], "widths": [], "status": ["."], "dashboard": ["."],
    "measure-worker": ["toy"],
}
NAMES = ("", "nowhere", "nowhere.onnx", ".", "/dev/null", "~nobody/net.onnx", "a" * 5000, "\udcff")
SEARCHES = drawn(bad_settings("config"), 150, seed=SEED)
SWEEPS = drawn(bad_settings("config"), 50, seed=SEED + 1)
TRAININGS = drawn(bad_settings("train"), 50, seed=SEED + 2)
OPTIONS = drawn(
    [(verb, *beside, option, value) for verb, beside in BESIDE.items()
     for option, value in bad_options(parser_of(verb))]
    + [(verb, name) for verb in ("bench", "show", "train", "status", "dashboard", "doctor",
                                 "measure-worker") for name in NAMES],
    80, seed=SEED + 3,
)
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
        "nas.pipeline.run_study", "nas.one_network.train_one",
        "nas.study.Study.start_from", "nas.measurements.benches.IsolatedLatency", "subprocess.run",
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
    arguments = ("espcn", *toy, f"task.data.train={photos}", *QUIET, *bad)
    refused("train", arguments, monkeypatch, capfd)


@pytest.mark.parametrize("bad", OPTIONS, ids=shown)
def test_a_command_that_measures_or_looks_refuses_it(
    bad: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    refused(bad[0], bad[1:], monkeypatch, capfd)


SAMPLE = (
    ("search", "budget.learning_rate=nan"),
    ("search", "-m", "worker='range(0,2)'", "cluster=local", "target.max_latency_ms=inf"),
    ("train", "espcn", f"study.seed={10**30}"),
    ("bench", "nowhere.onnx"),
    ("status", ".", "--watch", "nan"),
    ("dashboard", ".", "--port", "-1"),
)


@pytest.mark.parametrize("bad", SAMPLE, ids=shown)
def test_a_real_process_says_it_in_one_line_and_leaves_nothing(
    bad: tuple[str, ...], tmp_path: Path
) -> None:
    code, output, errors = nas(*bad, folder=tmp_path)
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert errors.startswith("nas: ")
    left = [path.name for path in tmp_path.iterdir() if path.suffix != ".log"]
    assert not left


def test_so_many_were_tried() -> None:
    assert len(SEARCHES) + len(SWEEPS) + len(TRAININGS) + len(OPTIONS) + len(SAMPLE) >= 300

"""The functions do what the commands do, quietly, and leave nothing changed behind."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from toy_search import SMALL, write_photos

import nas
from nas.events import Event, Step
from nas.evidence import TRAINED
from nas.policies.random import Random
from nas.settings import SettingsError
from runtime import load
from search_spaces.super_resolution import SuperResolutionSpace
from trainers.data.sources import Sources
from trainers.tasks.super_resolution import SuperResolution

TARGET = nas.Target(engine="openvino", precision="fp32", height=24, width=32)
BUDGET = nas.Budget(max_steps=6, batch_size=2, quant_steps=0, quant_calibration=4)
PLAN = nas.Plan("toy", candidates=3, probe_steps=3, finalists=2)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> SuperResolution:
    photos = write_photos(tmp_path_factory.mktemp("photos"), count=3)
    return SuperResolution(data=Sources(str(photos)), crop=16)


def state() -> list[Any]:
    """What a notebook's other measurements would notice."""
    signals = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)]
    return [
        *signals, optuna.logging.get_verbosity(), list(logging.root.handlers),
        logging.root.level, sys.stdout, sys.stderr,
    ]


def unchanged(call: Callable[[], Any], capfd: pytest.CaptureFixture[str]) -> Any:
    before = state()
    made = call()
    assert state() == before
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")
    return made


@pytest.mark.slow
def test_a_search_leaves_bundles_that_run_and_the_same_call_carries_on(
    task: SuperResolution, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def search() -> nas.Found:
        return nas.search(
            SuperResolutionSpace(), task, TARGET, plan=PLAN, budget=BUDGET, policy=Random(),
            folder=tmp_path / "study",
        )

    found = unchanged(search, capfd)
    assert found.winners and found.report.is_file()
    assert sum(c.has(TRAINED) for c in found.candidates) == 2
    small = task.examples()[0].low[:24, :32]
    assert load(found.winners[0])(small).shape == (48, 64, 3)
    found.show()
    assert "bicubic" in capfd.readouterr().out
    again = unchanged(search, capfd)
    assert again.winners == found.winners
    assert [c.get(TRAINED) for c in again.candidates] == [c.get(TRAINED) for c in found.candidates]
    with pytest.raises(SettingsError, match="begun with other settings.*max_steps was 6"):
        nas.search(
            SuperResolutionSpace(), task, TARGET, plan=PLAN, folder=tmp_path / "study",
        )


@pytest.mark.slow
def test_one_network_is_trained_and_its_bundle_goes_where_it_is_needed(
    task: SuperResolution, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    heard: list[Event] = []
    trained = unchanged(
        lambda: nas.train(
            SMALL, task, folder=tmp_path / "run", target=TARGET, budget=BUDGET,
            listeners=(heard.append,),
        ),
        capfd,
    )
    assert [event.done for event in heard if isinstance(event, Step)][-1] == BUDGET.max_steps
    assert trained.candidate.has(TRAINED)
    shipped = nas.export(trained.bundle, tmp_path / "product" / "network")
    assert load(shipped)(task.examples()[0].low).ndim == 3
    with pytest.raises(SettingsError, match="is in use: give a folder that does not exist"):
        nas.export(trained.bundle, shipped)
    manifest = (trained.bundle / "manifest.json").read_text()
    (trained.bundle / "manifest.json").write_text('{"../secret": "5f"}')
    with pytest.raises(SettingsError, match="names ../secret, which is outside"):
        nas.export(trained.bundle, tmp_path / "another")
    (trained.bundle / "manifest.json").write_text(manifest)
    (trained.bundle / "fp32.onnx").write_bytes(b"changed")
    with pytest.raises(SettingsError, match="fp32.onnx is not what was exported"):
        nas.export(trained.bundle, tmp_path / "another")
    assert not (tmp_path / "another").exists()


@pytest.mark.slow
def test_networks_are_timed_side_by_side(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    measurements = unchanged(
        lambda: nas.bench(
            ["espcn"], ["openvino", "onnxruntime"], precisions=["fp32"], sizes=[(24, 32)],
            keep=False,
        ),
        capfd,
    )
    assert [c.engine for c in measurements] == ["openvino", "onnxruntime"]
    assert all(c.report is not None and c.report.median_ms > 0 for c in measurements)


def test_what_does_not_fit_is_one_line_and_leaves_no_study(
    task: SuperResolution, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="search_space proposes networks that make") as told:
        nas.search(SuperResolutionSpace(scale=3), task, TARGET, folder=tmp_path / "study")
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="precision is 'int4': use fp32, fp16, int8"):
        nas.bench(["espcn"], precisions=["int4"])  # type: ignore[list-item]
    with pytest.raises(SettingsError, match="no manifest.json: give the folder of a winner"):
        nas.export(tmp_path, tmp_path / "x")
    with pytest.raises(SettingsError, match="is for `nas search study.table"):
        nas.search(
            SuperResolutionSpace(), task, TARGET, plan=replace(PLAN, table="x"),
            folder=tmp_path / "s",
        )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert {"search", "train", "bench", "export"} <= set(nas.__all__)
    with pytest.raises(AttributeError, match="module 'nas' has no attribute 'serach'"):
        nas.serach  # type: ignore[attr-defined]  # noqa: B018

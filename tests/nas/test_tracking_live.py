"""Tracked runs follow their trainings: what is to be seen of them before they are over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy_search import small_candidate, toy_experiment, write_photos
from wandb_files import read_runs

from nas.curves import CurveWriter
from nas.events import Event, Note, Step
from nas.evidence import PROBED, QUANTIZED, TRAINED
from nas.experiment import Experiment
from nas.pipeline import advance
from nas.tracking import trackers
from nas.tracking.runs import TrackedRun
from nas.tracking.trackers import Tracked, TrackingSettings, WandbTracker, open_tracker


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "_SHOW_EVERY_S", -1.0)


def followed(
    folder: Path, photos: Path, tracker: Any, look: Callable[[Event], None]
) -> Experiment:
    """A search that tells the curve writer, the tracker and then somebody who looks."""
    here = toy_experiment(folder, photos)
    return replace(here, listeners=(CurveWriter(here.ledger), Tracked(here, tracker), look))


def test_tensorboards_files_are_there_while_it_trains(tmp_path: Path, photos: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    home = tmp_path / "tracking/tensorboard/toy-trial-00000"
    seen: dict[tuple[str, int], list[int]] = {}

    def look(event: Event) -> None:
        if isinstance(event, Step):
            shown = []
            if home.is_dir():
                events = EventAccumulator(str(home))
                events.Reload()
                shown = [e.step for e in events.Scalars("trained/loss")]
            seen[event.training.name, event.done] = shown

    tracker = open_tracker(TrackingSettings(kind="tensorboard"), tmp_path)
    advance(small_candidate(), followed(tmp_path, photos, tracker, look), upto=QUANTIZED)
    assert seen == {
        ("trained", 4): [],  # of a probe, after which nobody may train it in full
        ("trained", 8): [4],
        ("quantized", 4): [4, 8],
    }


def test_a_run_that_was_broken_off_is_shown_once_in_tensorboard(
    tmp_path: Path, photos: Path
) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = TrackingSettings(kind="tensorboard")
    for count in (2, 3):
        tracker = open_tracker(settings, tmp_path)
        assert tracker is not None
        tracker.show(run_of(count))
    tracker.write(run_of(4))
    events = EventAccumulator(str(tmp_path / "tracking/tensorboard/toy-a"))
    events.Reload()
    assert [e.step for e in events.Scalars("trained/loss")] == [0, 50, 100, 150]


def run_of(count: int) -> TrackedRun:
    rows = [{"step": 50.0 * k, "trained/loss": 1.0 / (k + 1)} for k in range(count)]
    return TrackedRun("toy-a", "a", "candidate", "toy", {}, rows)


def test_an_offline_run_is_there_while_it_trains_and_is_one_run_at_the_end(
    tmp_path: Path, photos: Path
) -> None:
    wandb = pytest.importorskip("wandb", reason="needs wandb")
    folders: list[int] = []

    def look(event: Event) -> None:
        if isinstance(event, Step):
            folders.append(len(list(tmp_path.glob("tracking/wandb/offline-run-*"))))

    settings = TrackingSettings(kind="wandb", mode="offline")
    begun = followed(tmp_path, photos, open_tracker(settings, tmp_path), look)
    candidate = advance(small_candidate(), begun, upto=TRAINED)
    # Another process goes on with it, which knows nothing of the first one's run.
    wandb.teardown()
    again = followed(tmp_path, photos, open_tracker(settings, tmp_path), look)
    advance(candidate, again, upto=QUANTIZED)
    assert folders == [0, 1, 1]
    (run,) = read_runs(tmp_path / "tracking").values()
    assert [row["step"] for row in run.history if "step" in row] == [4, 8, 4]


class FakeWandb:
    """As much of W&B as is used online: runs that are kept by id, and resumed."""

    Settings = staticmethod(lambda **settings: None)
    teardown = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.kept: dict[str, list[dict[str, float]]] = {}

    def init(self, *, id: str, resume: str, **settings: Any) -> Any:
        assert resume == "allow"
        rows = self.kept.setdefault(id, [])

        class Run:
            summary: dict[str, Any] = {}
            finish = staticmethod(lambda: None)

            @property
            def step(self) -> int:
                return len(rows)

            def log(self, row: dict[str, float]) -> None:
                rows.append(row)

        return Run()


def test_an_online_run_is_resumed_under_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="needs wandb")
    online, service = TrackingSettings(kind="wandb", mode="online"), FakeWandb()

    def another_process() -> WandbTracker:
        tracker = WandbTracker(online, tmp_path)
        tracker._wandb = service  # type: ignore[assignment]
        return tracker

    one, other = another_process(), another_process()
    one.show(run_of(2))
    one.show(run_of(3))
    assert len(service.kept["toy-a"]) == 3
    other.show(run_of(5))
    other.write(run_of(6))
    assert service.kept == {"toy-a": list(run_of(6).history)}


def test_a_service_that_is_away_keeps_no_training_from_going_on(
    tmp_path: Path, photos: Path
) -> None:
    notes: list[str] = []

    def away(run: TrackedRun) -> None:
        raise ConnectionError("no route to host")

    def look(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.line)

    written: list[TrackedRun] = []
    tracker = SimpleNamespace(show=away, write=written.append)
    here = followed(tmp_path, photos, tracker, look)
    # Its own notes go to everybody.
    here = replace(here, listeners=(here.listeners[0], Tracked(here, tracker), look))
    advance(small_candidate(), here, upto=QUANTIZED)
    (note,) = notes
    assert note.startswith("trial-00000 is not followed (ConnectionError: no route to host")
    (run,) = written
    assert [row["step"] for row in run.history] == [4, 8, 4]


def test_a_probe_is_no_run(tmp_path: Path, photos: Path) -> None:
    shown: list[TrackedRun] = []
    tracker = SimpleNamespace(show=shown.append, write=shown.append)
    here = followed(tmp_path, photos, tracker, lambda event: None)
    candidate = advance(small_candidate(), here, upto=PROBED)
    assert candidate.has(PROBED) and not shown

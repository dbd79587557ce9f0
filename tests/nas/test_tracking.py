"""Tracked runs are read back from what W&B and TensorBoard wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_studies import PSNR, probed, trained
from toy_search import small_candidate, toy_experiment, write_photos
from wandb_files import ReadRun, read_runs

from nas.candidate import Candidate, Rejection
from nas.curves import CurveWriter
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED
from nas.experiment import Experiment
from nas.pipeline import advance
from nas.storage import journal
from nas.study import Study
from nas.tracking.runs import study_run
from nas.tracking.trackers import (
    MARK,
    Tracked,
    TrackingSettings,
    open_tracker,
    track_study,
)
from nas.winners import hypervolume

PASSWORD = "geheim"


def tracked(folder: Path, photos: Path, kind: str) -> tuple[Experiment, list[Candidate]]:
    """A candidate through every stage, tracked, and the run of its study."""
    here = toy_experiment(folder, photos)
    settings = {
        "storage": {"url": f"postgresql://freeway:{PASSWORD}@db/sweeps"},
        "study": {"name": "toy"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    tracker = open_tracker(TrackingSettings(kind=kind, mode="offline"), folder)
    assert tracker is not None
    here = replace(here, listeners=(CurveWriter(here.ledger), Tracked(here, tracker)))
    candidate = advance(small_candidate(), here, upto=EXPORTED)
    storage = journal(folder / "study.journal")
    study = Study(storage, name="toy", seed=0, metric=here.task.metric)
    track_study(here, study, [candidate], tracker)
    return here, [candidate]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, photos: Path
) -> tuple[Path, Candidate, dict[str, ReadRun]]:
    pytest.importorskip("wandb", reason="needs wandb")
    folder = tmp_path_factory.mktemp("study")
    _, (candidate,) = tracked(folder, photos, "wandb")
    return folder, candidate, read_runs(folder / "tracking")


def test_there_is_one_run_per_trained_candidate_and_one_for_the_study(runs: Any) -> None:
    _, candidate, found = runs
    assert {(r.id, r.job_type, r.group) for r in found.values()} == {
        (f"toy-{candidate.name}", "candidate", "toy"), ("toy-study", "study", "toy"),
    }
    assert {r.exit_code for r in found.values()} == {0}


def test_a_candidates_run_says_what_it_is_and_what_came_of_it(runs: Any) -> None:
    _, candidate, found = runs
    run = found[candidate.name]
    assert run.config["architecture"] == candidate.architecture.to_json()
    assert run.config["storage"] == {"url": "postgresql://freeway:***@db/sweeps"}
    assert run.summary["quality"] == pytest.approx(candidate.quality)
    receipt = run.summary["screened"]
    assert receipt["median_ms"] == candidate[SCREENED].median_ms
    assert receipt["device"] == candidate[SCREENED].device
    assert run.summary["quantized"]["metric"] == pytest.approx(candidate[QUANTIZED].metric)


def test_the_curves_of_both_trainings_are_in_the_history(runs: Any) -> None:
    _, _, found = runs
    (run,) = [r for r in found.values() if r.job_type == "candidate"]
    losses = [row for row in run.history if "trained/loss" in row]
    assert [row["step"] for row in losses] == [4, 8]
    assert all(np.isfinite(row["trained/loss"]) for row in losses)
    assert [row["step"] for row in run.history if "quantized/loss" in row] == [4]


def test_pictures_and_the_drawing_are_there_as_files(runs: Any) -> None:
    _, _, found = runs
    (run,) = [r for r in found.values() if r.job_type == "candidate"]
    (media,) = [row for row in run.history if "architecture" in row]
    images = [value for key, value in media.items() if key.startswith("images/")]
    assert len(images) >= 1
    for value in (*images, media["architecture"]):
        assert (run.folder / "files" / value["path"]).is_file()
    drawn = (run.folder / "files" / media["architecture"]["path"]).read_text()
    assert "<svg" in drawn


def test_the_studys_run_has_funnel_front_and_the_winners_bundle(runs: Any) -> None:
    _, candidate, found = runs
    (run,) = [r for r in found.values() if r.job_type == "study"]
    assert run.summary["funnel"]["winners"] == 1
    (media,) = [row for row in run.history if "front" in row]
    table = json.loads((run.folder / "files" / media["front"]["path"]).read_text())
    assert [row[0] for row in table["data"]] == [candidate.name]
    (contents,) = run.artifacts.values()
    assert contents >= {"int8.onnx", "fp32.onnx", "latency.json", "case.json"}


def test_no_password_is_in_any_file(runs: Any) -> None:
    folder, _, _ = runs
    written = [path for path in (folder / "tracking").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()]


def test_what_was_written_is_not_written_again(tmp_path: Path, photos: Path) -> None:
    class Counting:
        def __init__(self) -> None:
            self.names: list[str] = []

        def write(self, run: Any) -> None:
            self.names.append(run.name)

    here, counting = toy_experiment(tmp_path, photos), Counting()
    probed_only = small_candidate().having(PROBED, trained(20.0))
    failed = replace(probed_only, rejected=Rejection("trains", "nan"))
    storage = journal(tmp_path / "study.journal")
    study = Study(storage, name="toy", seed=0, metric=PSNR)
    for _ in range(2):
        track_study(here, study, [failed], counting)
    assert counting.names == [failed.name, "toy", "toy"]
    (here.ledger.home(failed.name) / MARK).unlink()
    track_study(here, study, [failed], counting)
    assert counting.names[-2:] == [failed.name, "toy"]


def test_tensorboard_shows_the_same(tmp_path: Path, photos: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, (candidate,) = tracked(tmp_path, photos, "tensorboard")
    events = EventAccumulator(str(tmp_path / "tracking/tensorboard" / f"toy-{candidate.name}"))
    events.Reload()
    assert [e.step for e in events.Scalars("trained/loss")] == [4, 8]
    assert events.Tags()["images"]
    said = events.Tensors("summary/text_summary")[0].tensor_proto.string_val[0].decode()
    assert f"{candidate[QUANTIZED].metric}" in said


def test_hypervolume_is_the_area_that_the_points_dominate() -> None:
    def area(*points: tuple[float, float]) -> float:
        return hypervolume(points, PSNR, worst_quality=30.0, worst_latency_ms=50.0)

    assert area() == 0
    assert area((32.0, 40.0)) == pytest.approx(20.0)
    assert area((32.0, 40.0), (31.0, 20.0)) == pytest.approx(20.0 + 20.0)
    assert area((32.0, 40.0), (31.5, 45.0)) == pytest.approx(20.0)
    assert area((29.0, 10.0), (33.0, 60.0)) == 0


def test_hypervolume_grows_in_the_order_in_which_proposals_were_told(
    tmp_path: Path, photos: Path
) -> None:
    here = toy_experiment(tmp_path, photos)
    baseline = here.task.baseline()
    candidates = [probed(1, 8.0, baseline + 1), probed(2, 5.0, baseline + 2)]
    began = datetime(2026, 1, 1)
    told = {"trial-2": began, "trial-1": began + timedelta(minutes=3)}
    run = study_run(here, candidates, told)
    assert [row["candidates"] for row in run.history] == [1, 2]
    assert [row["minutes"] for row in run.history] == [0.0, 3.0]
    assert [row["hypervolume"] for row in run.history] == pytest.approx([10.0, 10.0])


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"kind": "mlflow"}, "use none, wandb or tensorboard"), ({"mode": "on"}, "tracking.mode")],
)
def test_unknown_trackers_are_refused(changed: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrackingSettings(**changed)

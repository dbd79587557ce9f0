"""A damaged file of a study is told by its name, in one line, by whoever reads it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from damages import damages, put
from finished_studies import PSNR, finished_study
from real_search import TOY
from toy_search import write_photos

from nas.commands import search, show, status
from nas.commands.guard import guarded
from nas.experiment import Experiment
from nas.ledger import Ledger, as_json
from nas.study import Study
from nas.workers.claims import Claims
from nas.workers.roster import Pace, Worker

SEED = 14
QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")
SETTINGS = {
    "study": {"name": "photos", "candidates": 16},
    "target": {"max_latency_ms": 50.0},
    "workers": {"lease_s": 30.0},
    "metric": asdict(PSNR),
}


def told_or_harmless(code: int, errors: str, file: Path, *, fine: int) -> bool:
    """Whether it was told; fails where neither that nor that it was harmless is so."""
    if code == fine:
        return False
    assert (code, errors.count("\n")) == (2, 1), errors
    assert errors.startswith("nas: ") and file.name in errors, errors
    return True


def made(folder: Path) -> Path:
    """A finished study with two workers, one of which has a candidate."""
    folder.mkdir()
    (folder / "settings.json").write_text(as_json(SETTINGS))
    for candidate in finished_study():
        Ledger(folder).save(candidate)
    for number in range(2):
        claims = Claims(folder, Worker.this_process(number, code="", now=0.0), Pace())
        claims.__enter__()
        claims._end.set()
        claims.take(f"trial-{number}")
    return folder


STATUS_FILES = ("settings.json", "candidates/trial-1/case.json", "candidates/espcn/case.json",
                "workers/000*.json", "claims/trial-0.0")


@pytest.mark.parametrize("pattern", STATUS_FILES)
def test_status_tells_the_damaged_file(
    pattern: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = made(tmp_path / "study")
    (file,) = study.glob(pattern)
    content, told = file.read_bytes(), 0
    for what, damaged in damages(content, count=25, seed=SEED):
        put(file, damaged)
        code = guarded(lambda: status.main([str(study)]))
        output, errors = capfd.readouterr()
        assert "Traceback" not in output + errors, what
        told += told_or_harmless(code, errors, file, fine=0)
    # A claim says who has it and no more: a damaged one is nobody's.
    assert told >= (0 if "claims" in pattern else 20)
    put(file, content)
    assert guarded(lambda: status.main([str(study)])) == 0


class Reached(BaseException):
    """The search would go on from here."""


@pytest.fixture
def begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """A search that was begun; returns how its continuation ends."""
    photos = write_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["nas"])

    def read_all(experiment: Experiment, study: Study) -> None:
        experiment.ledger.all()
        study.start_from(experiment.space)
        study.next(experiment.space)
        raise Reached

    monkeypatch.setattr("nas.pipeline.run_study", read_all)

    def run() -> tuple[int, str]:
        small = ("study.references=[]", f"task.data.train={photos}")
        try:
            code = guarded(lambda: search.main([*TOY, *small, *QUIET]))
        except Reached:
            code = 0
        return code, capfd.readouterr().err

    assert run()[0] == 0
    for candidate in finished_study():
        Ledger(tmp_path / "runs" / "toy").save(candidate)
    assert run()[0] == 0
    return run


SEARCH_FILES = ("settings.json", "inputs.json", ".identity", "study.journal", "latency.sqlite",
                "candidates/trial-1/case.json")


@pytest.mark.parametrize("name", SEARCH_FILES)
def test_a_search_that_is_carried_on_tells_the_damaged_file(
    name: str, begun: Any, tmp_path: Path
) -> None:
    study = tmp_path / "runs" / "toy"
    shutil.copytree(study, tmp_path / "copy")
    told = 0
    for what, damaged in damages((study / name).read_bytes(), count=6, seed=SEED):
        shutil.rmtree(study)
        shutil.copytree(tmp_path / "copy", study)
        put(study / name, damaged)
        code, errors = begun()
        if name == ".identity":
            # Nobody can tell it from the identity of another folder.
            assert code == 0 or "belongs to" in errors
            continue
        try:
            told += told_or_harmless(code, errors, Path(name), fine=0)
        except AssertionError as failed:
            if " begun " in errors:
                continue
            raise AssertionError(f"{name}, {what}: {failed}") from failed
    assert told >= (0 if name == ".identity" else 4)


@pytest.mark.parametrize("name", ["architecture.json", "case.json"])
def test_a_damaged_network_is_told_by_whoever_shows_it(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    candidate = finished_study()[0]
    content = {
        "architecture.json": as_json(candidate.architecture.to_json()),
        "case.json": as_json(candidate.to_json()),
    }[name].encode()
    file = tmp_path / "net" / name
    file.parent.mkdir()
    file.write_bytes(content)
    told = 0
    for what, damaged in damages(content, count=20, seed=SEED):
        put(file, damaged)
        code = guarded(lambda: show.main([str(file.parent), "--no-roofline"]))
        output, errors = capfd.readouterr()
        assert "Traceback" not in output + errors, what
        # Which engine was picked may have been told before.
        reasons = [line for line in errors.splitlines() if line.startswith("nas: ")]
        assert code == 0 or (code, len(reasons)) == (2, 1), (what, errors)
        assert errors.count("\n") <= 2, (what, errors)
        told += code == 2
    assert told >= 10

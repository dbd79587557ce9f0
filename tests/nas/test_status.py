"""What a study is at, read from its folder alone."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from finished_studies import PSNR, broken, on_pictures, probed, too_slow, winner
from rich.console import Console

from nas.commands import status as command
from nas.ledger import REPORT, Ledger
from nas.report.results import _date_after_evidence
from nas.report.status_table import print_status
from nas.workers.claims import Claims
from nas.workers.roster import Pace, Worker
from nas.workers.status import NoStudy, read_status, report_is_fresh

SETTINGS = {
    "study": {"name": "photos", "candidates": 16},
    "target": {"max_latency_ms": 50.0},
    "workers": {"lease_s": 30.0},
    "metric": asdict(PSNR),
}
FOUND = (probed(1, 20.0, 31.0), winner(2, 30.0, 33.0), too_slow(3, 70.0), broken(4), broken(5))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    for candidate in FOUND:
        Ledger(tmp_path).save(candidate)
    return tmp_path


def joined(folder: Path, number: int, **changed: Any) -> Claims:
    me = replace(Worker.this_process(number, code="", now=float(number)), **changed)
    return Claims(folder, me, Pace())


def shown(folder: Path, *, width: int = 120, **at: Any) -> str:
    console = Console(width=width, record=True, file=open(os.devnull, "w"))
    with console.file:
        print_status(console, read_status(folder, **at))
        return console.export_text()


def test_candidates_are_counted_and_failures_have_their_reason(study: Path) -> None:
    status = read_status(study)
    assert (status.planned, status.funnel.proposed, status.funnel.too_slow) == (16, 5, 1)
    assert status.failures == (("compiles: no kernel for Conv", 2),)
    assert "5 of 16 timed untrained, 1 too slow, 2 failed" in shown(study)
    assert "2 refused  compiles: no kernel for Conv" in shown(study)


def test_the_front_compares_only_what_came_equally_far(study: Path) -> None:
    assert [c.name for c in read_status(study).front] == ["trial-2"]


def test_the_front_says_on_how_many_pictures_it_was_judged(study: Path) -> None:
    assert "pictures" not in shown(study)
    for candidate in FOUND:
        Ledger(study).save(on_pictures(candidate))
    assert "architecture (psnr_y over 12 pictures)" in shown(study)


@pytest.mark.parametrize("width", [30, 50, 80])
def test_a_narrow_terminal_keeps_names_latency_and_metric(study: Path, width: int) -> None:
    with joined(study, 3) as workers:
        workers.says(doing="trial-00007 probed")
        said = shown(study, width=width)
    assert max(map(len, said.splitlines())) <= width
    for whole in ("trial-2", "30.0 ms", "33.00 dB", "working"):
        assert whole in said


def test_a_worker_is_shown_with_its_stage_and_what_it_holds(study: Path) -> None:
    with joined(study, 3) as workers:
        workers.take("trial-00007")
        workers.says(doing="trial-00007 probed")
        (seen,) = read_status(study).workers
        assert (seen.state, seen.holds) == ("working", ("trial-00007",))
        assert "trial-00007 probed" in shown(study)
    (seen,) = read_status(study).workers
    assert (seen.state, seen.worker.ended, seen.holds) == ("ended", "ended", ())


def test_a_silent_worker_and_a_killed_one_are_told_apart_and_leave_their_candidates(
    study: Path,
) -> None:
    silent = joined(study, 0, machine="elsewhere")
    killed = joined(study, 1, process="1 0")
    for workers, what in ((silent, "trial-00001"), (killed, "trial-00002")):
        workers._claims.mkdir(exist_ok=True)
        workers._write(workers.me)
        workers._link(what, 0)
    status = read_status(study)
    assert [one.state for one in status.workers] == ["working", "killed"]
    assert status.left == ("trial-00002",)
    later = read_status(study, now=time.time() + 31)
    assert [one.state for one in later.workers] == ["silent", "killed"]
    assert later.left == ("trial-00001", "trial-00002")
    assert "trial-00001 was left by a worker" in shown(study, now=time.time() + 31)


def test_a_report_older_than_the_evidence_is_no_end(study: Path) -> None:
    report = study / "report.html"
    report.touch()
    assert read_status(study).report == report
    os.utime(report, (1, 1))
    assert read_status(study).report is None


def test_the_command_takes_a_folder_or_a_name_and_prints_json_too(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(study)]) == 0
    assert "5 of 16 timed" in capsys.readouterr().out
    assert command.main([study.name, "--runs", str(study.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["funnel"]["proposed"] == 5


def test_a_study_without_a_limit_is_json_of_the_standard(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = json.loads((study / "settings.json").read_text())
    settings["target"]["max_latency_ms"] = "inf"
    (study / "settings.json").write_text(json.dumps(settings))
    assert command.main([str(study), "--json"]) == 0
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said["limit_ms"] == "inf"
    assert command.main([str(study / "nowhere")]) == 2
    assert "there is no study in" in capsys.readouterr().err
    with pytest.raises(NoStudy):
        read_status(study / "nowhere")


def test_a_report_is_newer_than_its_evidence_though_the_clock_was_set_back(tmp_path: Path) -> None:
    case, report = tmp_path / "candidates" / "trial-1" / "case.json", tmp_path / REPORT
    case.parent.mkdir(parents=True)
    case.write_text("{}")
    report.write_text("")
    later = time.time() + 3600
    os.utime(case, (later, later))
    assert not report_is_fresh(tmp_path)
    _date_after_evidence(report)
    assert report_is_fresh(tmp_path)
    os.utime(case, (later + 1, later + 1))
    assert not report_is_fresh(tmp_path)

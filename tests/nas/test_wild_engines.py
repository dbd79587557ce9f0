"""Candidates that crash their engine, hang it or eat all memory: the search goes on."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from toy_search import toy_experiment, write_photos
from wild_engine import Wild

from latency_models.isolated import IsolatedLatency
from nas.experiment import Plan
from nas.pipeline import run_study
from nas.report.results import conclude
from nas.study import Study


@pytest.mark.slow
def test_the_search_goes_on_and_the_report_tells_why_each_was_rejected(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    wild = IsolatedLatency(partial(Wild, str(tmp_path)), timeout_s=10.0, memory_limit_mib=500.0)
    with wild as latency:
        experiment = toy_experiment(
            tmp_path / "study",
            photos,
            plan=Plan("toy", candidates=6, probe_steps=2, finalists=1),
            quick=latency,
        )
        metric = experiment.task.metric
        study = Study(tmp_path / "study.journal", name="toy", seed=0, metric=metric)
        outcome = conclude(experiment, run_study(experiment, study))
    reasons = [c.rejected.reason for c in experiment.ledger.all() if c.rejected]
    page = outcome.report.read_text()
    for words in ("crashed by SIGSEGV", "no answer within 10 s", "out of memory"):
        (reason,) = (r for r in reasons if words in r)
        assert words in page, reason
    assert "kernel 1 selected" in next(r for r in reasons if "SIGSEGV" in r)
    assert outcome.summary.winners

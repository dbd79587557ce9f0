"""Several limits of one target: under each the best network is told, and it ships."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_search import FakeStages, experiment, study_of
from finished_studies import PLAN, PSNR, TARGET, finished_study, receipt, winner
from rich.console import Console
from toy_search import toy_experiment, write_photos

from nas.asked import fitting
from nas.candidate import Candidate
from nas.evidence import EXPORTED, MAIN, QUANTIZED, SETTLED
from nas.experiment import Experiment, Plan
from nas.pipeline import run_study, shipping
from nas.report.funnel import funnel
from nas.report.page import Circumstances, render
from nas.report.summary import summarize
from nas.report.tables import print_table
from nas.settings import SettingsError
from nas.target import Target
from nas.winners import best_within
from trainers.budget import Budget


def settled(candidate: Candidate, ms: float) -> Candidate:
    return candidate.having(SETTLED, receipt(ms))


@pytest.mark.parametrize(("limits", "names"), [
    ((), ["trial-1"]), ((8.0,), ["trial-1", "trial-2"]), ((6.0,), ["trial-1"]),
])
def test_where_the_best_under_a_limit_missed_it_as_it_shipped_the_next_one_ships(
    tmp_path: Path, limits: tuple[float, ...], names: list[str]
) -> None:
    late = settled(winner(1, 8.2, 33.0), 7.9)
    behind = settled(winner(2, 7.95, 32.0), 7.95).without(EXPORTED)
    here = experiment(tmp_path, limits=limits)
    assert [c.name for c in shipping([late, behind], here)] == names


def test_a_search_ships_the_best_under_each_limit(tmp_path: Path) -> None:
    here = replace(
        experiment(tmp_path, limits=(10.0, 25.0)), stages=FakeStages().stages()
    )
    found = run_study(here, study_of(here))
    alive = [c for c in found if c.is_proposal and c.has(QUANTIZED) and not c.rejected]
    best = [best_within(alive, limit_ms, PSNR) for limit_ms in (10.0, 25.0)]
    assert best[1] is not None
    assert all(c is None or c.has(EXPORTED) for c in best)


def told(limits_ms: tuple[float, ...]) -> tuple[str, str]:
    """The terminal's words and the page of a study."""
    study = finished_study()
    summary = summarize(study, target=TARGET, metric=PSNR, baseline=31.62, limits_ms=limits_ms)
    console = Console(width=140, record=True, file=open(os.devnull, "w"))
    with console.file:
        print_table(console, summary)
        page = render(
            summary, funnel(study), study, [], plan=PLAN, circumstances=Circumstances("today")
        )
        return console.export_text(), page


def test_terminal_and_report_tell_the_best_under_each_limit() -> None:
    text, page = told((33.0, 8.0, 16.0))
    ids = [winner(number, 1.0, 1.0).architecture.id for number in (1, 8)]
    for line in (
        "8.00 ms: no winner is as fast",
        f"16.0 ms: {ids[0]}, 32.41 dB in 14.2 ms",
        f"33.0 ms: {ids[1]}, 33.10 dB in 31.5 ms",
    ):
        assert line in text and line in page
    assert text.index("8.00 ms: no") < text.index("16.0 ms: ") < text.index("33.0 ms: ")


def test_nothing_is_said_of_limits_that_were_not_asked_for() -> None:
    assert not any("best under each limit" in words for words in told(()))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    return toy_experiment(tmp_path_factory.mktemp("study"), photos)


@pytest.mark.parametrize(("further", "limit_ms", "words"), [
    ({}, 11.0, "study.limits has 11 ms, and nothing slower than target.max_latency_ms=10 is"),
    ({"b": Target()}, 8.0, "study.limits are those of one target"),
])
def test_limits_that_cannot_be_are_refused(
    toy: Experiment, further: Any, limit_ms: float, words: str
) -> None:
    targets = {MAIN: toy.target, **further}
    with pytest.raises(SettingsError, match=words):
        fitting(
            Plan("toy", limits=(limit_ms,)), targets, Budget(),
            space=lambda: toy.space, task=lambda: toy.task,
        )

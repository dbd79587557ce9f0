"""The table of measured networks: what it answers, and searches that it answers for."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_search import FakeTask, Notes, evidence, experiment, study_of
from made_table import (
    SLOWEST_MS,
    SPACE,
    STEPS,
    entry,
    int8_ms,
    metric_at,
    network,
    settings,
    train_s,
    write_table,
)
from real_search import ROOT, cases, nas

from nas.candidate import Candidate, Origin
from nas.evidence import PROBED, QUANTIZED, SCREENED, TRAINED
from nas.experiment import Experiment
from nas.pipeline import run_study
from nas.report.funnel import is_winner
from nas.report.results import conclude
from nas.report.summary import summarize
from nas.table.answers import Table
from nas.table.base import TableError, read, refuse_unless_fits
from nas.table.features import NAMES, features
from nas.table.features import receptive_field as reach
from nas.table.models import FITS
from nas.table.simulation import simulation_of
from nas.table.stages import simulated_s, stages_from
from nas.table.surrogate import spearman
from search_spaces.skeletons import lower

PACKED = ROOT / "benchmarks" / "table" / "x2.json"
UNKNOWN = 1000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return Table.at(write_table(tmp_path_factory.mktemp("table") / "made.json"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("packed") / "made.json")


def fast(number: int) -> bool:
    return "quick" in entry(number)


LEARNED = next(n for n in range(40) if fast(n))
SLOW = next(n for n in range(40) if not fast(n))


def test_a_network_of_the_table_is_answered_as_it_was_measured(made: Table) -> None:
    chosen = network(LEARNED)
    answer = made.answer(chosen)
    assert answer.latency_ms == {"int8": int8_ms(chosen), "fp32": 2 * int8_ms(chosen)}
    assert answer.verdict["fp32"] == "unstable"
    assert answer.training.metric == metric_at(chosen, STEPS[-1])
    assert [step for step, _ in answer.training.curve] == list(STEPS)
    assert len(answer.training.scores) == 2
    assert not answer.latency_estimated and not answer.training_estimated


def test_a_network_that_was_only_timed_has_its_latency_measured_and_its_curve_estimated(
    made: Table,
) -> None:
    answer = made.answer(network(SLOW))
    assert answer.latency_ms["int8"] == int8_ms(network(SLOW))
    assert answer.training_estimated and not answer.latency_estimated
    assert answer.training.metric is not None and not answer.training.scores


def test_any_other_network_is_estimated_and_close_where_figures_follow_from_the_work(
    made: Table,
) -> None:
    drawn = [network(UNKNOWN + n) for n in range(60)]
    others = [other for other in drawn if int8_ms(other) < SLOWEST_MS]
    answers = [made.answer(other) for other in others]
    assert all(a.latency_estimated and a.training_estimated for a in answers)
    estimated = np.array([a.latency_ms["int8"] for a in answers])
    truth = np.array([int8_ms(other) for other in others])
    assert spearman(estimated, truth) > 0.9
    metrics = np.array([a.training.metric for a in answers], dtype=float)
    ends = np.array([metric_at(other, STEPS[-1]) for other in others])
    assert spearman(metrics, ends) > 0.7


@pytest.mark.parametrize("name", FITS)
def test_every_kind_of_fit_answers_for_networks_it_has_not_seen(packed: Path, name: str) -> None:
    errors = {error.what: error for error in Table.at(packed, fit=FITS[name]).errors}
    assert errors["int8 latency"].spearman > 0.8
    assert errors["final metric"].spearman > 0.5


def test_an_estimate_is_the_same_whenever_it_is_asked_for(packed: Path) -> None:
    other = network(UNKNOWN)
    one, again = Table.at(packed).answer(other), Table.at(packed).answer(other)
    assert one == again


def test_estimates_are_as_rough_as_the_measured_networks(made: Table) -> None:
    """Two estimates differ from a smooth fit by what measured ones miss it by."""
    other = lower(network(UNKNOWN))
    fitted = made._surrogate
    row = fitted._row(other)
    smooth = np.exp(fitted._latency["int8"](row))
    lent = np.log(fitted.estimate(other).latency_ms["int8"] / smooth)
    assert np.isclose(fitted._lent_latency["int8"], lent).any()


def test_errors_are_those_of_networks_that_were_left_out(made: Table) -> None:
    found = {error.what: error for error in made.errors}
    assert {"int8 latency", "fp32 latency", "final metric", "metric at step 100"} <= set(found)
    assert found["int8 latency"].networks == sum(fast(n) for n in range(40))
    assert 0 < found["final metric"].rmse < 0.5
    assert 0.5 < found["final metric"].spearman < 1.0


def test_a_training_beside_other_work_is_answered_with_the_seconds_of_a_quiet_one(
    tmp_path: Path,
) -> None:
    busy = copy.deepcopy(entry(LEARNED))
    busy["quick"]["train_s"] *= 50
    made = Table.at(write_table(tmp_path / "t.json", **{f"n{LEARNED}": busy}))
    assert made.answer(network(LEARNED)).training.train_s < 5 * train_s(network(LEARNED))


def test_the_receptive_field_is_counted_in_pixels_of_the_input() -> None:
    wide, narrow = (reach(lower(network(n))) for n in (LEARNED, SLOW))
    assert wide >= 3 and narrow >= 3
    assert len(features(lower(network(LEARNED)), 360, 640)) == len(NAMES)


def test_ranks_of_equal_values_are_shared() -> None:
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([5.0, 5.0, 9.0])) == pytest.approx(1.0)


def test_a_table_that_is_missing_or_broken_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no table at"):
        read(tmp_path / "none.json")
    (tmp_path / "broken.json").write_bytes(b"no json")
    with pytest.raises(TableError):
        read(tmp_path / "broken.json")


def test_too_few_trained_networks_answer_for_nobody(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="at least 8"):
        Table.at(write_table(tmp_path / "t.json", count=4))


@pytest.mark.parametrize(("group", "key", "value", "words"), [
    ("task", "scale", 3, "task.scale is 3, made with 2"),
    ("task", "loss", {"terms": {}}, "task.loss"),
    ("target", "height", 270, "target.height is 270, made with 360"),
    ("target", "max_latency_ms", 80, "nothing slower than 60"),
    ("target", "precision", "fp16", "int8 and fp32"),
    ("target", "engine", "tensorrt", "made with openvino"),
    ("budget", "max_steps", 900, "budget.max_steps is 900, made with 850"),
])
def test_a_search_for_something_else_is_refused(
    packed: Path, group: str, key: str, value: Any, words: str
) -> None:
    asked = copy.deepcopy(settings())
    asked[group][key] = value
    about, _ = read(packed)
    with pytest.raises(TableError, match=re.escape(words)):
        refuse_unless_fits(about, asked, where="made")


def test_another_seed_of_the_search_fits(packed: Path) -> None:
    asked = copy.deepcopy(settings())
    asked["task"]["seed"] = asked["study"]["seed"] = 7
    assert "simulation" in simulation_of(packed, asked).words


def test_a_short_training_before_the_first_look_is_refused(packed: Path) -> None:
    asked = copy.deepcopy(settings())
    asked["study"]["probe_steps"] = 20
    with pytest.raises(TableError, match="at least 50"):
        simulation_of(packed, asked)


class JudgedTask(FakeTask):
    """What a report asks for beside."""

    baseline_name = "bicubic"

    def baseline(self) -> float:
        return 28.5

    def examples(self) -> list[Any]:
        return []


def simulated(folder: Path, made: Table, **plan: Any) -> Experiment:
    chosen = {"candidates": 12, "finalists": 4, "probe_steps": 100, "references": (), **plan}
    task: Any = JudgedTask()
    here = experiment(folder, Notes(), **chosen)
    return replace(here, space=SPACE, task=task, stages=stages_from(made))


def test_a_simulated_search_goes_the_way_of_a_real_one_but_exports_nothing(
    tmp_path: Path, made: Table
) -> None:
    here = simulated(tmp_path, made)
    found = run_study(here, study_of(here))
    assert len(found) == 12
    through = [c for c in found if c.has(QUANTIZED)]
    assert len(through) == 4
    assert evidence(through[0]) == ["screened", "probed", "settled", "trained", "quantized"]
    assert all(c.rejected for c in found if c.has(SCREENED) and c[SCREENED].median_ms > 40)
    assert not list(tmp_path.rglob("*.npz")) and not (tmp_path / "winners").exists()


def test_its_evidence_says_where_it_comes_from(tmp_path: Path, made: Table) -> None:
    here = simulated(tmp_path, made)
    found = run_study(here, study_of(here))
    assert {c[SCREENED].engine for c in found if c.has(SCREENED)} == {"table"}
    assert all(c[SCREENED].estimated for c in found if c.has(SCREENED) and not made.known(
        c.architecture))
    assert {c[TRAINED].device for c in found if c.has(TRAINED)} <= {"table", "surrogate"}


def test_its_short_training_is_the_beginning_of_the_full_one(tmp_path: Path, made: Table) -> None:
    here = simulated(tmp_path, made)
    stages = {stage.name: stage.body for stage in stages_from(made)}
    candidate = Candidate("trial-00000", Origin("proposed"), network(LEARNED))
    for stage in ("screened", "probed", "trained", "quantized"):
        candidate = stages[stage](candidate, here)
    assert candidate.has(PROBED) and candidate.has(TRAINED)
    assert candidate[PROBED].metric == pytest.approx(metric_at(network(LEARNED), 100), abs=1e-4)
    assert candidate[PROBED].train_s == pytest.approx(candidate[TRAINED].train_s * 100 / 850)
    assert candidate.has(QUANTIZED)
    assert candidate[QUANTIZED].scores == candidate[TRAINED].scores


def test_a_training_that_broke_down_is_a_rejection(tmp_path: Path) -> None:
    broken = copy.deepcopy(entry(LEARNED))
    broken["quick"] = {"diverged": "the loss is not finite", "curve": [[50, 20.0], [100, 19.0]]}
    made = Table.at(write_table(tmp_path / "t.json", **{f"n{LEARNED}": broken}))
    here = simulated(tmp_path, made)
    stages = {stage.name: stage.body for stage in here.stages}
    probed = stages["probed"](Candidate("trial-00000", Origin("proposed"), network(LEARNED)), here)
    assert probed.rejected is None and probed.has(PROBED)
    trained = stages["trained"](probed, here)
    assert trained.rejected is not None and trained.rejected.constraint == "trains"


def test_an_interrupted_simulation_comes_to_the_same_end(tmp_path: Path, made: Table) -> None:
    whole = simulated(tmp_path / "whole", made)
    run_study(whole, study_of(whole))
    part = simulated(tmp_path / "part", made, candidates=5)
    run_study(part, study_of(part))
    rest = simulated(tmp_path / "part", made)
    run_study(rest, study_of(rest))
    one, other = whole.ledger.all(), rest.ledger.all()
    assert [c.architecture for c in one] == [c.architecture for c in other]


def test_simulated_seconds_count_what_a_search_would_do(tmp_path: Path, made: Table) -> None:
    here = simulated(tmp_path, made)
    stages = {stage.name: stage.body for stage in here.stages}
    candidate = Candidate("trial-00000", Origin("proposed"), network(LEARNED))
    for stage in ("screened", "probed"):
        candidate = stages[stage](candidate, here)
    before = simulated_s([candidate], at_once=2)
    candidate = stages["trained"](candidate, here)
    assert candidate.has(PROBED) and candidate.has(TRAINED)
    rest = candidate[TRAINED].train_s - candidate[PROBED].train_s
    assert before == pytest.approx(0.6 + candidate[PROBED].train_s)
    assert simulated_s([candidate], at_once=2) == pytest.approx(before + rest / 2)


def test_the_end_of_a_simulation_says_that_it_is_one(tmp_path: Path, made: Table) -> None:
    here = simulated(tmp_path, made)
    found = run_study(here, study_of(here))
    outcome = conclude(here, found)
    assert outcome.summary.simulated and outcome.summary.winners
    assert all(is_winner(c) for c in found if c.has(QUANTIZED))
    page = outcome.report.read_text()
    assert "Simulation: a table of measured networks answered" in page
    assert "This was a simulation" in page and "To time it again" not in page


def test_a_real_study_is_no_simulation(tmp_path: Path) -> None:
    from finished_studies import BASELINE, PSNR, TARGET, finished_study

    summary = summarize(finished_study(), target=TARGET, metric=PSNR, baseline=BASELINE)
    assert not summary.simulated


def test_the_command_runs_against_a_table_and_refuses_one_that_does_not_fit(
    tmp_path: Path, packed: Path
) -> None:
    asked = ("study.name=sim", f"study.table={packed}", "study.candidates=6", "study.finalists=2")
    code, output, errors = nas("search", *asked, folder=tmp_path)
    assert code == 0, errors
    assert "Simulation: a table" in " ".join(output.split())
    found = cases(tmp_path / "runs" / "sim")
    assert sum("quantized" in case["evidence"] for case in found.values()) == 2
    assert (tmp_path / "runs" / "sim" / "report.html").is_file()
    code, _, errors = nas("search", *asked[1:], "task.scale=3", folder=tmp_path)
    assert code == 2 and len(errors.strip().splitlines()) == 1
    assert "task.scale is 3, made with 2" in errors


@pytest.mark.skipif(not PACKED.is_file(), reason="benchmarks/table/x2.json is not packed yet")
def test_the_packed_table_fits_the_default_search_and_answers_well() -> None:
    about, entries = read(PACKED)
    refuse_unless_fits(about, settings(), where=str(PACKED))
    found = Table(about, entries)
    errors = {error.what: error for error in found.errors}
    assert errors["int8 latency"].spearman > 0.8
    assert errors["final metric"].spearman > 0.7
    assert json.dumps(about.settings["budget"]["max_steps"]) == str(about.steps)

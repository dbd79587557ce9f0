"""Rejections, device errors and bugs: who is to blame, and when a search ends for it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_search import (
    LIMIT_MS,
    FakeStages,
    Notes,
    evidence,
    experiment,
    latency_ms,
    searched,
    study_of,
)
from finished_studies import receipt

import nas.study
from latency_models.base import CompileError, DeviceError
from nas.candidate import Candidate, Rejection
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED, TRAINED
from nas.ledger import Ledger
from nas.pipeline import BrokenMachine, NothingFastEnough, run_study
from search_spaces.super_resolution import SuperResolutionSpace
from trainers.base import Diverged


def test_a_device_error_is_retried_and_never_blamed_on_the_candidate(
    tmp_path: Path, use: Any
) -> None:
    failures: list[str] = []

    def fail_twice(_: int, candidate: Candidate, stage: str) -> None:
        key = f"{candidate.name} {stage}"
        if failures.count(key) < 2:
            failures.append(key)
            raise DeviceError("the engine's process was killed")

    use(FakeStages(fail_twice))
    notes = Notes()
    here = experiment(tmp_path, notes, candidates=3, references=())
    found = run_study(here, study_of(here))
    assert not [c for c in found if c.rejected and c.rejected.constraint != "latency_ms"]
    assert len(found) == 3
    assert any("the engine's process was killed (attempt 2)" in line for line in notes.lines)


def test_a_device_that_keeps_failing_stops_the_search_and_rejects_nobody(
    tmp_path: Path, use: Any
) -> None:
    def fail(_: int, candidate: Candidate, stage: str) -> None:
        if stage == "probed":
            raise DeviceError("out of memory")

    use(FakeStages(fail))
    with pytest.raises(BrokenMachine, match="attempts failed; the last: out of memory"):
        searched(tmp_path, candidates=16)
    begun = [c for c in Ledger(tmp_path).all() if c.has(SCREENED) and not c.rejected]
    assert [evidence(c) for c in begun] == [["screened"]]
    use(FakeStages())
    assert begun[0].name in {c.name for c in searched(tmp_path) if c.has(PROBED)}


@pytest.mark.parametrize("refused_at", ["screened", "quantized", "exported"])
def test_a_graph_that_the_engine_refuses_at_any_stage_is_rejected_for_it(
    tmp_path: Path, use: Any, refused_at: str
) -> None:
    refused: list[str] = []

    def refuse_one(_: int, candidate: Candidate, stage: str) -> None:
        if stage == refused_at and not refused and candidate.is_proposal:
            refused.append(candidate.name)
            raise CompileError("no kernel for 481 rows")

    use(FakeStages(refuse_one))
    found = {c.name: c for c in searched(tmp_path, candidates=12)}
    rejection = found[refused[0]].rejected
    assert rejection is not None
    assert (rejection.constraint, rejection.reason) == ("compiles", "no kernel for 481 rows")
    assert [c for c in found.values() if c.has(EXPORTED)]


def test_a_bug_is_neither_retried_nor_a_rejection(tmp_path: Path, use: Any) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("weights")

    stages = use(FakeStages(fail))
    with pytest.raises(KeyError):
        searched(tmp_path)
    assert len(stages.calls) == 1
    assert Ledger(tmp_path).all() == []


class Uncompilable(FakeStages):
    """An engine that refuses everything."""

    def _screened(self, candidate: Candidate) -> Candidate:
        return replace(candidate, rejected=Rejection("compiles", "libgomp is missing"))


def test_when_nothing_compiles_the_machine_is_at_fault(tmp_path: Path, use: Any) -> None:
    use(Uncompilable())
    with pytest.raises(BrokenMachine, match="20 candidates in a row did not compile"):
        searched(tmp_path, candidates=64)
    assert len(Ledger(tmp_path).all()) == 20


class Slow(FakeStages):
    """A machine on which nothing is within the limit."""

    def _screened(self, candidate: Candidate) -> Candidate:
        ms = 2 * LIMIT_MS + latency_ms(candidate)
        slow = Rejection("latency_ms", "over the limit", ms, LIMIT_MS)
        return replace(candidate.having(SCREENED, receipt(ms)), rejected=slow)


@pytest.mark.parametrize(("patience", "candidates", "timed"), [(5, 64, 5), (24, 3, 3)])
def test_a_limit_that_nothing_meets_is_an_answer_with_the_fastest_network_in_it(
    tmp_path: Path, use: Any, patience: int, candidates: int, timed: int
) -> None:
    stages = use(Slow())
    with pytest.raises(NothingFastEnough) as answer:
        searched(tmp_path, patience=patience, candidates=candidates)
    fastest = min(c[SCREENED].median_ms for c in Ledger(tmp_path).all() if c.has(SCREENED))
    assert f"no network is within target.max_latency_ms={LIMIT_MS:g}" in str(answer.value)
    assert f"the fastest of {timed} takes {fastest:.3g} ms at 360x640" in str(answer.value)
    assert {stage for _, stage in stages.calls} == {"screened"}


class Untrainable(FakeStages):
    """Every training diverges."""

    def _probed(self, candidate: Candidate) -> Candidate:
        return replace(candidate, rejected=Rejection("trains", str(Diverged("nan"))))


def test_networks_that_are_fast_but_do_not_train_are_not_called_slow(
    tmp_path: Path, use: Any
) -> None:
    use(Untrainable())
    with pytest.raises(NothingFastEnough, match="no network could be trained .*refused: nan"):
        searched(tmp_path, candidates=6, patience=2, references=())
    assert len(Ledger(tmp_path).all()) == 6


def test_when_nothing_trains_the_recipe_is_at_fault(tmp_path: Path, use: Any) -> None:
    class Diverging(Untrainable):
        def _screened(self, candidate: Candidate) -> Candidate:
            return candidate.having(SCREENED, receipt(1.0))

    use(Diverging())
    with pytest.raises(BrokenMachine, match="20 candidates in a row did not train; .*: lower"):
        searched(tmp_path, candidates=64)


@pytest.mark.parametrize("evidence_lost", ["trained", "quantized"])
def test_a_search_whose_finalists_all_fail_does_not_end_as_if_it_had_found_something(
    tmp_path: Path, use: Any, evidence_lost: str
) -> None:
    class AllFail(FakeStages):
        def _stage(self, evidence: str) -> Any:
            if evidence != evidence_lost:
                return super()._stage(evidence)
            return lambda candidate, _: replace(candidate, rejected=Rejection("trains", "nan"))

    use(AllFail())
    with pytest.raises(NothingFastEnough, match="no network could be trained .*refused: nan"):
        searched(tmp_path, candidates=6)


def test_a_finalist_that_does_not_train_does_not_call_up_another_one_later(
    tmp_path: Path, use: Any
) -> None:
    class OneDiverges(FakeStages):
        def _trained(self, candidate: Candidate) -> Candidate:
            if not any(stage == "trained" for _, stage in self.calls[:-1]):
                return replace(candidate, rejected=Rejection("trains", "nan"))
            return super()._trained(candidate)

    use(OneDiverges())
    first = searched(tmp_path, candidates=12, references=())
    assert sum(c.has(TRAINED) for c in first) == 2
    again = use(FakeStages())
    assert searched(tmp_path, candidates=12, references=()) == first
    assert again.calls == []


class ShipsSlower(FakeStages):
    """The best candidate's file misses the limit when it is timed again."""

    def _exported(self, candidate: Candidate) -> Candidate:
        if sum(stage == "exported" for _, stage in self.calls) == 1:
            late = Rejection("latency_ms", "the shipped file is slow", 2 * LIMIT_MS, LIMIT_MS)
            return replace(candidate, rejected=late)
        return super()._exported(candidate)


def test_a_candidate_whose_file_misses_the_limit_is_no_winner_and_hides_no_other(
    tmp_path: Path, use: Any
) -> None:
    use(ShipsSlower())
    found = searched(tmp_path, candidates=16, finalists=6, references=())
    quantized = [c for c in found if c.has(QUANTIZED)]
    (missed,) = [c for c in quantized if c.rejected]
    assert not missed.has(EXPORTED)
    left = [c for c in quantized if not c.rejected]
    for candidate in left:
        beaten = any(
            o.quality >= candidate.quality and o.latency_ms < candidate.latency_ms for o in left
        )
        assert (not candidate.has(EXPORTED)) == beaten


def test_a_space_that_is_used_up_ends_the_search_with_what_there_is(
    tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas.study, "_MOST_DUPLICATES", 40)
    use(FakeStages())
    notes = Notes()
    tiny = SuperResolutionSpace(
        widths=(8,), max_repeat=1, bases=("nearest",), reductions=("none",), ops=("conv",),
        kernels=(3,), activations=("relu",),
    )
    here = replace(experiment(tmp_path, notes, candidates=10, references=()), space=tiny)
    assert len(run_study(here, study_of(here))) == 4
    assert any("the search space is used up" in line for line in notes.lines)


def test_after_its_minutes_a_search_proposes_nothing_new_and_ends_what_was_begun(
    tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages, clock = use(FakeStages()), [0.0]

    def minutes_pass() -> float:
        clock[0] += 60.0
        return clock[0]

    monkeypatch.setattr(time, "monotonic", minutes_pass)
    notes = Notes()
    here = experiment(tmp_path, notes, candidates=64, finalists=2, max_minutes=5.0)
    found = run_study(here, study_of(here))
    proposed = [c for c in found if c.is_proposal]
    assert 1 <= len(proposed) <= 6
    assert all(c.rejected or c.has(PROBED) for c in proposed)
    assert any("study.max_minutes reached" in line for line in notes.lines)
    assert ("ecbsr_m4c16", "quantized") in stages.calls

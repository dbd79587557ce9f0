"""The corridor: who goes through which stage, what is never repeated, and who is to blame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_search import (
    LIMIT_MS,
    ORDER,
    FakeStages,
    Notes,
    evidence,
    experiment,
    latency_ms,
    searched,
    study_of,
)
from finished_studies import receipt

from nas import pipeline
from nas.candidate import Candidate, Rejection
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SETTLED, TRAINED
from nas.experiment import Experiment
from nas.ledger import Ledger
from nas.pipeline import run_study
from nas.stages import corridor
from search_spaces.super_resolution import SuperResolutionSpace


def test_the_stages_stand_in_the_order_of_the_house() -> None:
    assert [stage.name for stage in corridor()] == ORDER


def test_a_search_times_what_was_planned_and_trains_the_finalists(
    tmp_path: Path, use: Any
) -> None:
    use(FakeStages())
    found = searched(tmp_path, candidates=12, finalists=4)
    proposed = [c for c in found if c.is_proposal]
    assert len(proposed) == 12
    assert sum(c.has(TRAINED) for c in proposed) == 4
    assert 1 <= sum(c.has(EXPORTED) for c in proposed) <= 4
    assert Ledger(tmp_path).all() == found


def test_each_candidate_goes_through_the_stages_in_their_order(tmp_path: Path, use: Any) -> None:
    stages = use(FakeStages())
    for candidate in searched(tmp_path):
        passed = [stage for name, stage in stages.calls if name == candidate.name]
        assert passed == [s for s in ORDER if s in passed]
        assert passed == evidence(candidate)


def test_a_rejected_candidate_is_never_trained(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    found = searched(tmp_path, candidates=16)
    rejected = [c for c in found if c.rejected]
    assert rejected
    for candidate in rejected:
        assert evidence(candidate) == ["screened"]
        assert latency_ms(candidate) > LIMIT_MS


def test_the_evidence_is_on_disk_before_the_next_stage_begins(tmp_path: Path, use: Any) -> None:
    def look(_: int, candidate: Candidate, stage: str) -> None:
        done = evidence(candidate)
        if done:
            assert Ledger(tmp_path).load(candidate.name) == candidate

    stages = use(FakeStages(look))
    searched(tmp_path)
    assert len(stages.calls) > 10


def test_published_networks_are_timed_and_trained_but_never_rejected_or_exported(
    tmp_path: Path, use: Any
) -> None:
    use(FakeStages())
    found = searched(tmp_path)
    published = {c.name: c for c in found if not c.is_proposal}
    assert set(published) == {"ecbsr_m4c16", "fsrcnn"}
    assert latency_ms(published["fsrcnn"]) > LIMIT_MS
    for candidate in published.values():
        assert candidate.rejected is None
        assert evidence(candidate) == ["screened", "trained", "quantized"]


class Corrected(FakeStages):
    """Timed again, some networks prove slower than their first receipts said."""

    def __init__(self, by_ms: Callable[[Candidate], float]) -> None:
        super().__init__()
        self._by_ms = by_ms

    def _settled(self, candidate: Candidate) -> Candidate:
        ms = latency_ms(candidate) + self._by_ms(candidate)
        slow = None
        if ms > LIMIT_MS:
            slow = Rejection("latency_ms", "over the limit", ms, LIMIT_MS)
        return replace(candidate.having(SETTLED, receipt(ms)), rejected=slow)


def test_twice_as_many_as_finalists_are_timed_again_before_any_is_trained(
    tmp_path: Path, use: Any
) -> None:
    stages = use(FakeStages())
    found = searched(tmp_path, candidates=16, finalists=3)
    settled = [c for c in found if c.has(SETTLED)]
    assert len(settled) == 6
    assert all(c.has(SETTLED) for c in found if c.has(TRAINED) and c.is_proposal)
    order = [stage for name, stage in stages.calls if name.startswith("trial-")]
    last_settled = len(order) - 1 - order[::-1].index("settled")
    assert last_settled < order.index("trained")


def test_finalists_are_chosen_by_the_second_receipts(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    before = {c.name for c in searched(tmp_path / "before", candidates=16) if c.has(TRAINED)}
    use(Corrected(lambda c: LIMIT_MS if c.name in before else 0.0))
    found = searched(tmp_path / "after", candidates=16)
    trained = [c for c in found if c.has(TRAINED) and c.is_proposal]
    assert len(trained) == 3
    assert not before & {c.name for c in trained}
    assert {c.name for c in found if c.has(SETTLED)} >= before - {"ecbsr_m4c16", "fsrcnn"}


def test_a_search_whose_second_receipts_changed_the_choice_repeats_nothing(
    tmp_path: Path, use: Any
) -> None:
    def by_ms(candidate: Candidate) -> float:
        return int(candidate.architecture.id, 16) % 7

    use(Corrected(by_ms))
    first = searched(tmp_path, candidates=16)
    again = use(Corrected(by_ms))
    assert searched(tmp_path, candidates=16) == first
    assert again.calls == []


def test_only_candidates_that_no_other_dominates_are_exported(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    found = searched(tmp_path, candidates=16, finalists=6)
    quantized = [c for c in found if c.has(QUANTIZED) and c.is_proposal]
    assert len(quantized) == 6
    for candidate in quantized:
        beaten = any(
            o.quality >= candidate.quality and o.latency_ms < candidate.latency_ms
            for o in quantized
        )
        assert (not candidate.has(EXPORTED)) == beaten


def test_a_finished_search_repeats_nothing(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    first = searched(tmp_path)
    again = use(FakeStages())
    assert searched(tmp_path) == first
    assert again.calls == []


def test_the_view_is_told_what_earlier_runs_have_found(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    found = searched(tmp_path)
    notes = Notes()
    here = experiment(tmp_path, notes)
    run_study(here, study_of(here))
    told = {(name, stage) for kind, name, stage in notes.events if kind == "again"}
    assert told == {(c.name, stage) for c in found for stage in evidence(c)}
    assert {kind for kind, *_ in notes.events} == {"again"}


def test_a_larger_plan_carries_a_finished_search_on(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    before = {c.name: c for c in searched(tmp_path, candidates=6)}
    more = use(FakeStages())
    after = {c.name: c for c in searched(tmp_path, candidates=9)}
    assert len([c for c in after.values() if c.is_proposal]) == 9
    done = {(c.name, stage) for c in before.values() for stage in evidence(c)}
    assert not done & set(more.calls)


def test_a_search_that_is_interrupted_at_any_stage_ends_as_if_it_had_not_been(
    tmp_path: Path, use: Any
) -> None:
    stages = use(FakeStages())
    plan: dict[str, Any] = {"candidates": 4, "finalists": 2, "references": ("ecbsr_m4c16",)}
    expected = searched(tmp_path / "straight", **plan)
    total = len(stages.calls)
    assert total >= 10
    for interrupted in range(1, total + 1):
        def stop(call: int, *_: Any, at: int = interrupted) -> None:
            if call == at:
                raise KeyboardInterrupt

        folder = tmp_path / str(interrupted)
        first = use(FakeStages(stop))
        with pytest.raises(KeyboardInterrupt):
            searched(folder, **plan)
        second = use(FakeStages())
        assert searched(folder, **plan) == expected
        finished = first.calls[:-1]
        assert len(first.calls) == interrupted
        assert not set(finished) & set(second.calls)
        assert sorted(finished + second.calls) == sorted(stages.calls)


def test_a_search_that_died_between_evidence_and_telling_the_sampler_tells_it_later(
    tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(FakeStages())
    expected = searched(tmp_path / "straight")
    tell, told = optuna.Study.tell, []

    def dying(study: optuna.Study, *args: Any, **kwargs: Any) -> None:
        told.append(args)
        if len(told) == 3:
            raise KeyboardInterrupt
        tell(study, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "tell", dying)
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "broken")
    assert searched(tmp_path / "broken") == expected


def test_advance_stops_after_the_stage_that_was_asked_for(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    here: Experiment = experiment(tmp_path)
    small = study_of(here).next(SuperResolutionSpace(widths=(8,), reductions=("none",)))
    assert evidence(pipeline.advance(small, here, upto=PROBED)) == ORDER[:2]
    known = here.ledger.load(small.name)
    assert known is not None
    assert evidence(pipeline.advance(known, here, upto=EXPORTED)) == ORDER

"""Optuna's side of a search: proposals, repeats, interruptions."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from dying_space import Dies
from finished_studies import PSNR, receipt, trained, with_reports
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

import nas.study
from nas.candidate import Candidate, Rejection
from nas.policies.base import Policy, Proposal, Question
from nas.policies.wishes import Child, even, wish
from nas.study import Study, StudyExhausted
from nas.workers.base import Alone
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.work import gmacs
from trainers.base import Metric

SPACE = SuperResolutionSpace()
FOUR = SuperResolutionSpace(
    widths=(8,), max_repeat=1, bases=("nearest",), reductions=("none",), ops=("conv",),
    kernels=(3,), activations=("relu",),
)
"""A space of four networks: one or two groups, with or without a skip connection."""


def opened(
    folder: Path, *, seed: int = 0, metric: Metric = PSNR, policy: Policy | None = None
) -> Study:
    return Study(
        folder / "study.journal", name="photos", seed=seed, metric=metric, policy=policy,
        limit_ms=50.0,
    )


def trials(folder: Path) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name="photos", storage=storage).get_trials()


def judged(candidate: Candidate, *, limit_gmacs: float = 5.0) -> Candidate:
    """Larger networks are better and slower; those over the limit are rejected."""
    work = gmacs(lower(candidate.architecture), 360, 640)
    screened = receipt(10 * work)
    if work > limit_gmacs:
        slow = Rejection("latency_ms", "too slow", 10 * work, 10 * limit_gmacs)
        return with_reports(candidate, screened=screened, rejected=slow)
    return with_reports(candidate, screened=screened, probed=trained(30 + work**0.5))


def searched(
    study: Study, count: int, space: Any = SPACE, *, limit_gmacs: float = 5.0
) -> list[Candidate]:
    found = []
    for _ in range(count):
        found.append(judged(study.next(space), limit_gmacs=limit_gmacs))
        study.tell(found[-1])
    return found


def test_no_network_is_proposed_twice(tmp_path: Path) -> None:
    found = searched(opened(tmp_path), 50)
    assert len({lower(c.architecture).canonical_hash() for c in found}) == 50
    assert len({c.name for c in found}) == 50


def test_a_repeat_is_replaced_until_the_whole_space_is_seen_and_then_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas.study, "_MOST_DUPLICATES", 40)
    study = opened(tmp_path)
    found = searched(study, 4, FOUR)
    assert len({c.architecture.id for c in found}) == 4
    with pytest.raises(StudyExhausted, match="the search space is used up"):
        study.next(FOUR)
    # Repeats are failures for the sampler and do not count as networks.
    states = [t.state for t in trials(tmp_path)]
    assert states.count(TrialState.COMPLETE) == 4
    assert set(states) <= {TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING}


@dataclass(frozen=True)
class Stubborn:
    """Proposes one network again and again."""

    def propose(self, question: Question) -> Proposal:
        return wish(question, Child(draw(question.space, seed=0), "always the same"))


def test_a_repeat_queues_a_network_that_differs_in_one_choice(tmp_path: Path) -> None:
    study = opened(tmp_path, policy=Stubborn())
    first, second = searched(study, 2)
    assert [t.state for t in trials(tmp_path)][1] == TrialState.FAIL
    repeated, queued = trials(tmp_path)[1].params, trials(tmp_path)[2].params
    assert (repeated, queued) == (first.parameters, second.parameters)
    both = queued.keys() & repeated.keys()
    assert sum(queued[name] != repeated[name] for name in both) == 1
    assert (first.origin.by, second.origin.by) == ("always the same", "neighbour of trial-00000")


def test_a_candidate_says_where_it_comes_from_however_often_it_was_interrupted(
    tmp_path: Path,
) -> None:
    space = replace(SPACE, start=STARTS)
    opened(tmp_path).start_from(space)
    found = []
    for _ in range(24):
        opened(tmp_path).next(space)
        study = opened(tmp_path)
        found.append(study.next(space))
        study.tell(judged(found[-1], limit_gmacs=50.0))
    origins = [c.origin.by for c in found]
    assert origins[:12] == ["start"] * 2 + ["random"] * 10
    assert all("trial-" in origin for origin in origins[12:])
    assert {origin.split()[0] for origin in origins[12:]} == {"mutation", "crossover"}


class Together(Alone):
    """Alone, but what was taken once is left to those who have it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, what: str) -> bool:
        new = what not in self._taken
        self._taken.add(what)
        return new


def test_the_policy_is_told_what_came_of_every_other_proposal(tmp_path: Path) -> None:
    asked: list[Question] = []

    class Listening:
        def propose(self, question: Question) -> Proposal:
            asked.append(question)
            return even(question)

    study, workers = opened(tmp_path, policy=Listening()), Together()
    good, slow, broken, _ = (study.next(SPACE, workers) for _ in range(4))
    assert [(k.name, k.pending) for k in asked[-1].known] == [
        (c.name, True) for c in (good, slow, broken)
    ]
    study.tell(with_reports(good, screened=receipt(20.0), probed=trained(31.0)))
    too_slow = Rejection("latency_ms", "too slow", 60.0, 50.0)
    study.tell(with_reports(slow, screened=receipt(60.0), rejected=too_slow))
    study.tell(replace(broken, rejected=Rejection("compiles", "no kernel")))
    study.next(SPACE, workers)
    known = asked[-1].known
    assert [(k.quality, k.latency_ms, k.pending) for k in known] == [
        (31.0, 20.0, False), (None, 60.0, False), (None, None, False), (None, None, True),
    ]
    assert [k.choices for k in known[:3]] == [c.parameters for c in (good, slow, broken)]
    assert known[0].graph == lower(good.architecture).canonical_hash()
    assert (asked[-1].limit_ms, asked[-1].number, asked[-1].seed) == (50.0, 4, 0)


def test_the_same_seed_proposes_the_same_networks_and_another_seed_others(
    tmp_path: Path,
) -> None:
    one, same, other = (
        [c.architecture.id for c in searched(opened(tmp_path / name, seed=seed), 24)]
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one == same
    assert len(set(one) & set(other)) < 4


def test_breeding_learns_what_is_within_the_limit(tmp_path: Path) -> None:
    found = searched(opened(tmp_path), 56, limit_gmacs=2.0)
    early, late = found[:12], found[-24:]
    rejected = [sum(c.rejected is not None for c in part) / len(part) for part in (early, late)]
    assert rejected[0] > 0.6
    assert rejected[1] < rejected[0] / 2


def test_a_rejected_candidate_is_pruned_with_its_violation_and_never_failed(
    tmp_path: Path,
) -> None:
    study = opened(tmp_path)
    candidate = study.next(SPACE)
    slow = Rejection("latency_ms", "60 ms is over the limit", 60.0, 50.0)
    study.tell(with_reports(candidate, screened=receipt(60.0), rejected=slow))
    (trial,) = trials(tmp_path)
    assert trial.state == TrialState.PRUNED
    assert trial.constraints == pytest.approx({"latency_ms": 0.2})


def test_a_candidate_that_does_not_compile_violates_by_a_whole(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.tell(replace(study.next(SPACE), rejected=Rejection("compiles", "no kernel")))
    (trial,) = trials(tmp_path)
    assert (trial.state, trial.constraints) == (TrialState.PRUNED, {"compiles": 1.0})


@pytest.mark.parametrize(("mode", "direction"), [("max", "MAXIMIZE"), ("min", "MINIMIZE")])
def test_quality_and_latency_are_two_objectives(
    tmp_path: Path, mode: Any, direction: str
) -> None:
    study = opened(tmp_path, metric=Metric("m", "", mode))
    study.tell(with_reports(study.next(SPACE), screened=receipt(20.0), probed=trained(31.0)))
    (trial,) = trials(tmp_path)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [31.0, 20.0])
    assert trial.constraints == {"latency_ms": -1.0}
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    directions = optuna.load_study(study_name="photos", storage=storage).directions
    assert [d.name for d in directions] == [direction, "MINIMIZE"]


def test_an_interrupted_candidate_comes_back_as_it_was(tmp_path: Path) -> None:
    searched(opened(tmp_path), 3)
    interrupted = opened(tmp_path).next(SPACE)
    again = opened(tmp_path).next(SPACE)
    assert again == interrupted
    study = opened(tmp_path)
    study.tell(judged(study.next(SPACE)))
    assert study.next(SPACE).name != interrupted.name


def test_a_search_that_is_interrupted_everywhere_proposes_what_it_would_have_otherwise(
    tmp_path: Path,
) -> None:
    straight = searched(opened(tmp_path / "straight"), 22)
    broken = []
    for _ in range(22):
        opened(tmp_path / "broken").next(SPACE)
        study = opened(tmp_path / "broken")
        broken.append(judged(study.next(SPACE)))
        study.tell(broken[-1])
    assert [c.architecture.id for c in broken] == [c.architecture.id for c in straight]


@pytest.mark.parametrize("told", [0, 18])
@pytest.mark.parametrize("choices", [0, 1, 5, 9])
def test_a_proposal_that_died_half_way_is_completed_as_it_would_have_been(
    tmp_path: Path, told: int, choices: int
) -> None:
    straight = searched(opened(tmp_path / "straight"), told + 1)[-1]
    searched(opened(tmp_path / "broken"), told)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path / "broken").next(Dies(SPACE, choices))
    resumed = opened(tmp_path / "broken").next(SPACE)
    assert (resumed.name, resumed.architecture) == (straight.name, straight.architecture)


def test_a_trial_that_died_between_its_violation_and_its_end_is_told_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(tmp_path)
    candidate = replace(study.next(SPACE), rejected=Rejection("compiles", "no kernel"))

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "tell", die)
        with pytest.raises(KeyboardInterrupt):
            study.tell(candidate)
    again = opened(tmp_path)
    assert again.next(SPACE).name == candidate.name
    again.tell(candidate)
    (trial,) = trials(tmp_path)
    assert (trial.state, trial.constraints) == (TrialState.PRUNED, {"compiles": 1.0})


def test_a_journal_that_was_torn_anywhere_in_its_last_lines_goes_on(tmp_path: Path) -> None:
    searched(opened(tmp_path), 3)
    opened(tmp_path).next(SPACE)
    whole = (tmp_path / "study.journal").read_bytes()
    for cut in range(1, 400, 13):
        torn = tmp_path / str(cut)
        torn.mkdir()
        (torn / "study.journal").write_bytes(whole[:-cut])
        study = opened(torn)
        study.tell(judged(study.next(SPACE)))
        study.next(SPACE)
        lines = (torn / "study.journal").read_text().splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines)
        assert len([t for t in trials(torn) if t.state.is_finished()]) >= 3


def test_an_empty_journal_is_a_new_study(tmp_path: Path) -> None:
    (tmp_path / "study.journal").touch()
    assert opened(tmp_path).next(SPACE).name == "trial-00000"


def test_a_lock_that_a_killed_search_left_is_not_waited_for(tmp_path: Path) -> None:
    opened(tmp_path)
    lock = tmp_path / "study.journal.lock"
    os.symlink(tmp_path / "study.journal", lock)
    opened(tmp_path).next(SPACE)
    assert not lock.is_symlink()


def test_what_the_study_does_not_know_is_not_told(tmp_path: Path) -> None:
    study = opened(tmp_path)
    candidate = judged(study.next(SPACE))
    study.tell(replace(candidate, name="espcn"))
    assert [t.state for t in trials(tmp_path)] == [TrialState.RUNNING]
    study.tell(candidate)
    study.tell(candidate)
    assert len(trials(tmp_path)) == 1


STARTS = (
    {"reduction": "none", "stem_width_full": 8, "kernel_1": 3, "repeat_1": 1, "repeat_2": 0},
    {"reduction": "strided", "stem_width_reduced": 32},
)


def test_the_choices_that_a_space_wants_first_come_first_and_once(tmp_path: Path) -> None:
    space = replace(SPACE, start=STARTS)
    for _ in range(2):
        opened(tmp_path).start_from(space)
    study = opened(tmp_path)
    found = searched(study, 4, space)
    for candidate, wanted in zip(found, STARTS, strict=False):
        assert wanted.items() <= candidate.parameters.items()
    assert len(trials(tmp_path)) == 4


def test_starts_that_were_half_queued_are_queued_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, queue = replace(SPACE, start=STARTS), optuna.Study.enqueue_trial

    def dying(study: optuna.Study, *args: Any, **kwargs: Any) -> None:
        queue(study, *args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "enqueue_trial", dying)
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path).start_from(space)
    opened(tmp_path).start_from(space)
    assert [t.state for t in trials(tmp_path)] == [TrialState.WAITING] * 2


def test_a_start_that_a_narrower_space_does_not_offer_is_drawn_instead(tmp_path: Path) -> None:
    space = replace(
        SPACE, start=STARTS, kernels=(5,), max_repeat=2, widths=(16,), reductions=("none",)
    )
    study = opened(tmp_path)
    study.start_from(space)
    for candidate in searched(study, 2, space):
        assert candidate.architecture.arg("reduction", "") == "none"
        assert {b.channels for b in candidate.architecture.blocks} == {16}
        assert {b.arg("kernel", 0) for b in candidate.architecture.blocks} == {5}
        assert max(b.repeat for b in candidate.architecture.blocks) <= 2
    assert trials(tmp_path)[0].params["repeat_2"] == 0

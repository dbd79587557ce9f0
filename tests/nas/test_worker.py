"""Workers of one study: the same answer as one alone, each stage made once, safe endings."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_search import FakeStages, experiment, study_of
from optuna.trial import TrialState
from toy_search import small_candidate

from nas.candidate import Candidate
from nas.events import Event, Step
from nas.evidence import TRAINED
from nas.experiment import Experiment
from nas.pipeline import run_study
from nas.settings import SettingsError
from nas.stages.training import giving_way
from nas.storage import StorageSettings, open_storage
from nas.study import Study
from nas.workers.claims import Claims, claims
from nas.workers.roster import Pace, Worker, registered
from nas.workers.version import check_code
from nas.workers.worker import Ending, at_work
from search_spaces.super_resolution import SuperResolutionSpace
from trainers.base import Interrupted

QUICK = Pace(beat_s=0.05, lease_s=5.0, poll_s=0.02, grace_s=5.0)
PLAIN: dict[str, Any] = {
    "reduction": "none", "activation": "prelu", "stem_kernel": 3, "kernel_1": 3, "repeat_2": 0,
    "base": "bicubic", "skip": False, "op_1": "conv",
}
STARTS = tuple(
    {**PLAIN, "stem_width_full": stem, "width_1_full": width, "repeat_1": repeat}
    for repeat in (1, 2) for stem in (8, 16, 24) for width in (8, 16)
)
SPACE = SuperResolutionSpace(start=STARTS)
PLAN: dict[str, Any] = {"candidates": len(STARTS), "finalists": 4}


def shared(here: Experiment, *, notice: Any = print) -> Study:
    storage = open_storage(StorageSettings(), here.folder, notice=notice)
    return Study(storage, name="photos", seed=0, metric=here.task.metric)


def prepared(folder: Path, **plan: Any) -> Study:
    here = replace(experiment(folder, **{**PLAN, **plan}), space=SPACE)
    study = shared(here)
    study.start_from(SPACE)
    study.allot(here.plan.candidates, code="c0de")
    return study


class Slowly(FakeStages):
    """Stages that take long enough for workers to meet; `done` counts what was made."""

    def __init__(self, before: Callable[[int, Candidate, str], None] | None = None) -> None:
        super().__init__(before)
        self.done: Counter[tuple[str, str]] = Counter()

    def _stage(self, evidence: str) -> Any:
        inner = super()._stage(evidence)

        def stage(candidate: Candidate, here: Experiment) -> Candidate:
            time.sleep(0.004)
            after = inner(candidate, here)
            self.done[candidate.name, evidence] += 1
            return after

        return stage


class Crowd:
    """Workers as threads of this process, each with a study and claims of its own."""

    def __init__(self, folder: Path, **plan: Any) -> None:
        self.folder, self.plan = folder, {**PLAN, **plan}
        self.errors: list[BaseException] = []
        self.found: dict[int, list[Candidate]] = {}

    def run(self, count: int) -> None:
        threads = [threading.Thread(target=self._one, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _one(self, number: int) -> None:
        me = Worker.this_process(number, code="c0de", now=0.0)
        try:
            with Claims(self.folder, me, QUICK) as workers:
                here = replace(experiment(self.folder, **self.plan), workers=workers, space=SPACE)
                self.found[number] = run_study(here, shared(here))
        except BaseException as error:
            self.errors.append(error)


def alone(folder: Path, **plan: Any) -> list[Candidate]:
    here = replace(experiment(folder, **{**PLAN, **plan}), space=SPACE)
    return run_study(here, study_of(here))


def told(study: Study) -> Counter[TrialState]:
    return Counter(t.state for t in study._study.get_trials())


def test_many_workers_come_to_what_one_alone_finds_and_make_each_stage_once(
    tmp_path: Path, use: Any
) -> None:
    use(FakeStages())
    expected = alone(tmp_path / "alone")
    stages = use(Slowly())
    study = prepared(tmp_path / "many")
    crowd = Crowd(tmp_path / "many")
    crowd.run(4)
    assert crowd.errors == []
    assert crowd.found == {n: expected for n in range(4)}
    assert set(stages.done.values()) == {1}
    assert told(study)[TrialState.COMPLETE] + told(study)[TrialState.PRUNED] == len(STARTS)
    assert claims(tmp_path / "many") == []


def test_workers_never_time_more_networks_than_planned_nor_one_twice(
    tmp_path: Path, use: Any
) -> None:
    stages = use(Slowly())
    # Most of these are drawn by the sampler, which repeats itself.
    study = prepared(tmp_path, candidates=24)
    crowd = Crowd(tmp_path, candidates=24)
    crowd.run(3)
    assert crowd.errors == []
    proposed = [c for c in crowd.found[0] if c.is_proposal]
    assert len(proposed) == 24
    assert len({c.architecture.id for c in proposed}) == 24
    assert set(stages.done.values()) == {1}
    states = told(study)
    assert states[TrialState.COMPLETE] + states[TrialState.PRUNED] == 24
    assert not states[TrialState.WAITING]
    assert not states[TrialState.RUNNING]


def test_a_worker_that_breaks_leaves_its_candidate_to_the_others(
    tmp_path: Path, use: Any
) -> None:
    use(FakeStages())
    expected = alone(tmp_path / "alone")
    broken: list[str] = []

    def break_once(_: int, candidate: Candidate, stage: str) -> None:
        if stage == "probed" and not broken:
            broken.append(candidate.name)
            raise MemoryError

    stages = use(Slowly(break_once))
    prepared(tmp_path / "many")
    crowd = Crowd(tmp_path / "many")
    crowd.run(3)
    assert [type(e) for e in crowd.errors] == [MemoryError]
    assert list(crowd.found.values()) == [expected] * 2
    assert set(stages.done.values()) == {1}
    ended = sorted(str(w.ended) for w in registered(tmp_path / "many"))
    assert ended == ["MemoryError: ", "ended", "ended"]


def test_a_sweep_that_ended_is_carried_on_by_a_larger_plan(tmp_path: Path, use: Any) -> None:
    use(Slowly())
    prepared(tmp_path, candidates=6)
    Crowd(tmp_path, candidates=6).run(2)
    stages = use(Slowly())
    prepared(tmp_path, candidates=10)
    crowd = Crowd(tmp_path, candidates=10)
    crowd.run(2)
    assert len([c for c in crowd.found[0] if c.is_proposal]) == 10
    assert sum(stage == "screened" for _, stage in stages.done) == 4


def test_a_sweep_can_be_ended_by_a_search_that_works_alone(tmp_path: Path, use: Any) -> None:
    begun = use(Slowly())
    prepared(tmp_path)
    Crowd(tmp_path, candidates=5).run(2)
    rest = use(Slowly())
    found = alone(tmp_path)
    assert [c.name for c in found if c.is_proposal] == [
        f"trial-{n:05d}" for n in range(len(STARTS))
    ]
    assert not set(begun.done) & set(rest.done)


def test_minutes_that_are_over_for_one_worker_are_over_for_all(
    tmp_path: Path, use: Any
) -> None:
    use(Slowly())
    study = prepared(tmp_path)
    study.close("study.max_minutes reached after 3 candidates")
    crowd = Crowd(tmp_path)
    crowd.run(3)
    assert crowd.errors == []
    assert not [c for c in crowd.found[0] if c.is_proposal]
    assert told(study)[TrialState.WAITING] == len(STARTS)


def test_a_network_that_two_workers_draw_at_once_is_not_examined_by_both(
    tmp_path: Path,
) -> None:
    study = prepared(tmp_path)
    first, second = study._pop(), study._pop()
    assert first is not None
    assert second is not None
    second.set_user_attr("graph", "x")
    # The second has written its graph down before the first looks, so the first gives way.
    here = experiment(tmp_path)
    one, other = shared(here), shared(here)
    drawn = one._propose(first, replace(SPACE, start=()))
    assert drawn is not None
    again = other._trials.read(second.number)
    assert again.user_attrs.keys() == {"start", "origin", "queued", "graph"}
    assert again.user_attrs["graph"] == "x"


def test_a_worker_ends_at_its_next_safe_point_and_not_before(tmp_path: Path) -> None:
    me = Worker.this_process(0, code="", now=0.0)
    candidate, heard = small_candidate(), list[Event]()
    with pytest.raises(Interrupted, match="SIGUSR2 received"):
        with at_work(tmp_path, me, QUICK) as (workers, _):
            here = replace(experiment(tmp_path, heard.append), workers=workers)
            workers.safe_point(doing="trial-00000 probed")
            assert workers.take("trial-00000")
            with giving_way(candidate, here, TRAINED) as progress:
                progress(50, 100, 0.2)
                os.kill(os.getpid(), signal.SIGUSR2)
                here.note("still at it")
                assert claims(tmp_path)[0].what == "trial-00000"
                progress(100, 100, 0.1)
    # The last step was made, and is told before the end.
    assert heard[-1] == Step(candidate, TRAINED, 100, 100, 0.1)
    assert claims(tmp_path) == []
    (record,) = registered(tmp_path)
    assert record.doing == "trial-00000 probed"
    assert record.ended == "Interrupted: SIGUSR2 received"


def test_a_worker_that_finds_no_safe_point_within_its_grace_is_broken_off() -> None:
    with pytest.raises(KeyboardInterrupt), Ending(grace_s=0.05):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_after_its_end_the_launchers_handler_has_the_last_word() -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: asked.append(number))
    try:
        with Ending(grace_s=5) as ending:
            os.kill(os.getpid(), signal.SIGUSR2)
            with pytest.raises(Interrupted):
                ending.safe_point()
            assert asked == []
        ending.hand_over()
        assert asked == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_batch_system_that_is_busy_is_asked_again_to_queue_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def refuses_twice(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) < 3:
            raise subprocess.CalledProcessError(1, ["scontrol", "requeue"])

    monkeypatch.setattr("nas.workers.worker._QUEUED_AGAIN_S", (0.0, 0.0, 0.0))
    before = signal.signal(signal.SIGUSR2, refuses_twice)
    try:
        with Ending(grace_s=5) as ending:
            os.kill(os.getpid(), signal.SIGUSR2)
        ending.hand_over()
        assert asked == [signal.SIGUSR2] * 3
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("told", [True, False])
def test_a_run_that_was_queued_again_stays_until_the_batch_system_ends_it(
    monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("nas.workers.worker._LOOK_S", 0.01)
    monkeypatch.setattr("nas.workers.worker._ENDED_AT_THE_LATEST_S", 0.2)
    monkeypatch.setattr("nas.workers.worker._BATCH_SCRIPT_ENDS_S", 0.05)
    ends: list[float] = []

    def queues_and_exits(number: int, frame: object) -> None:
        ends.append(time.monotonic())
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(-1)

    kept = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    signal.signal(signal.SIGUSR2, queues_and_exits)
    try:
        with Ending(grace_s=5) as ending:
            os.kill(os.getpid(), signal.SIGUSR2)
        with pytest.raises(SystemExit):
            ending.hand_over()
        stayed_s = time.monotonic() - ends[0]
        assert len(ends) == 1
        assert stayed_s >= (0.05 if told else 0.2)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_a_worker_with_other_code_than_the_studys_is_refused_and_told_what_to_do(
    tmp_path: Path,
) -> None:
    here = experiment(tmp_path)
    study = study_of(here)
    study.allot(2, code="0123456789ab")
    now = time.time()
    check_code(study, Worker.this_process(3, code="0123456789ab", now=now))
    words = "ffffffffffff of the code.*0123456789ab: install the same"
    with pytest.raises(SettingsError, match=words) as refused:
        check_code(study, Worker.this_process(3, code="ffffffffffff", now=now))
    assert "\n" not in str(refused.value)

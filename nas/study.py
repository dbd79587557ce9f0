"""Optuna's side of a search: proposals, and what became of them.

Several workers may share a study. Then every candidate that the plan asks for lies in it as a
waiting trial from the beginning (`allot`), with choices or without; taking one out is atomic in
every storage, so there are never more candidates than planned. A repeat puts its neighbour into
the queue before it fails, so there are never fewer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.candidate import Candidate
from nas.crew.base import Alone, Crew
from nas.storage import Notice, journal, outlast
from search_spaces.base import Chooser, SearchSpace
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.vary import NothingToVary, mutate
from trainers.base import Metric

_HASH, _NAME, _START, _INSTEAD = "graph", "name", "start", "instead_of"
_CLOSED, _CODE, _PARKED = "closed", "code", "parked"
_STARTUP = 16
_MOST_DUPLICATES = 200


class StudyExhausted(Exception):
    """The sampler finds no network that has not been examined: the space is (nearly) used up."""


P = ParamSpec("P")
T = TypeVar("T")


def _patient(
    method: Callable[Concatenate[Study, P], T],
) -> Callable[Concatenate[Study, P], T]:
    """Repeat a method while the database is away; each can be repeated from any line."""

    def again(self: Study, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return outlast(
            lambda: method(self, *args, **kwargs),
            "the study's database",
            patience_s=self._patience_s,
            notice=self._notice,
        )

    again.__doc__ = method.__doc__
    return again


class Study:
    """Proposals and what became of them.

    Every choice is seeded by its trial's number and its name, so that a search that was
    interrupted proposes what it would have proposed otherwise.
    """

    def __init__(
        self,
        storage: Path | BaseStorage,
        *,
        name: str,
        seed: int,
        metric: Metric,
        patience_s: float = 0.0,
        notice: Notice = print,
    ) -> None:
        """Open the study; made if it is not there.

        Args:
            storage: a journal file that this process holds alone, or what `open_storage` gave.
            patience_s: how long a database may be away before that is an error.
            notice: told when it is.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._metric = metric
        self._seed = seed
        self._patience_s, self._notice = patience_s, notice
        self._study = optuna.create_study(
            study_name=name,
            storage=journal(storage, alone=True) if isinstance(storage, Path) else storage,
            directions=["maximize" if metric.mode == "max" else "minimize", "minimize"],
            load_if_exists=True,
        )

    def start_from(self, space: SearchSpace) -> None:
        """Open the study for proposals, and queue the choices that the space wants tried first.

        What the space does not offer is drawn. Only one process may do this at a time.
        """
        if self.closed:
            self._study.set_user_attr(_CLOSED, "")
        queued = {
            t.user_attrs.get(_START)
            for t in self._study.get_trials(deepcopy=False)
            if _PARKED not in t.user_attrs
        }
        for number, wanted in enumerate(space.start):
            if number not in queued:
                choices = _fitting(space, wanted)
                self._study.enqueue_trial(choices, user_attrs={_START: number})

    def allot(self, count: int, *, code: str) -> None:
        """Queue empty proposals until there are `count` in all, for workers to take.

        Where more were queued than that, the last ones are taken out. Only one process may do
        this at a time.

        Args:
            code: version of the code that the workers must have.
        """
        self._study.set_user_attr(_CODE, code)
        there = self._study.get_trials(deepcopy=False)
        missing = count - sum(t.state != TrialState.FAIL for t in there)
        for _ in range(missing):
            self._study.enqueue_trial({})
        waiting = [t for t in there if t.state == TrialState.WAITING]
        for frozen in waiting[missing:] if missing < 0 else []:
            storage = self._study._storage
            storage.set_trial_user_attr(frozen._trial_id, _PARKED, True)
            storage.set_trial_state_values(frozen._trial_id, state=TrialState.FAIL)

    @property
    def code(self) -> str:
        """The version of the code that was allotted to, or nothing."""
        return str(self._study.user_attrs.get(_CODE, ""))

    @property
    @_patient
    def closed(self) -> str:
        """Why nothing new is proposed any more; empty while it is."""
        return str(self._study.user_attrs.get(_CLOSED, ""))

    @_patient
    def close(self, reason: str) -> None:
        """Let no worker propose anything new; what was begun is ended."""
        self._study.set_user_attr(_CLOSED, reason)

    @_patient
    def is_over(self, crew: Crew) -> bool:
        """Whether no more candidates will come: nothing runs, and nothing waits or may begin."""
        if crew.alone:
            return True
        states = {t.state for t in self._study.get_trials(deepcopy=False)}
        if TrialState.RUNNING in states:
            return False
        return bool(self.closed) or TrialState.WAITING not in states

    @_patient
    def next(self, space: SearchSpace, crew: Crew | None = None) -> Candidate | None:
        """A candidate that was left by whoever had it, or a new architecture.

        Returns:
            None when the study is closed or all that was allotted is with others.

        Raises:
            StudyExhausted: the sampler only repeats itself.
        """
        crew = crew or Alone()
        for frozen in self._trials(TrialState.RUNNING):
            if crew.take(_name(frozen)):
                trial = Trial(self._study, frozen._trial_id)
                candidate = self._propose(trial, space) if _runs(self._study, trial) else None
                if candidate is not None:
                    return candidate
                crew.release(_name(frozen))
        for _ in range(_MOST_DUPLICATES):
            if self.closed:
                return None
            new = self._study.ask() if crew.alone else self._pop()
            if new is None:
                return None
            if not crew.take(_name(new)):
                continue
            if self.closed:
                # It was closed in between, and others may count what runs already.
                self._put_back(new)
                return None
            candidate = self._propose(new, space)
            if candidate is not None:
                return candidate
            crew.release(_name(new))
        raise StudyExhausted(
            f"{_MOST_DUPLICATES} proposals in a row were known already: the search space is used "
            "up under this limit; widen search_space or lower study.candidates"
        )

    def _trials(self, state: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(state,))

    def _pop(self) -> Trial | None:
        """Take a waiting trial out of the queue, as `ask` does, but make no new one."""
        for frozen in self._trials(TrialState.WAITING):
            try:
                taken = self._study._storage.set_trial_state_values(
                    frozen._trial_id, state=TrialState.RUNNING
                )
            except UpdateFinishedTrialError:
                continue
            if taken:
                return Trial(self._study, frozen._trial_id)
        return None

    def _put_back(self, trial: Trial) -> None:
        """Let another worker have these choices later."""
        frozen = self._study._storage.get_trial(trial._trial_id)
        self._replace(trial, frozen.system_attrs.get("fixed_params", {}))

    def _replace(self, trial: Trial, choices: dict[str, Any]) -> None:
        """Queue these choices in a trial's place and fail it; once, however often it is begun."""
        if not any(t.user_attrs.get(_INSTEAD) == trial.number for t in self._study.get_trials()):
            self._study.enqueue_trial(choices, user_attrs={_INSTEAD: trial.number})
        self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _propose(self, trial: Trial, space: SearchSpace) -> Candidate | None:
        """Draw from the space; None, and a one-change neighbour in the queue, when it is known.

        Its own graph is written down before others are looked at, so of two workers that drew
        the same network at once at least one gives way.
        """
        architecture = space.propose(_SeededChoices(self._study, trial, self._seed))
        graph = lower(architecture).canonical_hash()
        trial.set_user_attr(_HASH, graph)
        known = any(
            other.number != trial.number
            and other.user_attrs.get(_HASH) == graph
            and other.state != TrialState.FAIL
            for other in self._study.get_trials(deepcopy=False)
        )
        if known:
            self._replace(trial, _neighbour(space, trial, self._seed))
            return None
        trial.set_user_attr(_NAME, _name(trial))
        return Candidate(_name(trial), architecture, dict(trial.params))

    @_patient
    def tell(self, candidate: Candidate) -> None:
        """Record the outcome: quality and latency, or by how much a constraint was violated.

        A rejected candidate is told PRUNED with its violation, never FAIL: the sampler ignores
        failures and would propose the same network for ever.
        """
        for frozen in self._trials(TrialState.RUNNING):
            if frozen.user_attrs.get(_NAME) == candidate.name:
                # Two may tell at once after a claim was lost; they tell the same.
                with suppress(UpdateFinishedTrialError):
                    self._tell(Trial(self._study, frozen._trial_id), candidate)

    def _tell(self, trial: Trial, candidate: Candidate) -> None:
        if candidate.rejected is not None:
            _constrain(trial, candidate.rejected.constraint, candidate.rejected.violation)
            self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        elif candidate.quality is not None:
            _constrain(trial, "latency_ms", -1.0)
            values = [candidate.quality, candidate.latency_ms]
            self._study.tell(trial, values, skip_if_finished=True)

    @_patient
    def finished_at(self) -> dict[str, datetime]:
        """When each proposal was told, by name."""
        return {
            _name(t): t.datetime_complete
            for t in self._study.get_trials(deepcopy=False)
            if t.datetime_complete is not None and t.state != TrialState.FAIL
        }


def _name(trial: Trial | FrozenTrial) -> str:
    return f"trial-{trial.number:05d}"


def _runs(study: optuna.Study, trial: Trial) -> bool:
    """Whether it still runs: it may have been told before it was claimed."""
    return study._storage.get_trial(trial._trial_id).state == TrialState.RUNNING


class _SeededChoices:
    """A trial as a chooser: what was chosen before it was interrupted stays, the rest follows."""

    def __init__(self, study: optuna.Study, trial: Trial, seed: int) -> None:
        self._study = study
        self._trial = trial
        self._seed = seed

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self._seed_for(name)
        return self._trial.suggest_int(name, low, high, step=step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._seed_for(name)
        return self._trial.suggest_categorical(name, choices)

    def _seed_for(self, name: str) -> None:
        seed = zlib.crc32(f"{self._seed} {self._trial.number} {name}".encode())
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=_STARTUP, multivariate=False, seed=seed
        )


def choosers(count: int, *, seed: int) -> Iterator[Chooser]:
    """What so many proposals of a search are drawn from; nothing of them is kept."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for _ in range(count):
        yield _SeededChoices(study, study.ask(), seed)


def _constrain(trial: Trial, name: str, violation: float) -> None:
    """Record a violation; it is there already when a search died before its trial was told."""
    if name not in trial.constraints:
        trial.set_constraint(name, violation)


def _neighbour(space: SearchSpace, trial: Trial, seed: int) -> dict[str, Any]:
    """The same choices with one of them changed; unchanged where the space is a single network."""
    try:
        return dict(mutate(space, trial.params, seed=hash((seed, trial.number))).choices)
    except NothingToVary:
        return dict(trial.params)


def _fitting(space: SearchSpace, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the wanted choices that the space offers."""
    found = draw(space, seed=0, wanted=wanted).choices
    return {name: v for name, v in wanted.items() if name in found and found[name] == v}

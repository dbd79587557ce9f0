"""Optuna's side of a search: proposals, and what became of them.

Several workers may share a study. Then every candidate that the plan asks for lies in it as a
waiting trial from the beginning (`allot`), with choices or without; taking one out is atomic in
every storage, so there are never more candidates than planned. A repeat puts its neighbour into
the queue before it fails, so there are never fewer.

What is proposed is a policy's decision (`nas/policies/`): it is asked once for each trial, with
all that is known, and answers with the sampler that draws this trial's choices.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import Trial, TrialState

from nas.candidate import Candidate, Origin
from nas.ledger import identity_of
from nas.policies.base import Policy, Proposal, Question, seed_of
from nas.policies.breeding import Breeding
from nas.policies.evidence import DRAWN, GRAPH, LATENCY, Evidence, name_of
from nas.policies.wishes import Wished
from nas.storage import Notice, StorageError, journal, patient
from nas.trials import Trials
from nas.workers.base import Alone, Workers
from search_spaces.base import Chooser, SearchSpace
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.vary import NothingToVary, mutate
from trainers.base import Metric

_NAME, _START, _INSTEAD = "name", "start", "instead_of"
_CLOSED, _CODE, _PARKED = "closed", "code", "parked"
_ORIGIN, _HOME, _QUEUED = "origin", "home", "queued"
_LIMIT, _MOST_DUPLICATES = "latency_ms", 200


class StudyExhausted(Exception):
    """The sampler finds no network that has not been examined: the space is (nearly) used up."""


class Study:
    """Proposals and what became of them.

    Every proposal is seeded by its trial's number, so that a search that was interrupted proposes
    what it would have proposed otherwise.
    """

    def __init__(
        self,
        storage: Path | BaseStorage,
        *,
        name: str,
        seed: int,
        metric: Metric,
        policy: Policy | None = None,
        limit_ms: float = inf,
        home: Path | None = None,
        patience_s: float = 0.0,
        notice: Notice = print,
    ) -> None:
        """Open the study; made if it is not there.

        Args:
            storage: a journal file that this process holds alone, or what `open_storage` gave.
            policy: decides what is proposed; breeding where none is given.
            limit_ms: the slowest that is allowed, which policies are told.
            home: the folder with the evidence of its candidates, which it belongs to from the
                first time that it is opened with one.
            patience_s: how long a database may be away before that is an error.
            notice: told when it is.

        Raises:
            StorageError: a study of this name belongs to another folder.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._metric = metric
        self._seed = seed
        self._policy = policy or Breeding()
        self._limit_ms = limit_ms
        self._evidence = Evidence()
        self.patience_s, self.notice = patience_s, notice
        opened = journal(storage, alone=True) if isinstance(storage, Path) else storage
        self._study = optuna.create_study(
            study_name=name,
            storage=opened,
            directions=["maximize" if metric.mode == "max" else "minimize", "minimize"],
            load_if_exists=True,
        )
        self._trials = Trials(opened, self._study)
        self._name_axes()
        if home is not None:
            self._belong_to(home)

    def _name_axes(self) -> None:
        """What dashboards write at their axes; qualities are told as the forecast has them."""
        metric = self._metric
        names = [f"expected {metric.name}{f' ({metric.unit})' if metric.unit else ''}"]
        names.append("latency (ms)")
        if self._study.metric_names != names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._study.set_metric_names(names)

    def _belong_to(self, home: Path) -> None:
        """Hold the study against its folder: proposals are worth nothing without evidence."""
        mine = {"id": identity_of(home), "folder": f"{socket.gethostname()}:{home.resolve()}"}
        known = self._study.user_attrs.get(_HOME)
        if known is None:
            self._study.set_user_attr(_HOME, mine)
        elif known["id"] != mine["id"]:
            raise StorageError(
                f"the study '{self._study.study_name}' in this storage belongs to "
                f"{known['folder']}, this search writes to {home}: give study.name=<another>, or "
                "runs_dir=<where that folder is>"
            )

    @patient
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
                self._queue(_fitting(space, wanted), {_START: number, _ORIGIN: _START})

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
            self._queue({}, {})
        waiting = [t for t in there if t.state == TrialState.WAITING]
        for frozen in waiting[missing:] if missing < 0 else []:
            self._trials.note(frozen.number, _PARKED, True)
            self._trials.end(frozen.number, TrialState.FAIL)

    @property
    def code(self) -> str:
        """The version of the code that was allotted to, or nothing."""
        return str(self._study.user_attrs.get(_CODE, ""))

    @property
    @patient
    def closed(self) -> str:
        """Why nothing new is proposed any more; empty while it is."""
        return str(self._study.user_attrs.get(_CLOSED, ""))

    @patient
    def close(self, reason: str) -> None:
        """Let no worker propose anything new; what was begun is ended."""
        self._study.set_user_attr(_CLOSED, reason)

    @patient
    def is_over(self, workers: Workers) -> bool:
        """Whether no more candidates will come: nothing runs, and nothing waits or may begin."""
        if workers.alone:
            return True
        states = {t.state for t in self._study.get_trials(deepcopy=False)}
        if TrialState.RUNNING in states:
            return False
        return bool(self.closed) or TrialState.WAITING not in states

    @patient
    def next(self, space: SearchSpace, workers: Workers | None = None) -> Candidate | None:
        """A candidate that was left by whoever had it, or a new architecture.

        Returns:
            None when the study is closed or all that was allotted is with others.

        Raises:
            StudyExhausted: the sampler only repeats itself.
        """
        workers = workers or Alone()
        for frozen in self._trials.of(TrialState.RUNNING):
            if workers.take(name_of(frozen)):
                # It may have been told before it was claimed.
                left = self._trials.read(frozen.number).state == TrialState.RUNNING
                trial = self._trials.reopened(frozen.number)
                candidate = self._propose(trial, space) if left else None
                if candidate is not None:
                    return candidate
                workers.release(name_of(frozen))
        for _ in range(_MOST_DUPLICATES):
            if self.closed:
                return None
            new = self._study.ask() if workers.alone else self._pop()
            if new is None:
                return None
            if not workers.take(name_of(new)):
                continue
            if self.closed:
                # It was closed in between, and others may count what runs already.
                self._put_back(new)
                return None
            candidate = self._propose(new, space)
            if candidate is not None:
                return candidate
            workers.release(name_of(new))
        raise StudyExhausted(
            f"{_MOST_DUPLICATES} proposals in a row were known already: the search space is used "
            "up under this limit; widen search_space or lower study.candidates"
        )

    def _pop(self) -> Trial | None:
        """Take a waiting trial out of the queue, as `ask` does, but make no new one."""
        waited = next(self._trials.taken(), None)
        return None if waited is None else self._trials.reopened(waited.number)

    def _queue(self, choices: Mapping[str, Any], attrs: Mapping[str, Any]) -> None:
        """Let a trial wait for whoever takes it, with these choices made."""
        told = {**attrs, **({_QUEUED: dict(choices)} if choices else {})}
        self._study.enqueue_trial(dict(choices), user_attrs=told)

    def _put_back(self, trial: Trial) -> None:
        """Let another worker have these choices later."""
        attrs = trial.user_attrs
        self._replace(trial, attrs.get(_QUEUED, {}), attrs.get(_ORIGIN, ""))

    def _replace(self, trial: Trial, choices: dict[str, Any], origin: str) -> None:
        """Queue these choices in a trial's place and fail it; once, however often it is begun.

        Args:
            origin: where they come from; empty to ask the policy for those that are missing.
        """
        if not any(t.user_attrs.get(_INSTEAD) == trial.number for t in self._study.get_trials()):
            attrs = {_INSTEAD: trial.number, **({_ORIGIN: origin} if origin else {})}
            self._queue(choices, attrs)
        self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _propose(self, trial: Trial, space: SearchSpace) -> Candidate | None:
        """Draw from the space; None, and a one-change neighbour in the queue, when it is known.

        Its own graph is written down before others are looked at, so of two workers that drew
        the same network at once at least one gives way.
        """
        proposal = self._proposal(trial, space)
        self._study.sampler = proposal.sampler
        # Made anew, because a sampler is told of a trial when that is made.
        trial = self._trials.reopened(trial.number)
        if trial.relative_params and DRAWN not in trial.user_attrs:
            trial.set_user_attr(DRAWN, trial.relative_params)
        architecture = space.propose(trial)
        graph = lower(architecture).canonical_hash()
        trial.set_user_attr(GRAPH, graph)
        same = next(
            (
                other for other in self._study.get_trials(deepcopy=False)
                if other.number != trial.number
                and other.user_attrs.get(GRAPH) == graph
                and other.state != TrialState.FAIL
            ),
            None,
        )
        if same is not None:
            neighbour = _neighbour(space, trial, self._seed)
            self._replace(trial, neighbour, f"neighbour of {name_of(same)}")
            return None
        trial.set_user_attr(_ORIGIN, proposal.origin)
        trial.set_user_attr(_NAME, name_of(trial))
        return Candidate(
            name_of(trial), Origin("proposed", proposal.origin), architecture, dict(trial.params)
        )

    def _proposal(self, trial: Trial, space: SearchSpace) -> Proposal:
        """What draws a trial's choices: even draws for what its queue or its past leaves out."""
        origin = trial.user_attrs.get(_ORIGIN)
        if origin is not None:
            return Proposal(Wished(seed_of(self._seed, trial.number), {}), origin)
        trials = self._study.get_trials(deepcopy=False)
        known = self._evidence.known(trials, number=trial.number)
        return self._policy.propose(
            Question(space, self._metric, self._limit_ms, trial.number, self._seed, known)
        )

    @patient
    def tell(self, candidate: Candidate, *, quality: float | None = None) -> None:
        """Record the outcome: quality and latency, or by how much a constraint was violated.

        The quality is what is expected of the full training; the candidate's own when None.

        A rejected candidate is told PRUNED with its violation, never FAIL: the sampler ignores
        failures and would propose the same network for ever. So is one that nothing was trained
        of, without a violation.
        """
        for frozen in self._trials.of(TrialState.RUNNING):
            if frozen.user_attrs.get(_NAME) == candidate.name:
                # Two may tell at once after a claim was lost; they tell the same.
                with suppress(UpdateFinishedTrialError):
                    trial = self._trials.reopened(frozen.number)
                    self._tell(trial, candidate, candidate.quality if quality is None else quality)

    def _tell(self, trial: Trial, candidate: Candidate, quality: float | None) -> None:
        for name, violation in _violations(candidate).items():
            _constrain(trial, name, violation)
        if candidate.rejected is not None:
            if candidate.receipts:
                trial.set_user_attr(LATENCY, candidate.first_latency_ms)
            self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        elif quality is not None:
            values = [quality, candidate.latency_ms]
            self._study.tell(trial, values, skip_if_finished=True)
        else:
            self._study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    @patient
    def finished_at(self) -> dict[str, datetime]:
        """When each proposal was told, by name."""
        return {
            name_of(t): t.datetime_complete
            for t in self._study.get_trials(deepcopy=False)
            if t.datetime_complete is not None and t.state != TrialState.FAIL
        }


def choosers(count: int, *, seed: int) -> Iterator[Chooser]:
    """What so many proposals of a search are drawn from; nothing of them is kept."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(count):
        study.sampler = Wished(seed_of(seed, number), {})
        yield study.ask()


def _violations(candidate: Candidate) -> dict[str, float]:
    """How far beyond each limit it is, relative to it; of several targets one for each.

    Where a proposal missed one limit it was not timed on the targets that come after.
    """
    rejected = candidate.rejected
    if rejected is not None and (rejected.constraint != _LIMIT or not candidate.limits_ms):
        return {rejected.constraint: rejected.violation}
    if not candidate.limits_ms:
        return {_LIMIT: -1.0}
    return {f"{_LIMIT}@{name}": share - 1.0 for name, share in candidate.shares.items()}


def _constrain(trial: Trial, name: str, violation: float) -> None:
    """Record a violation; it is there already when a search died before its trial was told."""
    if name not in trial.constraints:
        trial.set_constraint(name, violation)


def _neighbour(space: SearchSpace, trial: Trial, seed: int) -> dict[str, Any]:
    """The same choices with one of them changed; unchanged where the space is a single network."""
    try:
        return dict(mutate(space, trial.params, seed=seed_of(seed, trial.number)).choices)
    except NothingToVary:
        return dict(trial.params)


def _fitting(space: SearchSpace, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the wanted choices that the space offers."""
    found = draw(space, seed=0, wanted=wanted).choices
    return {name: v for name, v in wanted.items() if name in found and found[name] == v}

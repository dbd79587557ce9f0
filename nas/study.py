"""Optuna's side of a search; the only file that imports it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from nas.candidate import Candidate
from search_spaces.base import SearchSpace
from search_spaces.skeletons import lower
from trainers.base import Metric

_HASH, _NAME, _START = "graph", "name", "start"
_STARTUP = 16
_MOST_DUPLICATES = 200


class StudyExhausted(Exception):
    """The sampler finds no network that has not been examined: the space is (nearly) used up."""


class Study:
    """Proposals and what became of them, in one journal file.

    Every choice is seeded by its trial's number and its name, so that a search that was
    interrupted proposes what it would have proposed otherwise.
    """

    def __init__(self, path: Path, *, name: str, seed: int, metric: Metric) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path.parent.mkdir(parents=True, exist_ok=True)
        _repair(path)
        self._metric = metric
        self._seed = seed
        self._study = optuna.create_study(
            study_name=name,
            storage=JournalStorage(JournalFileBackend(str(path))),
            directions=["maximize" if metric.mode == "max" else "minimize", "minimize"],
            load_if_exists=True,
        )

    def start_from(self, space: SearchSpace) -> None:
        """Queue the choices that the space wants tried first; what it does not offer is drawn."""
        queued = {t.user_attrs.get(_START) for t in self._study.get_trials(deepcopy=False)}
        for number, wanted in enumerate(space.start):
            if number not in queued:
                fitting = _Fitting(wanted)
                space.propose(fitting)
                self._study.enqueue_trial(fitting.kept, user_attrs={_START: number})

    def next(self, space: SearchSpace) -> Candidate:
        """A candidate that was interrupted, or a new architecture.

        The caller holds the study alone, so whatever is still running was interrupted.

        Raises:
            StudyExhausted: the sampler only repeats itself.
        """
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            candidate = self._propose(Trial(self._study, frozen._trial_id), space)
            if candidate is not None:
                return candidate
        for _ in range(_MOST_DUPLICATES):
            candidate = self._propose(self._study.ask(), space)
            if candidate is not None:
                return candidate
        raise StudyExhausted(
            f"{_MOST_DUPLICATES} proposals in a row were known already: the search space is used "
            "up under this limit; widen search_space or lower study.candidates"
        )

    def _propose(self, trial: Trial, space: SearchSpace) -> Candidate | None:
        """Draw from the space; None, and a one-change neighbour in the queue, when it is known."""
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
            self._study.tell(trial, state=TrialState.FAIL)
            self._study.enqueue_trial(_neighbour(trial, self._seed))
            return None
        name = f"trial-{trial.number:05d}"
        trial.set_user_attr(_NAME, name)
        return Candidate(name, architecture, dict(trial.params))

    def tell(self, candidate: Candidate) -> None:
        """Record the outcome: quality and latency, or by how much a constraint was violated.

        A rejected candidate is told PRUNED with its violation, never FAIL: the sampler ignores
        failures and would propose the same network for ever.
        """
        trial = self._trial(candidate.name)
        if trial is None:
            return
        if candidate.rejected is not None:
            _constrain(trial, candidate.rejected.constraint, candidate.rejected.violation)
            self._study.tell(trial, state=TrialState.PRUNED)
        elif candidate.quality is not None:
            _constrain(trial, "latency_ms", -1.0)
            self._study.tell(trial, [candidate.quality, candidate.latency_ms])

    def _trial(self, name: str) -> Trial | None:
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.user_attrs.get(_NAME) == name:
                return Trial(self._study, frozen._trial_id)
        return None


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


class _Fitting:
    """Answers with what is wanted where that is offered, and keeps those choices."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = wanted
        self.kept: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name in self._wanted and self._wanted[name] in choices:
            self.kept[name] = self._wanted[name]
        return self.kept.get(name, choices[0])


def _constrain(trial: Trial, name: str, violation: float) -> None:
    """Record a violation; it is there already when a search died before its trial was told."""
    if name not in trial.constraints:
        trial.set_constraint(name, violation)


def _neighbour(trial: Trial, seed: int) -> dict[str, Any]:
    """The same choices with one of them changed."""
    chooser = random.Random(f"{seed}-{trial.number}")
    changed = dict(trial.params)
    names = [name for name, d in trial.distributions.items() if len(_choices(d)) > 1]
    if names:
        name = chooser.choice(sorted(names))
        others = [c for c in _choices(trial.distributions[name]) if c != changed[name]]
        changed[name] = chooser.choice(others)
    return changed


def _choices(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    return []


def _repair(path: Path) -> None:
    """Remove what a search that was killed while it wrote has left.

    That is a half-written last line, which would glue onto the next one and stop the study, and
    Optuna's lock, for which it would wait half a minute. The caller holds the study alone.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)

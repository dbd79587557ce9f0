"""Optuna's side of a search; the only file that imports it."""

from __future__ import annotations

import random
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

_HASH, _NAME = "graph", "name"
_STARTUP = 16
_MOST_DUPLICATES = 200


class StudyExhausted(Exception):
    """The sampler finds no network that has not been examined: the space is (nearly) used up."""


class Study:
    """Proposals and what became of them, in one journal file.

    The sampler of each trial is seeded by its number, so that a search that was interrupted
    proposes what it would have proposed otherwise.
    """

    def __init__(self, path: Path, *, name: str, seed: int, metric: Metric) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._metric = metric
        self._seed = seed
        self._study = optuna.create_study(
            study_name=name,
            storage=JournalStorage(JournalFileBackend(str(path))),
            directions=["maximize" if metric.mode == "max" else "minimize", "minimize"],
            load_if_exists=True,
        )

    def start_from(self, choices: Sequence[Mapping[str, Any]]) -> None:
        """Queue the choices that a new study tries first; an old one has them already."""
        if not self._study.get_trials(deepcopy=False):
            for choice in choices:
                self._study.enqueue_trial(dict(choice))

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
            number = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=_STARTUP, seed=hash((self._seed, number)) % 2**31
            )
            candidate = self._propose(self._study.ask(), space)
            if candidate is not None:
                return candidate
        raise StudyExhausted(
            f"{_MOST_DUPLICATES} proposals in a row were known already: the search space is used "
            "up under this limit; widen search_space or lower study.candidates"
        )

    def _propose(self, trial: Trial, space: SearchSpace) -> Candidate | None:
        """Draw from the space; None, and a one-change neighbour in the queue, when it is known."""
        architecture = space.propose(trial)
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
            trial.set_constraint(candidate.rejected.constraint, candidate.rejected.violation)
            self._study.tell(trial, state=TrialState.PRUNED)
        elif candidate.quality is not None:
            trial.set_constraint("latency_ms", -1.0)
            self._study.tell(trial, [candidate.quality, candidate.latency_ms])

    def _trial(self, name: str) -> Trial | None:
        for frozen in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.user_attrs.get(_NAME) == name:
                return Trial(self._study, frozen._trial_id)
        return None


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


def _cut_torn_line(path: Path) -> None:
    """Remove a half-written last line, which would glue onto the next one and stop the study."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)

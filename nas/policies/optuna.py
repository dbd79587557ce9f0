"""Any sampler of Optuna's as a policy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.policies.base import Proposal, Question, seed_of
from nas.policies.evidence import DRAWN

MakeSampler = Callable[..., BaseSampler]
"""Makes the sampler, given `seed` by name."""


@dataclass(frozen=True)
class Optuna:
    """What one of Optuna's samplers would propose.

    Attributes:
        sampler: its class with all settings but the seed.
    """

    sampler: MakeSampler

    def __post_init__(self) -> None:
        """Refuse what cannot search for quality and latency at once, before anything is timed.

        Raises:
            ValueError: it is no sampler, or takes no seed, or only one objective.
        """
        try:
            tried = _made(self.sampler, 0)
        except ValueError as error:
            raise ValueError(f"sampler does not do here: {error}") from error
        except TypeError as error:
            raise ValueError(
                f"sampler cannot be made ({error}): name a sampler that takes seed=, with "
                "settings that it has"
            ) from error
        if not isinstance(tried, BaseSampler):
            raise ValueError(
                f"sampler is a {type(tried).__name__}, which is none of Optuna's: name a class "
                "like optuna.samplers.TPESampler"
            )
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=["minimize"] * 2, sampler=tried)
        # Some look at finished trials only: a first one has to be there.
        for _ in range(2):
            trial = study.ask()
            try:
                trial.suggest_int("tried", 0, 1)
            except ValueError as error:
                raise ValueError(f"sampler does not do here: {error}") from error
            study.tell(trial, [0.0, 0.0])

    def propose(self, question: Question) -> Proposal:
        """Ask the sampler, seeded for this trial."""
        name = type(_made(self.sampler, 0)).__name__
        return Proposal(Reseeded(self.sampler, question.seed), name)


class Reseeded(BaseSampler):
    """A sampler that begins every trial anew, seeded by the study and the trial's number.

    So an interrupted search proposes what it would have proposed: a sampler that lives on has
    come as far in its random numbers as this process has asked it, and may keep what it learned.
    A trial that was interrupted half way is asked for the rest of its choices alone: those drawn
    one by one are seeded by their names too, and those drawn at once are what its user attribute
    says, for some samplers see their own first draw and would draw otherwise beside it.
    """

    _drawn: Mapping[str, Any]

    def __init__(self, make: MakeSampler, seed: int) -> None:
        self._make, self._seed = make, seed
        self._sampler, self._drawn = self._for(0), {}

    def _for(self, number: int, *names: str) -> BaseSampler:
        return _made(self._make, seed_of(self._seed, number, *names))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Begin a trial: whatever the sampler was and knew is gone."""
        self._sampler, self._drawn = self._for(trial.number), trial.user_attrs.get(DRAWN, {})
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What the sampler draws at once, or has drawn."""
        found = self._sampler.infer_relative_search_space(study, trial)
        return {n: d for n, d in found.items() if n in self._drawn} if self._drawn else found

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw that."""
        if self._drawn:
            return {name: self._drawn[name] for name in search_space}
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one choice by itself."""
        return self._for(trial.number, param_name).sample_independent(
            study, trial, param_name, param_distribution
        )

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let the sampler end a trial, which may be another one than it began last."""
        self._for(trial.number).after_trial(study, trial, state, values)


def _made(make: MakeSampler, seed: int) -> BaseSampler:
    """A new sampler; who chose one knows that it is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make(seed=seed)

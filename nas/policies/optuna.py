"""Any sampler of Optuna's as a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.policies.base import Proposal, Question, seed_of

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
            ValueError: it takes no seed, or only one objective.
        """
        try:
            tried = self.sampler(seed=0)
        except TypeError as error:
            raise ValueError(
                f"policy.sampler cannot be made ({error}): name a sampler that takes seed=, with "
                "settings that it has"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=["minimize"] * 2, sampler=tried)
        # Some look at finished trials only: a first one has to be there.
        for _ in range(2):
            trial = study.ask()
            try:
                trial.suggest_int("tried", 0, 1)
            except ValueError as error:
                raise ValueError(f"policy.sampler does not do here: {error}") from error
            study.tell(trial, [0.0, 0.0])

    def propose(self, question: Question) -> Proposal:
        """Ask the sampler, seeded for this trial."""
        name = type(self.sampler(seed=0)).__name__
        return Proposal(Reseeded(self.sampler, question.seed, question.number), name)


class Reseeded(BaseSampler):
    """A sampler that is made anew for every question, seeded by its trial and its name.

    So an interrupted search proposes what it would have proposed: a sampler that lives on has
    come as far in its random numbers as this process has asked it.
    """

    def __init__(self, make: MakeSampler, seed: int, number: int) -> None:
        self._make = make
        self._seeds = (seed, number)

    def _for(self, name: str = "") -> BaseSampler:
        names = (name,) if name else ()
        return self._make(seed=seed_of(*self._seeds, *names))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let the sampler begin a trial."""
        self._for().before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What the sampler draws at once."""
        return self._for().infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw that."""
        return self._for().sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one choice by itself."""
        return self._for(param_name).sample_independent(
            study, trial, param_name, param_distribution
        )

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let the sampler end a trial."""
        self._for().after_trial(study, trial, state, values)

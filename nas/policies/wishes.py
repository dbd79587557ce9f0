"""From choices to a proposal: a wish that Optuna's trial follows where the space allows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.policies.base import Proposal, Question, seed_of
from search_spaces.draws import Choices, Draw, SeededChooser, draw
from search_spaces.skeletons import lower

RANDOM = "random"
_TRIES = 32


class Wished(BaseSampler):
    """Answers each suggestion with the wished choice where that is offered, and draws the rest.

    What is drawn is drawn evenly, by the seed and the name alone.

    Attributes:
        wanted: what is wished.
    """

    def __init__(self, seed: int, wanted: Choices) -> None:
        self.wanted = wanted
        self._chooser = SeededChooser(seed, wanted)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: every choice is answered by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The wished choice, or one drawn evenly."""
        match param_distribution:
            case CategoricalDistribution(choices=choices):
                return self._chooser.suggest_categorical(param_name, choices)
            case IntDistribution(low=low, high=high, step=step):
                return self._chooser.suggest_int(param_name, low, high, step=step)
        raise TypeError(
            f"the space asks for '{param_name}' from a {type(param_distribution).__name__}: "
            "use suggest_categorical or suggest_int"
        )


@dataclass(frozen=True)
class Child:
    """A network that might be proposed, and where it comes from in words."""

    draw: Draw
    origin: str


def wish(question: Question, child: Child) -> Proposal:
    """Propose this network."""
    seed = seed_of(question.seed, question.number)
    return Proposal(Wished(seed, child.draw.choices), child.origin)


def even(question: Question) -> Proposal:
    """Propose what is drawn evenly; not a network that is known, where that can be helped."""
    seeds = [seed_of(question.seed, question.number, n) for n in range(_TRIES)]
    children = (Child(draw(question.space, seed=seed), RANDOM) for seed in seeds)
    known = Child(draw(question.space, seed=seeds[0]), RANDOM)
    return wish(question, first_new(question, children) or known)


def first_new(question: Question, children: Iterable[Child]) -> Child | None:
    """The first network that nobody has proposed; None when all of them were."""
    seen = {known.graph for known in question.known}
    for child in children:
        if lower(child.draw.architecture).canonical_hash() not in seen:
            return child
    return None

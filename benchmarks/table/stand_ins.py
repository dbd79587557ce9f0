"""The least that a comparison needs of a policy, and the two policies that all others must beat.

`Known`, `Question` and `Proposal` have the fields of those in `nas.policies.base`, so a policy
that is written for either can be asked by `explore.py`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import optuna

from search_spaces.base import SearchSpace
from trainers.base import Metric


@dataclass(frozen=True)
class Known:
    """What is known of one proposal."""

    name: str
    choices: Mapping[str, Any]
    quality: float | None
    latency_ms: float | None
    pending: bool
    graph: str = ""


@dataclass(frozen=True)
class Question:
    """What should be proposed next, and all there is to decide it by."""

    space: SearchSpace
    metric: Metric
    limit_ms: float
    number: int
    seed: int
    known: Sequence[Known]


@dataclass(frozen=True)
class Proposal:
    """What draws the next trial's choices, and where they come from in words."""

    sampler: optuna.samplers.BaseSampler
    origin: str


class Policy(Protocol):
    """Decides what is proposed next."""

    def propose(self, question: Any) -> Any:
        """Answer one question."""


@dataclass(frozen=True)
class Seeded:
    """One of Optuna's samplers, made anew for every trial."""

    make: Callable[[int], optuna.samplers.BaseSampler]
    name: str

    def propose(self, question: Any) -> Proposal:
        """Seeded by study and trial."""
        seed = zlib.crc32(f"{question.seed} {question.number}".encode())
        return Proposal(self.make(seed), self.name)


def random() -> Policy:
    """Even draws."""
    return Seeded(lambda seed: optuna.samplers.RandomSampler(seed=seed), "random")


def tpe() -> Policy:
    """What the search proposed by before there were policies."""
    return Seeded(
        lambda seed: optuna.samplers.TPESampler(
            n_startup_trials=16, multivariate=False, seed=seed
        ),
        "TPE",
    )

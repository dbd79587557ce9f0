"""The types of the policies: what is known, what is asked, what is proposed.

A policy sees evidence and names a wish; the wish becomes an Optuna trial like any other. So
storage, dashboard, workers and tracking need to know nothing of policies.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import optuna

from search_spaces.base import SearchSpace
from trainers.base import Metric


@dataclass(frozen=True)
class Known:
    """What is known of one proposal.

    Attributes:
        choices: what was chosen from the space, by name.
        quality: the metric that it is expected to have after the full training; None where it
            was rejected, or where nothing is known yet.
        latency_ms: where it was measured.
        pending: whether a worker has it and its outcome is to come.
        graph: canonical hash of its Graph.
    """

    name: str
    choices: Mapping[str, Any]
    quality: float | None
    latency_ms: float | None
    pending: bool
    graph: str = ""


MOST = 10**6
"""Of networks that a policy may be told to look at before or among."""


@dataclass(frozen=True)
class Question:
    """What should be proposed next, and all there is to decide it by.

    Attributes:
        limit_ms: the slowest that is allowed.
        number: of the trial that is asked for; with the seed, all the chance that there is.
        seed: of the study.
        known: earlier proposals, in the order of their numbers; repeats are left out.
    """

    space: SearchSpace
    metric: Metric
    limit_ms: float
    number: int
    seed: int
    known: Sequence[Known]


@dataclass(frozen=True)
class Proposal:
    """An answer.

    Attributes:
        sampler: draws the choices of this one trial.
        origin: where they come from, in words: `mutation of trial-00012`.
    """

    sampler: optuna.samplers.BaseSampler
    origin: str


class Policy(Protocol):
    """Decides what is proposed next."""

    def propose(self, question: Question) -> Proposal:
        """Answer one question; the same question has the same answer, in any process."""


def seed_of(seed: int, number: int, *names: object) -> int:
    """A seed for one trial of a study, and for one thing in it; the same in any process."""
    return zlib.crc32(" ".join(map(str, (seed, number, *names))).encode())

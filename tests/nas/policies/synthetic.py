"""Searches that cost nothing: latency and quality follow from the Graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any

import optuna
from finished_studies import PSNR
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from nas.policies.base import Known, Policy, Proposal, Question
from nas.policies.wishes import Wished
from nas.winners import hypervolume
from search_spaces.base import Architecture, SearchSpace
from search_spaces.features import features
from search_spaces.skeletons import lower
from trainers.base import Metric

LIMIT_MS = 40.0


def judged(architecture: Architecture) -> tuple[float, float]:
    """Quality and latency in ms: smooth in the size, the depth and the receptive field.

    Multiply-adds are ten milliseconds for a billion at 360x640, and traffic costs too.
    """
    found = features(lower(architecture))
    pixels = 360 * 640 / 384**2
    latency_ms = pixels * (1e-8 * 2 ** found["log_macs"] + 1.5e-7 * 2 ** found["log_traffic"])
    quality = 30.0 + 0.35 * (found["log_params"] - 10) + 0.1 * found["depth"]
    quality += 1.5 * (1 - exp(-(2 ** found["log_receptive_field"]) / 12))
    quality -= 0.8 * found["macs_reduced"] + 0.5 * found["macs_depthwise"]
    return quality, latency_ms


@dataclass
class Search:
    """One search by one policy, a proposal at a time, all of it in memory."""

    policy: Policy
    space: SearchSpace
    seed: int = 0
    limit_ms: float = LIMIT_MS
    metric: Metric = PSNR
    known: list[Known] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = ["maximize" if self.metric.mode == "max" else "minimize", "minimize"]
        self._study = optuna.create_study(storage=InMemoryStorage(), directions=directions)
        self._starts = iter(self.space.start)

    def ask(self) -> tuple[optuna.Trial, Architecture]:
        """The next network; nothing is told of it."""
        number = len(self._study.trials)
        question = Question(
            self.space, self.metric, self.limit_ms, number, self.seed, tuple(self.known)
        )
        start = next(self._starts, None)
        proposal = self.policy.propose(question) if start is None else Proposal(
            Wished(self.seed, start), "start"
        )
        self.origins.append(proposal.origin)
        self._study.sampler = proposal.sampler
        trial = self._study.ask()
        return trial, self.space.propose(trial)

    def step(self, *, pending: bool = False) -> Known:
        """Propose one and tell what came of it, or leave it pending."""
        trial, architecture = self.ask()
        quality, latency_ms = judged(architecture)
        if self.metric.mode == "min":
            quality = -quality
        graph = lower(architecture).canonical_hash()
        name, slow = f"trial-{trial.number:05d}", latency_ms > self.limit_ms
        if pending:
            new = Known(name, trial.params, None, None, True, graph)
        elif slow:
            trial.set_constraint("latency_ms", latency_ms / self.limit_ms - 1)
            self._study.tell(trial, state=TrialState.PRUNED)
            new = Known(name, trial.params, None, latency_ms, False, graph)
        else:
            self._study.tell(trial, [quality, latency_ms])
            new = Known(name, trial.params, quality, latency_ms, False, graph)
        self.known.append(new)
        return new

    def run(self, count: int) -> Search:
        """Take so many steps."""
        for _ in range(count):
            self.step()
        return self

    @property
    def graphs(self) -> list[str]:
        """What was proposed, in order."""
        return [k.graph for k in self.known]

    def hypervolume(self) -> float:
        """Of the front that was found, in dB x ms over 30 dB."""
        points: Sequence[Any] = [
            (k.quality, k.latency_ms) for k in self.known if k.quality is not None
        ]
        return hypervolume(
            points, self.metric, worst_quality=30.0, worst_latency_ms=self.limit_ms
        )

"""Optuna's samplers as policies."""

from __future__ import annotations

from functools import partial

import optuna
import pytest
from synthetic import Search

from nas.policies.optuna import Optuna
from search_spaces.super_resolution import SuperResolutionSpace

SPACE = SuperResolutionSpace()
SAMPLERS = {
    "TPESampler": optuna.samplers.TPESampler,
    "NSGAIISampler": partial(optuna.samplers.NSGAIISampler, population_size=8),
    "RandomSampler": optuna.samplers.RandomSampler,
    "QMCSampler": partial(optuna.samplers.QMCSampler, warn_independent_sampling=False),
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_propose_and_are_named_and_a_resumed_one_goes_on(name: str) -> None:
    straight = Search(Optuna(SAMPLERS[name]), SPACE).run(24)
    broken = Search(Optuna(SAMPLERS[name]), SPACE)
    for _ in range(24):
        broken.policy = Optuna(SAMPLERS[name])
        broken.step()
    assert straight.origins == [name] * 24
    assert broken.graphs == straight.graphs


def test_the_sampler_learns_what_is_within_the_limit() -> None:
    search = Search(Optuna(optuna.samplers.TPESampler), SPACE, limit_ms=20.0).run(56)
    early, late = search.known[:10], search.known[-24:]
    slow = [sum(k.quality is None for k in part) / len(part) for part in (early, late)]
    assert slow[1] < slow[0] - 0.15

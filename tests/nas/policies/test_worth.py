"""What a policy is worth: the front that it finds where outcomes follow from the network."""

from __future__ import annotations

from functools import cache
from statistics import mean

import pytest
from synthetic import Search

from nas.policies.base import Policy
from nas.policies.breeding import Breeding
from nas.policies.gaussian_process import GaussianProcess
from nas.policies.random import Random
from search_spaces.super_resolution import SuperResolutionSpace

pytestmark = pytest.mark.slow
SEEDS, PROPOSALS = 10, 40
SPACE = SuperResolutionSpace()


@cache
def hypervolumes(policy: type[Policy]) -> list[float]:
    return [
        Search(policy(), SPACE, seed=seed).run(PROPOSALS).hypervolume() for seed in range(SEEDS)
    ]


@pytest.mark.parametrize("policy", [Breeding, GaussianProcess])
def test_it_finds_better_fronts_than_even_draws(policy: type[Policy]) -> None:
    found, drawn = hypervolumes(policy), hypervolumes(Random)
    print(f"{policy.__name__}: {mean(found):.1f}, even draws: {mean(drawn):.1f} dB x ms")
    assert mean(found) > mean(drawn)
    assert sum(one > other for one, other in zip(found, drawn, strict=True)) >= 7

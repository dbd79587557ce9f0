"""What every policy keeps, whichever it is: each yaml of conf/policy on each space's yaml."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from finished_studies import PSNR
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig
from real_search import ROOT
from synthetic import Search

from nas.policies.base import Policy, Question
from nas.policies.chosen import policy_of
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from trainers.base import Metric

POLICIES = sorted(path.stem for path in (ROOT / "conf" / "policy").glob("*.yaml"))
SPACES = sorted(path.stem for path in (ROOT / "conf" / "search_space").glob("*.yaml"))
SMALL = SuperResolutionSpace(
    widths=(8,), max_repeat=1, bases=("nearest",), reductions=("none",), ops=("conv",),
    kernels=(3,), activations=("relu",),
)
"""Four networks."""
REPEATING = ("optuna",)
"""What knows choices, not networks; the study sees to repeats."""


@pytest.fixture(params=POLICIES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def settings(*overrides: str) -> DictConfig:
    with initialize_config_module("conf", version_base="1.3"):
        return compose("config", list(overrides))


def made(name: str) -> Policy:
    """The policy of a yaml; each call as another process would make it."""
    return policy_of(settings(f"policy={name}"))


def space_of(name: str) -> Any:
    task = ["task=denoising"] if name == "encoder_decoder" else []
    config = settings(f"search_space={name}", *task)
    return instantiate(config.search_space, _convert_="all")


@pytest.mark.parametrize("space", SPACES)
def test_thirty_proposals_lie_in_the_space_and_none_is_known(name: str, space: str) -> None:
    search = Search(made(name), space_of(space), limit_ms=80.0).run(30)
    for known in search.known:
        drawn = draw(search.space, seed=0, wanted=known.choices)
        assert drawn.choices == known.choices
    assert len(set(search.graphs)) == 30 or name in REPEATING
    assert all(search.origins)


def test_the_same_seed_and_evidence_have_the_same_answer_and_another_seed_another(
    name: str,
) -> None:
    space = SuperResolutionSpace()
    one, same, other = (Search(made(name), space, seed=seed).run(20) for seed in (1, 1, 2))
    assert (one.graphs, one.origins) == (same.graphs, same.origins)
    assert len(set(one.graphs) & set(other.graphs)) < 4


def test_what_is_resumed_after_every_proposal_goes_on_as_if_it_had_not_been(name: str) -> None:
    space = SuperResolutionSpace()
    straight = Search(made(name), space, seed=3).run(24)
    broken = Search(made(name), space, seed=3)
    for _ in range(24):
        # Nothing is left of what the policy may have kept in memory.
        broken.policy = made(name)
        broken.step()
    assert broken.graphs == straight.graphs


@pytest.mark.parametrize("metric", [PSNR, Metric("lpips", "", "min")])
def test_small_is_as_good_as_large_to_a_policy(name: str, metric: Metric) -> None:
    """A metric that is to be small leads to what its negative leads to."""
    space = SuperResolutionSpace()
    up = Search(made(name), space, seed=4).run(20)
    assert Search(made(name), space, seed=4, metric=metric).run(20).graphs == up.graphs


def test_what_others_are_at_work_on_is_not_proposed_again(name: str) -> None:
    search = Search(made(name), SuperResolutionSpace(), seed=5).run(16)
    for _ in range(6):
        search.step(pending=True)
    assert len(set(search.graphs)) == 22 or name in REPEATING


def test_a_space_that_is_used_up_ends_no_policy(name: str) -> None:
    search = Search(made(name), SMALL).run(24)
    assert len(set(search.graphs)) == 4


def test_nothing_is_fast_enough_and_still_there_are_proposals(name: str) -> None:
    search = Search(made(name), SuperResolutionSpace(), limit_ms=0.001).run(20)
    assert {k.quality for k in search.known} == {None}


def test_a_policy_is_asked_with_nothing_known(name: str) -> None:
    question = Question(SMALL, PSNR, 50.0, 40, 0, ())
    assert made(name).propose(question).origin


def test_choices_of_a_wider_space_teach_a_narrower_one(name: str) -> None:
    wide = Search(made("random"), SuperResolutionSpace(), limit_ms=80.0).run(16)
    narrow = replace(SuperResolutionSpace(), kernels=(3,), reductions=("none",))
    question = Question(narrow, PSNR, 80.0, 16, 0, tuple(wide.known))
    search = Search(made(name), narrow)
    search.known = list(question.known)
    _, architecture = search.ask()
    assert lower(architecture).nodes
    assert {b.arg("kernel", 0) for b in architecture.blocks} == {3}

"""Optuna's samplers as policies: those of conf/sampler, and any other by its class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from finished_studies import PSNR, receipt, trained
from hydra import compose, initialize_config_module
from real_search import ROOT
from synthetic import Search, judged

import nas.study
from nas.candidate import Candidate, Rejection
from nas.evidence import PROBED, SCREENED
from nas.policies.base import Policy
from nas.policies.chosen import policy_of
from nas.policies.optuna import Optuna
from nas.spaces import own_classes
from nas.study import Study, StudyExhausted
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from tests.nas.dying_space import Dies

SPACE = SuperResolutionSpace()
FOUR = SuperResolutionSpace(
    widths=(8,), max_repeat=1, bases=("nearest",), reductions=("none",), ops=("conv",),
    kernels=(3,), activations=("relu",),
)
"""A space of four networks."""
NAMES = sorted(path.stem for path in (ROOT / "conf" / "sampler").glob("*.yaml"))
CLASSES = {
    "gp": "GPSampler", "nsga2": "NSGAIISampler", "random": "RandomSampler", "tpe": "TPESampler",
    "tpe_multivariate": "TPESampler",
}


LIMIT_MS = 80.0


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The Gaussian process's matrices are too small for several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def chosen(*arguments: str) -> Policy:
    """The policy of a command line."""
    with initialize_config_module("conf", version_base="1.3"):
        return policy_of(compose("config", own_classes(arguments)))


def early(name: str) -> Policy:
    """A sampler that has come past its even draws after a few networks."""
    least = {"nsga2": "population_size=4", "random": ""}.get(name, "n_startup_trials=4")
    return chosen(f"sampler={name}", *([f"sampler.{least}"] if least else []))


def opened(folder: Path, name: str, *, seed: int = 0) -> Study:
    """A study as another process would open it."""
    return Study(
        folder / "study.journal", name="photos", seed=seed, metric=PSNR, policy=early(name),
        limit_ms=LIMIT_MS,
    )


def told(study: Study, candidate: Candidate) -> Candidate:
    """Judge a candidate and tell the study."""
    quality, latency_ms = judged(candidate.architecture)
    candidate = candidate.having(SCREENED, receipt(latency_ms))
    if latency_ms > LIMIT_MS:
        slow = Rejection("latency_ms", "too slow", latency_ms, LIMIT_MS)
        candidate = replace(candidate, rejected=slow)
    else:
        candidate = candidate.having(PROBED, trained(quality))
    study.tell(candidate)
    return candidate


def searched(study: Study, count: int, space: Any = SPACE) -> list[Candidate]:
    return [told(study, study.next(space)) for _ in range(count)]


def ids(candidates: list[Candidate]) -> list[str]:
    return [c.architecture.id for c in candidates]


def test_a_sampler_is_named_by_its_class_in_what_it_proposes(name: str) -> None:
    assert Search(chosen(f"sampler={name}"), SPACE).run(4).origins == [CLASSES[name]] * 4


def test_the_same_seed_proposes_the_same_and_another_one_others(
    name: str, tmp_path: Path
) -> None:
    one, same, other = (
        ids(searched(opened(tmp_path / folder, name, seed=seed), 16))
        for folder, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert one == same
    assert len(set(one) & set(other)) < 4


def test_no_network_is_proposed_twice(name: str, tmp_path: Path) -> None:
    found = searched(opened(tmp_path, name), 24)
    assert len({lower(c.architecture).canonical_hash() for c in found}) == 24


def test_a_space_that_is_used_up_ends_the_search(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas.study, "_MOST_DUPLICATES", 40)
    study = opened(tmp_path, name)
    assert len(set(ids(searched(study, 4, FOUR)))) == 4
    with pytest.raises(StudyExhausted):
        study.next(FOUR)


def test_a_search_that_dies_in_every_proposal_proposes_what_it_would_have(
    name: str, tmp_path: Path
) -> None:
    straight = searched(opened(tmp_path / "straight", name), 16)
    broken = []
    for number in range(16):
        with pytest.raises(KeyboardInterrupt):
            opened(tmp_path / "broken", name).next(Dies(SPACE, number % 6))
        opened(tmp_path / "broken", name).next(SPACE)
        study = opened(tmp_path / "broken", name)
        broken.append(told(study, study.next(SPACE)))
    assert ids(broken) == ids(straight)


def test_what_is_proposed_follows_from_what_came_of_it() -> None:
    """Else all of this would hold for even draws under another name."""
    drawn = Search(chosen("sampler=random"), SPACE, limit_ms=LIMIT_MS).run(24).graphs
    for name in set(NAMES) - {"random"}:
        assert Search(early(name), SPACE, limit_ms=LIMIT_MS).run(24).graphs != drawn, name


def test_tpe_learns_what_is_within_the_limit() -> None:
    search = Search(chosen("policy=optuna"), SPACE, limit_ms=20.0).run(56)
    first, last = search.known[:10], search.known[-24:]
    slow = [sum(k.quality is None for k in part) / len(part) for part in (first, last)]
    assert slow[1] < slow[0] - 0.15


@pytest.mark.parametrize(
    "arguments",
    [
        ["sampler._target_=optuna.samplers.QMCSampler", "sampler.scramble=true"],
        ["sampler._target_=optuna.samplers.NSGAIIISampler", "sampler.population_size=4"],
        ["sampler=nsga2", "sampler.crossover._target_=optuna.samplers.nsgaii.UniformCrossover",
         "sampler.population_size=4"],
        ["sampler.multivariate=true", "sampler.group=true", "sampler.n_startup_trials=4"],
    ],
)
def test_any_sampler_and_any_setting_of_it_can_be_named(arguments: list[str]) -> None:
    straight = Search(chosen(*arguments), SPACE).run(16)
    broken = Search(chosen(*arguments), SPACE)
    for _ in range(16):
        broken.policy = chosen(*arguments)
        broken.step()
    assert broken.graphs == straight.graphs


OWN = """
import optuna

class Mine(optuna.samplers.RandomSampler):
    def __init__(self, depth: int = 1, seed: int | None = None) -> None:
        super().__init__(seed)
        assert depth == 3
"""


def test_a_sampler_of_ones_own_is_a_class_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_sampler.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    policy = chosen("sampler._target_=my_sampler.Mine", "sampler.depth=3")
    assert Search(policy, SPACE).run(3).origins == ["Mine"] * 3


def test_from_python_a_policy_is_a_class_of_optunas() -> None:
    policy = Optuna(partial(optuna.samplers.NSGAIISampler, population_size=8))
    assert Search(policy, SPACE).run(2).origins == ["NSGAIISampler"] * 2


def test_what_is_no_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="sampler is a dict, which is none of Optuna's"):
        Optuna(dict)  # type: ignore[arg-type]

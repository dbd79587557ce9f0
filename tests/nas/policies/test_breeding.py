"""Breeding from the front."""

from __future__ import annotations

from dataclasses import replace

import pytest
from finished_studies import PSNR
from synthetic import Search

from nas.policies.base import Known, Question
from nas.policies.breeding import Breeding
from nas.policies.front import front
from nas.policies.wishes import Wished
from search_spaces.draws import Choices, Draw, draw
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.vary import mutate_evenly
from search_spaces.work import gmacs

SPACE = SuperResolutionSpace()
MUTATING, GROWING = Breeding(starts=0, crossovers=0.0, grown=0.0), Breeding(starts=0, grown=1.0)


def known(seed: int, quality: float | None, latency_ms: float | None) -> Known:
    drawn = draw(SPACE, seed=seed)
    return Known(f"trial-{seed:05d}", drawn.choices, quality, latency_ms, False, graph_of(drawn))


def graph_of(drawn: Draw) -> str:
    return lower(drawn.architecture).canonical_hash()


def asked(*evidence: Known, number: int = 50) -> Question:
    return Question(SPACE, PSNR, 50.0, number, 0, evidence)


def choices_of(policy: Breeding, question: Question) -> Choices:
    sampler = policy.propose(question).sampler
    assert isinstance(sampler, Wished)
    return sampler.wanted


def changed(one: Choices, other: Choices) -> int:
    return sum(one[name] != other[name] for name in one.keys() & other.keys())


def test_it_draws_until_there_are_starts_enough_and_breeds_then() -> None:
    search = Search(Breeding(starts=8), SPACE, limit_ms=200.0).run(16)
    assert search.origins[:8] == ["random"] * 8
    assert all("trial-" in origin for origin in search.origins[8:])


def test_a_child_differs_from_a_network_of_the_front_in_one_choice() -> None:
    evidence = [known(1, 31.0, 20.0), known(2, 32.0, 40.0), known(3, 30.0, 45.0)]
    assert [k.name for k in front(asked(*evidence))] == ["trial-00001", "trial-00002"]
    parents = {f"mutation of {k.name}": k for k in evidence[:2]}
    origins = set()
    for number in range(40):
        question = asked(*evidence, number=number)
        origin = MUTATING.propose(question).origin
        assert changed(parents[origin].choices, choices_of(MUTATING, question)) == 1
        origins.add(origin)
    assert origins == set(parents)


def test_a_quarter_of_the_children_have_two_parents() -> None:
    evidence = [known(1, 31.0, 20.0), known(2, 32.0, 40.0)]
    origins = [Breeding(starts=0).propose(asked(*evidence, number=n)).origin for n in range(200)]
    crossed = [o for o in origins if o.startswith("crossover of trial-0000")]
    assert 0.15 < len(crossed) / len(origins) < 0.35


def test_while_nothing_is_within_the_limit_children_are_the_fastests() -> None:
    evidence = [known(1, None, 90.0), known(2, None, 70.0), known(3, None, None)]
    assert MUTATING.propose(asked(*evidence)).origin == "mutation of trial-00002"


def test_what_nobody_has_timed_has_no_children() -> None:
    pending = replace(known(1, None, None), pending=True)
    assert MUTATING.propose(asked(pending)).origin == "random"


def test_where_every_change_is_known_it_makes_two_and_where_all_is_known_it_draws() -> None:
    space = SuperResolutionSpace(
        widths=(8,), max_repeat=2, bases=("nearest",), reductions=("none",), ops=("conv",),
        activations=("relu",),
    )
    parent = draw(space, seed=0)
    one_change = [mutate_evenly(space, parent.choices, seed=seed) for seed in range(400)]
    anything = [draw(space, seed=seed) for seed in range(2000)]
    for others, words in ((one_change, "two mutations of trial-00000"), (anything, "random")):
        evidence = [
            Known(f"trial-{n:05d}", d.choices, quality, latency_ms, False, graph_of(d))
            for n, (d, quality, latency_ms) in enumerate(
                [(parent, 31.0, 20.0), *((d, None, 60.0) for d in others)]
            )
        ]
        question = Question(space, PSNR, 50.0, 500, 0, evidence)
        assert MUTATING.propose(question).origin == words


def test_where_there_is_room_mutants_grow_and_near_the_limit_they_need_not() -> None:
    parent = known(4, 31.0, 10.0)
    before = gmacs(lower(draw(SPACE, seed=4).architecture), 64, 64)

    def grown(latency_ms: float) -> list[bool]:
        found = []
        for number in range(30):
            question = asked(replace(parent, latency_ms=latency_ms), number=number)
            child = draw(SPACE, seed=0, wanted=choices_of(GROWING, question))
            found.append(gmacs(lower(child.architecture), 64, 64) > before)
        return found

    assert all(grown(10.0))
    assert not all(grown(49.0))


@pytest.mark.parametrize("field", ["crossovers", "grown"])
def test_a_share_that_is_none_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"policy.{field} is 1.5: use 0 to 1"):
        Breeding(**{field: 1.5})  # type: ignore[arg-type]

"""Mutation and crossover of choices."""

from __future__ import annotations

import pytest
from toy_spaces import PROPOSALS, Toy

from search_spaces.draws import draw
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.vary import NothingToVary, crossover, mutate, mutate_evenly

SPACE = SuperResolutionSpace()
FORKED = Toy(PROPOSALS["forked"][0])


def test_a_mutation_changes_one_choice_and_keeps_every_other_that_still_stands() -> None:
    for seed in range(200):
        parent = draw(SPACE, seed=seed).choices
        child = mutate(SPACE, parent, seed=seed).choices
        both = parent.keys() & child.keys()
        assert sum(parent[name] != child[name] for name in both) == 1


def test_a_mutation_draws_what_its_change_asks_for_and_drops_what_it_makes_pointless() -> None:
    small, large = {"kind": "small", "last": True}, {"kind": "large", "depth": 2, "width": 8}
    grown = [mutate(FORKED, small, seed=seed).choices for seed in range(40)]
    assert any(c["kind"] == "large" and c["depth"] in range(1, 6) for c in grown)
    shrunk = [mutate(FORKED, large, seed=seed).choices for seed in range(40)]
    assert any(c["kind"] != "large" for c in shrunk)
    assert all(("depth" in c) == (c["kind"] == "large") for c in grown + shrunk)


def test_every_choice_is_mutated_sooner_or_later_and_to_every_option() -> None:
    parent = {"kind": "large", "depth": 1, "width": 8, "last": False}
    children = [mutate(FORKED, parent, seed=seed).choices for seed in range(200)]
    found = {(n, c[n]) for c in children for n in c if c[n] != parent[n]}
    assert found == {
        ("kind", "small"), ("kind", "none"), ("width", 16), ("last", True),
        ("depth", 2), ("depth", 3), ("depth", 4), ("depth", 5),
    }


def test_the_same_seed_varies_alike() -> None:
    one, other = draw(SPACE, seed=1).choices, draw(SPACE, seed=2).choices
    assert mutate(SPACE, one, seed=7) == mutate(SPACE, one, seed=7)
    assert crossover(SPACE, one, other, seed=7) == crossover(SPACE, one, other, seed=7)


def test_a_crossover_has_every_choice_from_a_parent_that_made_it() -> None:
    for seed in range(200):
        one, other = draw(SPACE, seed=seed).choices, draw(SPACE, seed=seed + 500).choices
        child = crossover(SPACE, one, other, seed=seed).choices
        for name, value in child.items():
            known = [parent[name] for parent in (one, other) if name in parent]
            assert not known or value in known


def test_a_crossover_takes_from_both_parents() -> None:
    one, other = {"a": 1, "b": "x"}, {"a": 2, "b": "y"}
    toy = Toy(PROPOSALS["flat"][0])
    children = {tuple(crossover(toy, one, other, seed=s).choices.values()) for s in range(60)}
    assert children == {(1, "x"), (1, "y"), (2, "x"), (2, "y")}


def test_a_crossover_of_equal_parents_is_the_parent() -> None:
    parent = draw(SPACE, seed=5)
    assert crossover(SPACE, parent.choices, parent.choices, seed=0) == parent


def test_choices_of_a_wider_space_come_out_inside_the_narrower_one() -> None:
    narrow = SuperResolutionSpace(kernels=(3,), widths=(8, 16), reductions=("none",))
    for seed in range(50):
        wide = draw(SPACE, seed=seed).choices
        child = mutate(narrow, wide, seed=seed)
        assert {b.channels for b in child.architecture.blocks} <= {8, 16}
        assert {b.arg("kernel", 0) for b in child.architecture.blocks} == {3}


def test_a_space_of_one_network_cannot_be_varied() -> None:
    single = Toy(lambda c: c.suggest_categorical("only", ["one"]))
    with pytest.raises(NothingToVary, match="widen it"):
        mutate(single, {}, seed=0)


def test_a_number_goes_up_as_often_as_down() -> None:
    parent = {"kind": "large", "depth": 4, "width": 8, "last": False}
    children = [mutate_evenly(FORKED, parent, seed=seed).choices for seed in range(600)]
    depths = [c["depth"] for c in children if c.get("depth", 4) != 4]
    assert set(depths) == {1, 2, 3, 5}
    assert 0.4 < sum(depth > 4 for depth in depths) / len(depths) < 0.6
    highest = {**parent, "depth": 5}
    lower = [mutate_evenly(FORKED, highest, seed=seed).choices for seed in range(300)]
    assert {c["depth"] for c in lower if "depth" in c} == {1, 2, 3, 4, 5}

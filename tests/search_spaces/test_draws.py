"""Drawing from a space without a sampler."""

from __future__ import annotations

import pytest
from toy_spaces import PROPOSALS, Toy

from search_spaces.base import Chooser
from search_spaces.draws import draw
from search_spaces.super_resolution import SuperResolutionSpace

SPACE = SuperResolutionSpace()


def test_the_same_seed_draws_the_same_network_and_others_draw_others() -> None:
    drawn = [draw(SPACE, seed=seed) for seed in range(30)]
    assert [draw(SPACE, seed=seed) for seed in range(30)] == drawn
    assert len({d.architecture.id for d in drawn}) == 30


def test_choices_that_are_wanted_again_give_the_same_network() -> None:
    for seed in range(50):
        first = draw(SPACE, seed=seed)
        assert draw(SPACE, seed=seed + 1000, wanted=first.choices) == first


def test_what_is_not_offered_is_drawn_instead() -> None:
    drawn = draw(SPACE, seed=0, wanted={"activation": "tanh", "repeat_2": 0, "unheard_of": 1})
    assert drawn.choices["activation"] in SPACE.activations
    assert drawn.choices["repeat_2"] == 0
    assert "unheard_of" not in drawn.choices


def test_one_changed_choice_leaves_the_others_as_they_were() -> None:
    before = draw(SPACE, seed=3, wanted={"activation": "relu"})
    after = draw(SPACE, seed=3, wanted={"activation": "prelu"})
    assert {**after.choices, "activation": "relu"} == before.choices


def test_every_option_is_drawn_about_equally_often() -> None:
    toy = Toy(PROPOSALS["flat"][0])
    drawn = [draw(toy, seed=seed).choices["a"] for seed in range(600)]
    for option in (1, 2, 3):
        assert 150 < drawn.count(option) < 250


def test_a_space_that_offers_nothing_is_told_which_choice() -> None:
    with pytest.raises(ValueError, match="offers nothing for 'width'"):
        draw(Toy(lambda c: c.suggest_categorical("width", [])), seed=0)


def test_one_name_for_two_sets_of_choices_is_refused() -> None:
    def twice(c: Chooser) -> None:
        c.suggest_categorical("width", [8, 16])
        c.suggest_categorical("width", [8, 24])

    with pytest.raises(ValueError, match="'width' twice with different choices"):
        draw(Toy(twice), seed=0)


def test_a_choice_is_given_as_the_space_offered_it_and_not_as_it_was_stored() -> None:
    """JSON and samplers hand back 1 for True: the space must see what it offered."""
    toy = Toy(lambda c: c.suggest_categorical("skip", [False, True]))
    assert draw(toy, seed=0, wanted={"skip": 1}).choices["skip"] is True

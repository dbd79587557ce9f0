"""How many choices a space holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toy_spaces import PROPOSALS, Toy

import search_spaces.count as count
from search_spaces.base import Chooser, SearchSpace
from search_spaces.count import Size, estimated, size
from search_spaces.super_resolution import SuperResolutionSpace


@pytest.mark.parametrize("name", PROPOSALS)
def test_the_leaves_of_a_tree_are_counted(name: str) -> None:
    proposal, leaves = PROPOSALS[name]
    assert size(Toy(proposal)) == Size(leaves, exact=True)


@pytest.mark.parametrize("name", PROPOSALS)
def test_the_estimate_from_random_proposals_is_near_the_count(name: str) -> None:
    proposal, leaves = PROPOSALS[name]
    value, error = estimated(Toy(proposal))
    assert abs(value - leaves) <= 5 * error


def test_the_default_space_of_upscalers_has_the_size_that_arithmetic_gives() -> None:
    space = SuperResolutionSpace()

    def part(widths: int) -> int:
        kinds = len(space.ops) * len(space.kernels)
        shared = len(space.activations) * len(space.kernels) * len(space.bases)
        group = space.max_repeat * kinds * widths
        # The skip connection is asked for where the last width is the stem's.
        with_one_group = widths * space.max_repeat * kinds * (widths + 1)
        with_two_groups = widths * group * space.max_repeat * kinds * (widths + 1)
        return shared * (with_one_group + with_two_groups)

    expected = part(len(space.widths)) + 4 * part(len(space.reduced_widths))
    assert size(space) == Size(expected, exact=True)


def test_independent_choices_are_counted_without_walking_them() -> None:
    def many(c: Chooser) -> None:
        for index in range(20):
            c.suggest_int(f"n{index}", 1, 10)

    assert size(Toy(many)) == Size(10**20, exact=True)


def test_a_space_with_too_many_different_subtrees_is_estimated_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(count, "_MOST_REPLAYS", 50)
    found = size(SuperResolutionSpace())
    exact = size(replace(SuperResolutionSpace(), reductions=("none",)))
    assert not found.exact
    assert 0 < found.relative_error < 0.05
    assert "estimated" in str(found)
    assert not exact.exact


def test_influences_that_were_missed_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that contradicts the estimate is not given as exact."""
    def deaf(space: SearchSpace, tries: int) -> count._Bearings:
        names = ("kind", "depth", "width", "last")
        return count._Bearings({name: set() for name in names}, {})

    monkeypatch.setattr(count, "_bearings", deaf)
    assert not size(Toy(PROPOSALS["forked"][0])).exact


def test_a_size_is_read_with_its_thousands() -> None:
    assert str(Size(5_606_400, exact=True)) == "5,606,400"
    assert str(Size(123_456, exact=False, relative_error=0.02)).startswith("about 1.2e+05 (+-2%")

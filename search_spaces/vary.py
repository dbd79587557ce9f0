"""Mutation and crossover of choices, in any space: what comes out is inside it.

Both replay choices through the space's own `propose`. So they know nothing of what is proposed,
and a choice that one change makes necessary is drawn, one that it makes pointless is dropped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.base import SearchSpace
from search_spaces.draws import Choices, Draw, draw


class NothingToVary(ValueError):
    """The space holds one single network along these choices."""


def mutate(space: SearchSpace, parent: Choices, *, seed: int) -> Draw:
    """Change exactly one choice of the parent to another one that the space offers.

    Choices that stand only because of the old value go; those that the new one asks for are
    drawn. Choices of the parent that the space does not offer are drawn first.

    Raises:
        NothingToVary: no choice has a second option.
    """
    return _changed(space, parent, seed=seed, pick=_any_other)


def mutate_evenly(space: SearchSpace, parent: Choices, *, seed: int) -> Draw:
    """As `mutate`, but a number is as likely to go up as down, wherever it stands.

    Among all other numbers most lie towards the middle, so that what has grown shrinks again: of
    three blocks out of one to four, two times in three.

    Raises:
        NothingToVary: no choice has a second option.
    """
    return _changed(space, parent, seed=seed, pick=_up_or_down)


def _changed(
    space: SearchSpace,
    parent: Choices,
    *,
    seed: int,
    pick: Callable[[random.Random, Any, list[Any]], Any],
) -> Draw:
    chooser = random.Random(f"mutate {seed}")
    before = draw(space, seed=seed, wanted=parent)
    free = sorted(name for name, options in before.offered.items() if len(options) > 1)
    if not free:
        raise NothingToVary("every choice of this space has one option: widen it to vary it")
    name = chooser.choice(free)
    old = before.choices[name]
    others = [option for option in before.offered[name] if option != old]
    return draw(space, seed=seed, wanted={**before.choices, name: pick(chooser, old, others)})


def _any_other(chooser: random.Random, old: Any, others: list[Any]) -> Any:
    return chooser.choice(others)


def _up_or_down(chooser: random.Random, old: Any, others: list[Any]) -> Any:
    if all(isinstance(value, int | float) for value in (old, *others)):
        sides = [[v for v in others if v > old], [v for v in others if v < old]]
        others = chooser.choice([side for side in sides if side])
    return chooser.choice(others)


def crossover(space: SearchSpace, one: Choices, other: Choices, *, seed: int) -> Draw:
    """Take every choice from one of two parents, by an even coin where both have made it.

    A choice that neither parent made, because it stands only in the mixture, is drawn.
    """
    coin = random.Random(f"crossover {seed}")
    mixed: dict[str, Any] = {}
    for name in sorted({*one, *other}):
        parents: list[Mapping[str, Any]] = [p for p in (one, other) if name in p]
        mixed[name] = coin.choice(parents)[name]
    return draw(space, seed=seed, wanted=mixed)

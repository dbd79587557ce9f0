"""Mutation and crossover of choices, in any space: what comes out is inside it.

Both replay choices through the space's own `propose`. So they know nothing of what is proposed,
and a choice that one change makes necessary is drawn, one that it makes pointless is dropped.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
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
    chooser = random.Random(f"mutate {seed}")
    before = draw(space, seed=seed, wanted=parent)
    free = sorted(name for name, options in before.offered.items() if len(options) > 1)
    if not free:
        raise NothingToVary("every choice of this space has one option: widen it to vary it")
    name = chooser.choice(free)
    others = [option for option in before.offered[name] if option != before.choices[name]]
    return draw(space, seed=seed, wanted={**before.choices, name: chooser.choice(others)})


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

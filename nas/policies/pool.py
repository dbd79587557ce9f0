"""What might be proposed, with its features: even draws, and children of the front."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nas.policies.base import Known, Question, seed_of
from nas.policies.front import parents
from search_spaces.base import InvalidArchitecture, SearchSpace
from search_spaces.draws import Choices, Draw, draw
from search_spaces.features import features
from search_spaces.graph import Graph
from search_spaces.skeletons import lower
from search_spaces.vary import NothingToVary, crossover, mutate_evenly

_MOVE_EVERY = 8
_CROSSED = 32


@dataclass(frozen=True)
class Entry:
    """A network that might be proposed.

    Attributes:
        row: its features, (F,); None where they cannot be counted.
    """

    draw: Draw
    row: NDArray[np.float64] | None


class Pool:
    """Even draws, mutants of each network on the front, crossovers of its neighbours.

    What is in it follows from the seed, the trial's number and the front; it moves on slowly with
    the number. What was computed is kept, so that little of it is new each time.
    """

    def __init__(self, *, drawn: int, mutants: int) -> None:
        """Make an empty one.

        Args:
            drawn: how many even draws it holds.
            mutants: how many, divided among the networks on the front.
        """
        self._drawn, self._mutants = drawn, mutants
        self._space: SearchSpace | None = None
        self._entries: dict[tuple[object, ...], Entry] = {}

    def now(self, question: Question) -> list[Entry]:
        """Those that may be proposed now; without what was, and without what has no features.

        Some have a Graph that was proposed by other choices; that is too slow to look at here.
        """
        seen = {_key(known.choices) for known in question.known}
        found: dict[tuple[object, ...], Entry] = {}
        for entry in self._offered(question):
            key = _key(entry.draw.choices)
            if entry.row is not None and key not in seen:
                found.setdefault(key, entry)
        return list(found.values())

    def of(self, space: SearchSpace, known: Known) -> Entry:
        """The network of a proposal."""
        key = ("known", *_key(known.choices))
        return self._entry(space, key, partial(draw, space, seed=0, wanted=known.choices))

    def _offered(self, question: Question) -> Iterator[Entry]:
        space, best = question.space, parents(question)
        moved = question.number // _MOVE_EVERY
        each = -(-self._mutants // max(1, len(best)))
        each_pair = -(-_CROSSED // max(1, len(best) - 1))
        for n in range(question.number, question.number + self._drawn):
            seed = seed_of(question.seed, n, "pool")
            yield self._entry(space, ("drawn", seed), partial(draw, space, seed=seed))
        with suppress(NothingToVary):
            for one in best:
                for n in range(moved, moved + each):
                    seed = seed_of(question.seed, n, one.name)
                    make = partial(mutate_evenly, space, one.choices, seed=seed)
                    yield self._entry(space, ("mutant", seed, *_key(one.choices)), make)
        for one, other in pairwise(best):
            for n in range(moved, moved + each_pair):
                seed = seed_of(question.seed, n, one.name, other.name)
                make = partial(crossover, space, one.choices, other.choices, seed=seed)
                key = ("crossed", seed, *_key(one.choices), *_key(other.choices))
                yield self._entry(space, key, make)

    def _entry(
        self, space: SearchSpace, key: tuple[object, ...], make: Callable[[], Draw]
    ) -> Entry:
        if space is not self._space:
            self._space = space
            self._entries.clear()
        if key not in self._entries:
            drawn = make()
            self._entries[key] = Entry(drawn, _row(lower(drawn.architecture)))
        return self._entries[key]


def _key(choices: Choices) -> tuple[object, ...]:
    return tuple(sorted(choices.items()))


def _row(graph: Graph) -> NDArray[np.float64] | None:
    try:
        return np.array(list(features(graph).values()))
    except InvalidArchitecture:
        return None

"""Breeding from the front: small changes of the best that is known."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nas.policies.base import MOST, Known, Proposal, Question, seed_of
from nas.policies.front import parents
from nas.policies.wishes import Child, even, first_new, wish
from search_spaces.base import InvalidArchitecture, SearchSpace
from search_spaces.draws import Draw, draw
from search_spaces.features import SIDE
from search_spaces.skeletons import lower
from search_spaces.vary import NothingToVary, crossover, mutate_evenly
from search_spaces.work import work_of

_ROOM = 0.75
"""Share of the limit under which a parent has room to grow."""
_TRIES, _LITTER = 16, 6


@dataclass(frozen=True)
class Breeding:
    """A start at random, then children of the networks on the front.

    A child differs from its parent in one choice, or mixes two parents. Which of the parents
    has it is drawn evenly, so that the whole front goes on, not its best end alone.

    Small networks have many small neighbours: most changes of a network make it no larger, and
    what wins under a limit comes close to it. So where a parent is far below the limit, some of
    its children are taken from those with more work than it has. While nothing is within the
    limit, children are those of the fastest known.

    Attributes:
        starts: networks before the first child, the space's own starting points among them.
        crossovers: share of the children that mix two parents.
        grown: share of the mutants that have to be larger than their parent, where there is room.
    """

    starts: int = 12
    crossovers: float = 0.25
    grown: float = 0.25

    def __post_init__(self) -> None:
        """Refuse shares that are none.

        Raises:
            ValueError: a field is out of its range; the message names it.
        """
        if not 0 <= self.starts <= MOST:
            raise ValueError(f"policy.starts is {self.starts}: use 0 to {MOST}")
        for name in ("crossovers", "grown"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"policy.{name} is {getattr(self, name)}: use 0 to 1")

    def propose(self, question: Question) -> Proposal:
        """A child that is not known yet: of one change, else of two, else an even draw."""
        chosen = parents(question)
        if len(question.known) < self.starts or not chosen:
            return even(question)
        dice = random.Random(seed_of(question.seed, question.number, "breeding"))
        try:
            child = first_new(question, self._children(question, chosen, dice))
        except NothingToVary:
            return even(question)
        return even(question) if child is None else wish(question, child)

    def _children(
        self, question: Question, chosen: Sequence[Known], dice: random.Random
    ) -> Iterator[Child]:
        if len(chosen) > 1 and dice.random() < self.crossovers:
            for _ in range(_TRIES):
                one, other = dice.sample(chosen, 2)
                mixed = crossover(
                    question.space, one.choices, other.choices, seed=dice.getrandbits(32)
                )
                yield Child(mixed, f"crossover of {one.name} and {other.name}")
        for words, changes in (("mutation", 1), ("two mutations", 2)):
            for _ in range(_TRIES):
                parent = dice.choice(chosen)
                grows = dice.random() < self.grown and _has_room(parent, question.limit_ms)
                for mutant in _mutants(question.space, parent, changes=changes, dice=dice):
                    if not grows or _work(mutant) > _work_of(question.space, parent):
                        yield Child(mutant, f"{words} of {parent.name}")
                        break


def _has_room(parent: Known, limit_ms: float) -> bool:
    return parent.latency_ms is not None and parent.latency_ms < _ROOM * limit_ms


def _mutants(
    space: SearchSpace, parent: Known, *, changes: int, dice: random.Random
) -> Iterator[Draw]:
    for _ in range(_LITTER):
        mutant = mutate_evenly(space, parent.choices, seed=dice.getrandbits(32))
        for _ in range(changes - 1):
            mutant = mutate_evenly(space, mutant.choices, seed=dice.getrandbits(32))
        yield mutant


def _work_of(space: SearchSpace, parent: Known) -> int:
    return _work(draw(space, seed=0, wanted=parent.choices))


def _work(drawn: Draw) -> int:
    """Multiply-adds; 0 for a network that only takes pictures of other sizes."""
    try:
        return sum(w.macs for w in work_of(lower(drawn.architecture), SIDE, SIDE))
    except InvalidArchitecture:
        return 0

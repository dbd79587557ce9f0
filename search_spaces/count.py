"""How many different choices a space holds, counted for any `propose`.

The choices of a space are a tree: each answer decides what is asked next. Its leaves are counted
without walking all of them, because most answers change nothing about the later questions. Which
ones do is found out by trying; then equal subtrees are counted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from statistics import fmean, stdev
from typing import Any

from search_spaces.base import Chooser, SearchSpace
from search_spaces.draws import Draw, draw

_TRIES = 300
_ESTIMATES = 2_000
_MOST_REPLAYS = 200_000
_SIGMAS = 5.0


@dataclass(frozen=True)
class Size:
    """The number of different sets of choices; a few of them give the same network.

    Attributes:
        exact: whether all were counted, or estimated from random proposals.
        relative_error: standard error of the estimate over its value; 0 when exact.
    """

    choices: int
    exact: bool
    relative_error: float = 0.0

    def __str__(self) -> str:
        """In words, with an estimate called so."""
        if self.exact:
            return f"{self.choices:,}"
        return f"about {self.choices:.2g} (+-{self.relative_error:.0%}, estimated)"


def size(space: SearchSpace) -> Size:
    """Count the choices of a space; estimate them where there are too many different subtrees.

    The count rests on which answers influence which questions, and that is learned from a few
    hundred random proposals. So it is held against an independent estimate and given as exact
    only if the two agree.
    """
    estimate, error = estimated(space)
    for tries in (_TRIES, 8 * _TRIES):
        try:
            exact = _Counting(space, _bearings(space, tries)).count()
        except _TooMany:
            break
        if abs(exact - estimate) <= _SIGMAS * error + 1e-9 * exact:
            return Size(exact, True)
    return Size(round(estimate), False, error / estimate)


def estimated(space: SearchSpace) -> tuple[float, float]:
    """The number of leaves and its standard error, from random proposals.

    The product of the numbers of options along a random path has that expectation: Knuth,
    "Estimating the efficiency of backtrack programs", Mathematics of Computation 29, 1975.
    """
    products = [
        float(prod(len(options) for options in draw(space, seed=seed).offered.values()))
        for seed in range(_ESTIMATES)
    ]
    return fmean(products), stdev(products) / len(products) ** 0.5


@dataclass(frozen=True)
class _Bearings:
    """How the questions of a space bear on each other, as far as it was tried.

    Attributes:
        influences: for each choice the questions that come, go or change when it alone changes.
        follows: for each question those that have come after it.
    """

    influences: Mapping[str, set[str]]
    follows: Mapping[str, set[str]]

    def open(self, name: str, question: str) -> bool:
        """Whether an answer may still decide something at this question or after it."""
        to_come = self.follows.get(question, set()) | {question}
        return not to_come.isdisjoint(self.influences.get(name, to_come))

    def is_free(self, name: str) -> bool:
        """Whether the answer decides nothing."""
        return self.influences.get(name) == set()


def _bearings(space: SearchSpace, tries: int) -> _Bearings:
    """Draw proposals, and change each of their choices once."""
    influences: dict[str, set[str]] = defaultdict(set)
    follows: dict[str, set[str]] = defaultdict(set)
    for seed in range(tries):
        before = draw(space, seed=seed)
        _note_order(before, follows)
        for name, options in before.offered.items():
            at = options.index(before.choices[name])
            other = options[(at + 1 + seed % max(1, len(options) - 1)) % len(options)]
            after = draw(space, seed=seed, wanted={**before.choices, name: other})
            influences[name] |= {
                question
                for question in {*before.offered, *after.offered}
                if before.offered.get(question) != after.offered.get(question)
            }
            if influences[name]:
                _note_order(after, follows)
    return _Bearings(influences, follows)


def _note_order(drawn: Draw, follows: dict[str, set[str]]) -> None:
    later: set[str] = set()
    for name in reversed(list(drawn.offered)):
        follows[name] |= later
        later.add(name)


class _TooMany(Exception):
    """The space has too many different subtrees to be counted."""


class _Question(Exception):
    """A space has asked what is not answered yet."""

    def __init__(self, name: str, options: tuple[Any, ...]) -> None:
        super().__init__(name)
        self.name, self.options = name, options


class _Answers(Chooser):
    """Gives the answers so far and stops at the first question without one."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if name not in self._answers:
            raise _Question(name, tuple(choices))
        return self._answers[name]


class _Counting:
    """Counts leaves; equal subtrees once.

    What follows a question depends only on the answers that may still decide something.
    """

    def __init__(self, space: SearchSpace, bearings: _Bearings) -> None:
        self._space = space
        self._bearings = bearings
        self._known: dict[object, int] = {}
        self._replays = 0

    def count(self, answers: Mapping[str, Any] | None = None) -> int:
        answers = answers or {}
        question = self._next(answers)
        if question is None:
            return 1
        live = frozenset(
            (name, repr(value))
            for name, value in answers.items()
            if self._bearings.open(name, question.name)
        )
        key = (question.name, question.options, live)
        if key not in self._known:
            self._known[key] = self._branches(answers, question)
        return self._known[key]

    def _branches(self, answers: Mapping[str, Any], question: _Question) -> int:
        if self._bearings.is_free(question.name):
            first = {**answers, question.name: question.options[0]}
            return len(question.options) * self.count(first)
        return sum(self.count({**answers, question.name: o}) for o in question.options)

    def _next(self, answers: Mapping[str, Any]) -> _Question | None:
        self._replays += 1
        if self._replays > _MOST_REPLAYS:
            raise _TooMany
        try:
            self._space.propose(_Answers(answers))
        except _Question as question:
            return question
        return None

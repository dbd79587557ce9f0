"""Small spaces whose trees can be walked whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Chooser, SearchSpace

Proposal = Callable[[Chooser], object]


class Toy(SearchSpace):
    """A space of one function; its networks do not matter."""

    start: Sequence[Mapping[str, Any]] = ()

    def __init__(self, proposal: Proposal) -> None:
        self._proposal = proposal

    def propose(self, chooser: Chooser) -> Architecture:
        self._proposal(chooser)
        return Architecture("upscaler", one_to_one(3, 3, 2), (BlockSpec.of("conv", 8),))


def flat(c: Chooser) -> None:
    c.suggest_int("a", 1, 3)
    c.suggest_categorical("b", ["x", "y"])


def forked(c: Chooser) -> None:
    if c.suggest_categorical("kind", ["small", "large", "none"]) == "large":
        c.suggest_int("depth", 1, 5)
        c.suggest_categorical("width", [8, 16])
    c.suggest_categorical("last", [False, True])


def met(c: Chooser) -> None:
    """A question that two answers ask for together."""
    one = c.suggest_categorical("one", [8, 16, 24])
    between = c.suggest_categorical("between", [1, 2])
    other = c.suggest_categorical("other", [8, 16, 24, 32])
    if one == other and between == 2:
        c.suggest_categorical("join", ["add", "concat", "none"])


def counted(c: Chooser) -> None:
    """As many questions as the first answer says."""
    for index in range(c.suggest_int("stages", 0, 4)):
        if c.suggest_categorical(f"kind_{index}", ["a", "b", "c"]) == "c":
            c.suggest_int(f"more_{index}", 0, 1)


def renamed(c: Chooser) -> None:
    """The same question under another name."""
    half = c.suggest_categorical("half", [False, True])
    c.suggest_categorical("width_half" if half else "width_full", [8, 16, 24] if half else [8, 16])
    c.suggest_categorical("end", [1, 2, 3])


PROPOSALS: dict[str, tuple[Proposal, int]] = {
    "flat": (flat, 6),
    "forked": (forked, 2 * (1 + 10 + 1)),
    "met": (met, 3 * 2 * 4 + 3 * 2),
    "counted": (counted, 1 + 4 + 16 + 64 + 256),
    "renamed": (renamed, (2 + 3) * 3),
}
"""Each with its number of leaves, counted by hand."""

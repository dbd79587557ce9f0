"""Drawing from a space without a sampler: seeded, or along choices that were made before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.base import Architecture, Chooser, SearchSpace

Choices = Mapping[str, Any]
"""What was chosen, by name; as in `Candidate.parameters`."""


@dataclass(frozen=True)
class Draw:
    """One architecture and how it came about.

    Attributes:
        choices: what was chosen, in the order in which the space asked.
        offered: what each of them was chosen from.
    """

    architecture: Architecture
    choices: Choices
    offered: Mapping[str, tuple[Any, ...]]


def draw(space: SearchSpace, *, seed: int, wanted: Choices | None = None) -> Draw:
    """Draw one architecture, evenly in every choice.

    Args:
        seed: of what is drawn. A name is drawn by the seed and the name alone, so that one
            changed choice leaves the others as they were.
        wanted: choices to take where they are offered; what is not offered is drawn instead.
    """
    chooser = SeededChooser(seed, wanted or {})
    return Draw(space.propose(chooser), chooser.choices, chooser.offered)


class SeededChooser(Chooser):
    """Takes what is wanted where that is offered, and draws the rest; keeps a record.

    Attributes:
        choices: what was chosen so far.
        offered: what each of them was chosen from.
    """

    def __init__(self, seed: int, wanted: Choices) -> None:
        self._seed = seed
        self._wanted = wanted
        self.choices: dict[str, Any] = {}
        self.offered: dict[str, tuple[Any, ...]] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer from low to high, both included."""
        return int(self.suggest_categorical(name, range(low, high + 1, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices; a name that is asked for again has its first answer.

        Raises:
            ValueError: there is nothing to choose from, or the name stood for other choices.
        """
        options = tuple(choices)
        if not options:
            raise ValueError(f"the space offers nothing for '{name}': give at least one choice")
        if self.offered.setdefault(name, options) != options:
            raise ValueError(
                f"the space asks for '{name}' twice with different choices ({self.offered[name]} "
                f"and {options}): give them two names"
            )
        if name not in self.choices:
            self.choices[name] = self._answer(name, options)
        return self.choices[name]

    def _answer(self, name: str, options: tuple[Any, ...]) -> Any:
        if name in self._wanted and self._wanted[name] in options:
            return options[options.index(self._wanted[name])]
        digest = hashlib.sha256(f"{self._seed} {name}".encode()).digest()
        return options[int.from_bytes(digest[:8], "big") % len(options)]

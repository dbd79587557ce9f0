"""A space in which a search dies half way through a proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.base import Architecture, Chooser, SearchSpace


@dataclass
class Dies:
    """A space that is interrupted after so many choices, once."""

    inner: SearchSpace
    choices: int
    start: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def propose(self, chooser: Chooser) -> Architecture:
        return self.inner.propose(_Counting(chooser, self))


@dataclass
class _Counting:
    chooser: Chooser
    space: Dies

    def _count(self) -> None:
        if self.space.choices == 0:
            raise KeyboardInterrupt
        self.space.choices -= 1

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self._count()
        return self.chooser.suggest_int(name, low, high, step=step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._count()
        return self.chooser.suggest_categorical(name, choices)

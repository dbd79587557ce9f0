"""Choosers that need no sampler, and architectures drawn by them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.base import Architecture, SearchSpace
from search_spaces.super_resolution import SuperResolutionSpace


class SeededChooser:
    """Draws every choice evenly, and keeps what it was offered and what it drew."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.drawn: dict[str, Any] = {}
        self.offered: dict[str, list[Any]] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self._choose(name, list(range(low, high + 1, step))))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._choose(name, list(choices))

    def _choose(self, name: str, choices: list[Any]) -> Any:
        assert name not in self.drawn, f"{name} is asked for twice"
        self.offered[name] = choices
        self.drawn[name] = self._random.choice(choices)
        return self.drawn[name]


class Replay:
    """Answers as another chooser did."""

    def __init__(self, drawn: Mapping[str, Any]) -> None:
        self._drawn = drawn

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self._drawn[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._drawn[name]


def draw(seed: int, space: SearchSpace | None = None) -> Architecture:
    """The architecture of this seed."""
    return (space or SuperResolutionSpace()).propose(SeededChooser(seed))

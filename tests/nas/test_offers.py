"""What a space may offer, and that an edited one is found out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.offers import OFFERS, InvalidSpace, require_same
from nas.spaces import check_space
from nas.target import Target
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Chooser

TASK: Any = SimpleNamespace(signature=one_to_one(3, 3, 2), crop=32)
TARGET = Target(height=64, width=96)


class Space:
    """A space whose width is chosen so."""

    start = ()

    def __init__(self, width: Callable[[Any], Any]) -> None:
        self._width = width

    def propose(self, chooser: Chooser) -> Architecture:
        blocks = (BlockSpec.of("conv", self._width(chooser)),)
        return Architecture("upscaler", one_to_one(3, 3, 2), blocks)


def offers(width: Callable[[Any], Any]) -> dict[str, Any]:
    return check_space(Space(width), TASK, TARGET)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (lambda c: c.suggest_categorical("w", [(8, 1), (16, 1)])[0], r"1\) \(tuple\) for 'w'"),
        (lambda c: int(c.suggest_categorical("w", list(np.arange(8, 33, 8)))), "give int"),
        (lambda c: int(c.suggest_categorical("w", np.float32([8, 16]))), "numpy float32"),
        (lambda c: 8 * round(c.suggest_float("w", 1, 4)), "has suggest_int and suggest_categ"),
        (lambda c: c.suggest_int("w", 8.0, 16), "limit 8.0 .float.: use int"),
        (lambda c: c.suggest_int("w", np.int64(8), 16), "numpy int64"),
        (lambda c: c.suggest_int("w", 16, 8), "offers nothing for 'w'"),
        (lambda c: c.suggest_categorical("w", []), "offers nothing for 'w'"),
        (
            lambda c: c.suggest_categorical("w", [8, 16] if c.suggest_int("d", 0, 1) else [8]),
            "one name, one set of choices",
        ),
    ],
)
def test_choices_that_a_study_cannot_keep_are_refused_before_anything_is_timed(
    width: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises(InvalidSpace, match=words):
        offers(width)


def test_names_numbers_and_truth_values_may_be_offered() -> None:
    def width(c: Any) -> int:
        factor = c.suggest_categorical("f", [0.5, 1.0, 2.0])
        wide = c.suggest_categorical("wide", [False, True])
        extra = {"a": 0, "b": 8}[c.suggest_categorical("name", ["a", "b"])]
        return int(16 * factor) + 8 * wide + extra + c.suggest_int("d", 0, 8, step=4)

    assert offers(width)["choices"] == {
        "f": [0.5, 1.0, 2.0], "wide": [False, True], "name": ["a", "b"],
        "d": ["0 to 8 in steps of 4"],
    }


def test_an_exception_of_the_spaces_own_code_is_told_with_its_line() -> None:
    def width(c: Any) -> Any:
        return {16: 8}[c.suggest_categorical("w", [32])]

    with pytest.raises(ValueError, match=r"Space failed: KeyError: 32 \(test_offers.py, line \d+"):
        offers(width)


def kept(folder: Path, found: dict[str, Any]) -> None:
    (folder / "settings.json").write_text(json.dumps({OFFERS: found}))


def test_the_same_space_carries_its_study_on(tmp_path: Path) -> None:
    found = offers(lambda c: c.suggest_categorical("w", [8, 16]))
    require_same(tmp_path, found)
    kept(tmp_path, found)
    require_same(tmp_path, offers(lambda c: c.suggest_categorical("w", [8, 16])))


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        (lambda c: c.suggest_categorical("w", [8, 16, 24]), "'w' was 8, 16, now 8, 16, 24"),
        (lambda c: 8 * c.suggest_int("n", 1, 2), "'w' was 8, 16, now not asked for; 'n' was not"),
        (lambda c: c.suggest_categorical("w", [8, 16]) + 8, "the same choices give other netw"),
    ],
)
def test_an_edited_space_says_what_changed(
    tmp_path: Path, edited: Callable[[Any], Any], words: str
) -> None:
    kept(tmp_path, offers(lambda c: c.suggest_categorical("w", [8, 16])))
    with pytest.raises(InvalidSpace, match=f"{words}.*study.name=<another>"):
        require_same(tmp_path, offers(edited))

"""Tables keep what matters where there is little room."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from nas.report.columns import fitted

LINES = [
    {"name": "first", "ms": "12.5", "gain": "+1.25", "what": "a network of many words and blocks"},
    {"name": "second-of-all", "ms": "7.5", "gain": "", "note": "", "what": "another"},
]


def printed(width: int, **changed: Any) -> tuple[list[str], list[str]]:
    how: dict[str, Any] = dict(spare=("what", "gain"), left=("name",), wordy="what")
    table, missed = fitted(LINES, width=width, **{**how, **changed})
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()], missed


def test_with_room_everything_is_whole_and_columns_without_a_cell_are_not_there() -> None:
    lines, missed = printed(80)
    assert not missed and "note" not in lines[0]
    assert lines[2] == " first           12.5   +1.25   a network of many words and blocks"


@pytest.mark.parametrize(
    ("width", "missed"), [(48, []), (40, ["what"]), (25, ["what", "gain"])]
)
def test_words_are_cut_first_then_columns_go_in_their_order(width: int, missed: list[str]) -> None:
    lines, left_out = printed(width)
    assert left_out == missed
    assert lines[3].split()[:2] == ["second-of-all", "7.5"]
    assert max(map(len, lines)) <= width


def test_names_are_cut_when_nothing_else_is_left_to_go() -> None:
    lines, _ = printed(16)
    assert lines[3].split()[1] == "7.5" and lines[3].split()[0].endswith("…")


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("width", range(12, 70))
def test_no_width_is_exceeded(width: int, framed: bool) -> None:
    lines, _ = printed(width, framed=framed)
    assert max(map(len, lines)) <= width
    assert "12.5" in lines[-2] and "7.5" in lines[-1]


def test_no_lines_are_an_empty_table() -> None:
    table, missed = fitted([], width=40, spare=("gain",))
    assert not table.columns and not missed

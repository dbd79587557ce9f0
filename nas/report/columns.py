"""Tables that keep what matters on a narrow terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

Line = Mapping[str, str | Text]
_SHORTEST = 12
"""Columns from which a description that is cut off still says something."""


def fitted(
    lines: Sequence[Line],
    *,
    width: int,
    spare: Sequence[str],
    left: Sequence[str] = (),
    wordy: str = "",
    styles: Sequence[str] = (),
    framed: bool = True,
    title: str | None = None,
) -> tuple[Table, list[str]]:
    """A table of these lines in so many columns, and the names of what had no room.

    What stays is whole, but for the wordy column, and for the first one, which is cut when even
    the rest has no room.

    Args:
        lines: cells by the name of their column; the longest line tells their order. Columns
            with nothing in them are not shown.
        spare: what can be left out, first what is missed least.
        left: columns of words, which are not aligned to the right.
        wordy: a column of descriptions, the last one, which is cut before anything is left out.
        styles: one for each line.
        framed: with a rule under the heads and a margin, else bare.
    """
    every = dict.fromkeys(n for line in sorted(lines, key=len, reverse=True) for n in line)
    names = [name for name in every if any(line.get(name) for line in lines)]
    longest = {
        name: max(len(name), *(_text(line.get(name, "")).cell_len for line in lines))
        for name in names
    }
    if wordy in longest:
        longest[wordy] = min(longest[wordy], _SHORTEST)
    gap, margin = (3, 2) if framed else (2, 0)
    missed: list[str] = []

    def room() -> int:
        return width - margin - sum(longest.values()) - gap * (len(longest) - 1)

    for name in spare:
        if room() < 0 and longest.pop(name, None) is not None:
            missed.append(name)
    table = Table(
        box=box.SIMPLE_HEAD if framed else None, header_style="dim", pad_edge=False,
        padding=(0, 1) if framed else (0, 2, 0, 0), title=title, title_justify="left",
    )
    if room() < 0:
        longest[names[0]] = max(1, longest[names[0]] + room())
    elif wordy in longest:
        longest[wordy] += room()
    for name, columns in longest.items():
        justify: Literal["left", "right"] = "left" if name in (*left, wordy) else "right"
        fixed = None if name == wordy else columns
        table.add_column(
            name, justify=justify, no_wrap=True, overflow="ellipsis", min_width=fixed,
            max_width=columns,
        )
    for line, style in zip(lines, styles or [""] * len(lines), strict=True):
        table.add_row(*(_text(line.get(name, "")) for name in longest), style=style)
    return table, missed


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)

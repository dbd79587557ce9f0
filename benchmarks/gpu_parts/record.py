"""What a run leaves: the lines of its table, and the same as JSON after every line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_parts.base import Row

_WIDTHS = (9, 42, 20)
_MOST_WORDS = 220


def header() -> str:
    """The first two lines of the table."""
    names = f"{'part':{_WIDTHS[0]}} {'what':{_WIDTHS[1]}} {'figure':>{_WIDTHS[2]}}   remarks"
    return names + "\n" + "-" * len(names)


def line_of(row: Row) -> str:
    """One row as a line of the table; long words are whole in the JSON only."""
    figure: str = row.outcome
    if row.value is not None:
        figure = f"{row.value:.4g} {row.unit}".rstrip()
    words = row.words
    if len(words) > _MOST_WORDS:
        words = words[:_MOST_WORDS] + " ..."
    line = f"{row.part:{_WIDTHS[0]}} {row.what:{_WIDTHS[1]}} {figure:>{_WIDTHS[2]}}   {words}"
    return line.rstrip()


class Record:
    """The JSON file of a run, complete after every row.

    Attributes:
        rows: those of the run so far.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Keep what the run is about; nothing is written before the first row."""
        self._path = path
        self._about = about
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Keep one row, on disk too."""
        self.rows.append(row)
        self.write(ended=False)

    def write(self, *, ended: bool) -> None:
        """Write aside, then rename; `ended` says whether all parts had their turn."""
        data = {
            **self._about, "ended": ended, "outcomes": self.outcomes(),
            "rows": [row.to_json() for row in self.rows],
        }  # fmt: skip
        aside = self._path.with_name(self._path.name + ".part")
        aside.write_text(json.dumps(data, indent=1) + "\n")
        aside.replace(self._path)

    def outcomes(self) -> dict[str, int]:
        """How many rows came to what."""
        return dict(Counter(row.outcome for row in self.rows))

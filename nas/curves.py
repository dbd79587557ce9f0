"""Losses and metrics of trainings over their steps, beside the evidence.

    <study>/candidates/<name>/curve.jsonl      a line for every fifty steps and look at the metric

A training that was killed repeats the steps since its last checkpoint, and their lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nas.candidate import Candidate
from nas.events import Event, Judged, Step
from nas.evidence import KNOWN, Evidence
from nas.ledger import Ledger

CURVE = "curve.jsonl"
Row = dict[str, float]


class CurveWriter:
    """The listener that keeps them."""

    def __init__(self, ledger: Ledger) -> None:
        """Write into the candidates' folders of this ledger."""
        self._ledger = ledger

    def __call__(self, event: Event) -> None:
        """Keep what a training tells."""
        match event:
            case Step(relayed=False):
                self._keep(event.candidate, event.training, step=event.done, loss=event.loss)
            case Judged():
                self._keep(event.candidate, event.training, step=event.step, metric=event.metric)

    def _keep(self, candidate: Candidate, training: Evidence[Any], **values: float) -> None:
        line = json.dumps({"stage": training.name, **values}) + "\n"
        with (self._ledger.home(candidate.name) / CURVE).open("ab", buffering=0) as file:
            file.write(line.encode())


def history(home: Path) -> list[Row]:
    """The curves of one candidate; steps that were made twice count as they were made last."""
    path = home / CURVE
    if not path.is_file():
        return []
    rows: dict[tuple[int, float], Row] = {}
    order = list(KNOWN)
    for line in path.read_text().splitlines():
        try:
            said = json.loads(line)
            stage, step = said.pop("stage"), float(said.pop("step"))
            row = rows.setdefault((order.index(stage), step), {"step": step})
        except (ValueError, LookupError, TypeError, AttributeError):
            # A worker was killed while it wrote this line.
            continue
        row.update({f"{stage}/{key}": value for key, value in said.items()})
    return [rows[key] for key in sorted(rows)]

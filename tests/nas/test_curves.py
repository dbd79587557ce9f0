"""Losses and metrics of trainings, kept beside the evidence by one listener."""

from __future__ import annotations

import json
from pathlib import Path

from toy_search import small_candidate

from nas.curves import CURVE, CurveWriter, history
from nas.events import Judged, Note, Started, Step
from nas.evidence import QUANTIZED, TRAINED
from nas.ledger import Ledger
from nas.stages.probe import PROBE


def test_steps_that_were_made_twice_count_once(tmp_path: Path) -> None:
    ledger, candidate = Ledger(tmp_path), small_candidate()
    home, curve = ledger.home(candidate.name), CurveWriter(ledger)
    curve(Step(candidate, QUANTIZED, 50, 100, 0.2))
    curve(Started(candidate, PROBE))
    for step, loss in ((50, 0.5), (100, 0.4), (50, 0.3)):
        curve(Step(candidate, TRAINED, step, 200, loss))
    curve(Judged(candidate, TRAINED, 100, 31.0))
    with (home / CURVE).open("a") as file:
        file.write('{"stage": "never heard of", "step": 1}\n{"stage": "tra')
    assert history(home) == [
        {"step": 50, "trained/loss": 0.3},
        {"step": 100, "trained/loss": 0.4, "trained/metric": 31.0},
        {"step": 50, "quantized/loss": 0.2},
    ]


def test_what_another_process_has_kept_is_not_kept_again(tmp_path: Path) -> None:
    ledger, candidate = Ledger(tmp_path), small_candidate()
    curve = CurveWriter(ledger)
    curve(Step(candidate, TRAINED, 50, 200, 0.5, relayed=True))
    curve(Note("a word"))
    assert history(ledger.home(candidate.name)) == []
    curve(Step(candidate, TRAINED, 50, 200, 0.5))
    (line,) = (ledger.home(candidate.name) / CURVE).read_text().splitlines()
    assert json.loads(line) == {"stage": "trained", "step": 50, "loss": 0.5}

"""A search that is killed again and again ends with every evidence, each made once."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_search import TOY, cases, evidence, nas, start, wait_until
from toy_search import write_photos

pytestmark = pytest.mark.slow
CANDIDATES = 3

Moment = Callable[[Path], bool]


def reports(study: Path) -> list[dict[str, Any]]:
    return [case["evidence"] for case in cases(study).values()]


def while_timing_the_first(study: Path) -> bool:
    journal = study / "study.journal"
    return journal.is_file() and b"trial-00000" in journal.read_bytes()


def while_probing(study: Path) -> bool:
    return any("screened" in c and "probed" not in c for c in reports(study))


def while_quantizing(study: Path) -> bool:
    return any("trained" in c and "quantized" not in c for c in reports(study))


def while_exporting(study: Path) -> bool:
    return any("quantized" in c for c in reports(study))


INTERRUPTIONS: list[tuple[Moment, signal.Signals]] = [
    (while_timing_the_first, signal.SIGKILL),
    (while_probing, signal.SIGTERM),
    (while_probing, signal.SIGKILL),
    (while_quantizing, signal.SIGINT),
    (while_exporting, signal.SIGKILL),
]


def test_a_search_that_is_killed_at_every_stage_ends_complete_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    arguments = [
        "search", *TOY, f"task.data.train={write_photos(tmp_path / 'photos')}",
        f"study.candidates={CANDIDATES}", "study.finalists=1", "study.references=[]",
        "target.max_latency_ms=1000",
    ]
    study, known = tmp_path / "runs" / "toy", {}
    for moment, number in INTERRUPTIONS:
        process = start(arguments, folder=tmp_path)
        wait_until(lambda moment=moment: moment(study), process)  # type: ignore[misc]
        process.send_signal(number)
        _, errors = process.communicate(timeout=200)
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130
            assert "the same command carries on from here" in errors
            assert "Traceback" not in errors
        said = evidence(study)
        assert known.items() <= said.items(), "evidence was changed or lost"
        known = said
    # What those kills may have left, for certain.
    for name in (
        ".settings.json.0123456789ab.aside",
        "candidates/trial-00000/.case.json.0123456789ab.aside",
        "candidates/trial-00000/training.ckpt.part",
        "study.journal.lock01234567-89ab-cdef-0123-456789abcdef.rename",
    ):
        (study / name).write_text("half")
    (study / "winners" / ".abcd.0123456789ab.aside").mkdir(parents=True)
    code, _, errors = nas(*arguments, folder=tmp_path)
    assert (code, errors) == (0, "")
    said = evidence(study)
    assert known.items() <= said.items()
    found = cases(study)
    assert list(found) == [f"trial-{k:05d}" for k in range(CANDIDATES)]
    assert all({"screened", "probed"} <= set(case["evidence"]) for case in found.values())
    (finalist,) = [case for case in found.values() if "trained" in case["evidence"]]
    assert "quantized" in finalist["evidence"]
    bundle = study / finalist["evidence"]["exported"]["folder"]
    assert json.loads((bundle / "case.json").read_text()) == finalist
    left = {path.name for path in study.glob("candidates/*/*")}
    assert left == {"case.json", "curve.jsonl", "fp32.npz", "int8.npz"}
    assert {path.name for path in study.iterdir()} == {
        ".identity", ".lock", "candidates", "winners", "inputs.json", "latency.sqlite",
        "report.html", "screening.sqlite", "settings.json", "study.journal",
    }
    assert [path.name for path in (study / "winners").iterdir()] == [bundle.name]

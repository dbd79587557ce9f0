"""A search that is killed again and again ends with every evidence, each made once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from real_search import TOY, cases, evidence, nas, start, wait_until
from toy_search import write_photos

from nas.commands import search

pytestmark = pytest.mark.slow
CANDIDATES = 3

Moment = Callable[[Path], bool]


def while_timing_the_first(study: Path) -> bool:
    journal = study / "study.journal"
    return journal.is_file() and b"trial-00000" in journal.read_bytes()


def while_probing(study: Path) -> bool:
    return any(c["screened"] and not c["probed"] for c in cases(study).values())


def while_quantizing(study: Path) -> bool:
    return any(c["trained"] and not c["quantized"] for c in cases(study).values())


def while_exporting(study: Path) -> bool:
    return any(c["quantized"] for c in cases(study).values())


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
        output, errors = process.communicate(timeout=200)
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130, (moment, output, errors)
            assert "the same command carries on from here" in errors
            assert "Traceback" not in errors
        said = evidence(study)
        assert known.items() <= said.items(), "evidence was changed or lost"
        known = said
    code, _, errors = nas(*arguments, folder=tmp_path)
    assert (code, errors) == (0, "")
    said = evidence(study)
    assert known.items() <= said.items()
    found = cases(study)
    assert list(found) == [f"trial-{k:05d}" for k in range(CANDIDATES)]
    assert all(case["screened"] and case["probed"] for case in found.values())
    (finalist,) = [case for case in found.values() if case["trained"]]
    assert finalist["quantized"]
    assert finalist["exported"]
    bundle = study / finalist["exported"]["folder"]
    assert json.loads((bundle / "case.json").read_text()) == finalist
    left = {path.name for path in study.glob("candidates/*/*") if path.name[0] != "."}
    assert left == {"case.json", "fp32.npz", "int8.npz"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_foreign_code_catches_comes_again(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_AGAIN_S", 0.01)
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with pytest.raises(KeyboardInterrupt), search.terminable():
        with suppress(BaseException):
            signal.raise_signal(number)
        time.sleep(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]


def test_cleaning_up_after_an_interrupt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_AGAIN_S", 0.01)
    cleaned = []
    with pytest.raises(SystemExit), search.terminable():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            try:
                raise SystemExit(1) from error
            finally:
                time.sleep(0.2)
                cleaned.append("all")
    assert cleaned == ["all"]


def test_what_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with search.terminable():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

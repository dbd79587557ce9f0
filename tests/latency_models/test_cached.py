"""Receipts are found again only where they hold."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from latency_models.base import CompileError, LatencyReport, Precision
from latency_models.cached import CachedLatency
from tests.latency_models.small_nets import report


@dataclass
class Counting:
    """Answers with `answer` and counts how often it was asked."""

    answer: LatencyReport = field(default_factory=report)
    ground: dict[str, str] = field(default_factory=lambda: {"engine": "fake", "threads": "1"})
    asked: int = 0

    def identity(self) -> dict[str, str]:
        return self.ground

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        self.asked += 1
        if onnx == b"broken":
            raise CompileError("no")
        return self.answer


def limited(low: float, high: float, *, limit_ms: float, side: str) -> LatencyReport:
    conditions = {"limit_ms": limit_ms, "side": side}
    return report(ci_low_ms=low, ci_high_ms=high, conditions=conditions)


def test_the_same_question_is_measured_once(tmp_path: Path) -> None:
    inner = Counting()
    cached = CachedLatency(inner, tmp_path / "deep" / "receipts.sqlite")
    assert cached.measure(b"net", "fp32") == cached.measure(b"net", "fp32") == inner.answer
    assert inner.asked == 1


def test_another_file_precision_or_ground_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    inner = Counting()
    cached = CachedLatency(inner, path)
    cached.measure(b"net", "fp32")
    cached.measure(b"net", "int8")
    cached.measure(b"other net", "fp32")
    assert inner.asked == 3
    elsewhere = Counting(ground={"engine": "fake", "threads": "2"})
    CachedLatency(elsewhere, path).measure(b"net", "fp32")
    assert elsewhere.asked == 1


@pytest.mark.parametrize("verdict", ["unstable", "contended"])
def test_a_receipt_that_is_not_ok_is_not_reused(tmp_path: Path, verdict: str) -> None:
    inner = Counting(report(verdict=verdict))
    cached = CachedLatency(inner, tmp_path / "receipts.sqlite")
    cached.measure(b"net", "fp32")
    cached.measure(b"net", "fp32")
    assert inner.asked == 2


def test_a_full_receipt_answers_a_limited_question(tmp_path: Path) -> None:
    inner = Counting()
    cached = CachedLatency(inner, tmp_path / "receipts.sqlite")
    cached.measure(b"net", "fp32")
    cached.measure(b"net", "fp32", limit_ms=10.0)
    assert inner.asked == 1


def test_a_limited_receipt_answers_only_for_limits_it_is_clear_of(tmp_path: Path) -> None:
    inner = Counting(limited(5.0, 20.0, limit_ms=40.0, side="faster"))
    cached = CachedLatency(inner, tmp_path / "receipts.sqlite")
    cached.measure(b"net", "fp32", limit_ms=40.0)
    cached.measure(b"net", "fp32", limit_ms=40.0)
    cached.measure(b"net", "fp32", limit_ms=30.0)
    cached.measure(b"net", "fp32", limit_ms=4.0)
    assert inner.asked == 1
    cached.measure(b"net", "fp32", limit_ms=15.0)
    assert inner.asked == 2
    cached.measure(b"net", "fp32")
    assert inner.asked == 3


def test_a_refusal_is_tried_again(tmp_path: Path) -> None:
    inner = Counting()
    cached = CachedLatency(inner, tmp_path / "receipts.sqlite")
    for _ in range(2):
        with pytest.raises(CompileError):
            cached.measure(b"broken", "fp32")
    assert inner.asked == 2


@pytest.mark.parametrize("content", [b"this is no database " * 100, b"SQLite format 3\0" * 90])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "receipts.sqlite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"receipts\.sqlite.*damaged"):
        CachedLatency(Counting(), path).measure(b"net", "fp32")


def test_a_damaged_receipt_is_named(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    cached = CachedLatency(Counting(), path)
    cached.measure(b"net", "fp32")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE receipts SET report = '{\"median_ms\": 1'")
    database.close()
    with pytest.raises(ValueError, match="cannot be read"):
        cached.measure(b"net", "fp32")


def write_fifty(path: Path, worker: int) -> None:
    """A worker process of the next test."""
    cached = CachedLatency(Counting(report(samples=worker)), path)
    for number in range(50):
        cached.measure(f"net {worker} {number}".encode(), "fp32")
        cached.measure(f"net of all {number}".encode(), "fp32")


def test_four_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "receipts.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_fifty, args=(path, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    inner = Counting()
    cached = CachedLatency(inner, path)
    for worker_number in range(4):
        for number in range(50):
            found = cached.measure(f"net {worker_number} {number}".encode(), "fp32")
            assert found.samples == worker_number
    assert inner.asked == 0

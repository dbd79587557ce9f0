"""Receipts kept in a SQLite file, so that no network is measured twice on the same ground."""

from __future__ import annotations

import errno
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from math import inf
from pathlib import Path
from typing import Protocol

from latency_models.base import DamagedReceipts, LatencyModel, LatencyReport, Precision
from latency_models.measured import side_of

_WAIT_S = 60.0
_FAULTS = {
    "FULL": errno.ENOSPC,
    "READONLY": errno.EROFS,
    "CANTOPEN": errno.EACCES,
    "PERM": errno.EPERM,
    "BUSY": errno.EBUSY,
    "LOCKED": errno.EBUSY,
}
"""What SQLite calls a fault of the machine, as the system calls it."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS receipts (
    onnx_sha256 TEXT NOT NULL,
    precision TEXT NOT NULL,
    ground TEXT NOT NULL,
    limit_ms REAL,
    report TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_file ON receipts (onnx_sha256, precision, ground);
"""


class IdentifiedLatency(LatencyModel, Protocol):
    """A latency model that says what its reports depend on beside the file."""

    def identity(self) -> dict[str, str]:
        """Engine, its version and options, device, driver, threads."""


class CachedLatency:
    """Answers from receipts where it can, else asks `inner` and keeps the receipt.

    A receipt answers when the file's sha256 (and so shape and batch), the precision and
    everything in `inner.identity()` are the same. A full receipt answers every question; one
    that was made for a limit only answers for limits that its whole interval is clear of. A
    receipt whose verdict is not `ok` is kept for the record but answers nothing. Refusals to
    compile are not kept: they cost little to find again, and an engine's refusal may have been
    the machine's.

    Safe under many processes: two that ask at once may both measure, and both receipts are kept.

    Attributes:
        inner: what is asked when there is no receipt.
        path: the SQLite file; made with its folder when missing.
        widest: half the interval, relative to the median, that a full receipt may have and
            still answer; one that was made with less patience does not.
    """

    def __init__(
        self, inner: IdentifiedLatency, path: str | Path, *, widest: float = inf
    ) -> None:
        self.inner = inner
        self.widest = widest
        self.path = Path(path)
        self._ground: str | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._database() as database:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)

    def identity(self) -> dict[str, str]:
        """That of `inner`."""
        return self.inner.identity()

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        """A stored receipt, or a new one.

        Raises:
            CompileError: the graph is at fault.
            DeviceError: the machine is at fault.
            DamagedReceipts: the file of receipts is damaged.
            OSError: it cannot be read or written.
        """
        key = (hashlib.sha256(onnx).hexdigest(), precision, self._ground_key())
        for stored in self._stored(key):
            if _answers(stored, limit_ms, self.widest):
                return stored
        report = self.inner.measure(onnx, precision, limit_ms=limit_ms)
        with self._database() as database:
            database.execute(
                "INSERT INTO receipts VALUES (?, ?, ?, ?, ?)",
                (*key, report.conditions.get("limit_ms"), json.dumps(report.to_json())),
            )
        return report

    def last(self, onnx: bytes, precision: Precision) -> LatencyReport | None:
        """The newest full receipt, whatever its verdict, to be shown; nothing is measured.

        Raises:
            DamagedReceipts: the file of receipts is damaged.
            OSError: it cannot be read.
        """
        key = (hashlib.sha256(onnx).hexdigest(), precision, self._ground_key())
        full = (one for one in self._stored(key) if one.conditions.get("limit_ms") is None)
        return next(full, None)

    def _ground_key(self) -> str:
        """The identity as one text; asked for once, for it may have to start an engine."""
        if self._ground is None:
            self._ground = json.dumps(self.inner.identity(), sort_keys=True)
        return self._ground

    def _stored(self, key: tuple[str, str, str]) -> list[LatencyReport]:
        """The receipts of one file, those without a limit first, then the newest."""
        with self._database() as database:
            rows = database.execute(
                "SELECT report FROM receipts WHERE onnx_sha256 = ? AND precision = ? "
                "AND ground = ? ORDER BY limit_ms IS NOT NULL, rowid DESC",
                key,
            ).fetchall()
        try:
            return [LatencyReport.from_json(json.loads(text)) for (text,) in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedReceipts(
                f"{self.path} holds a receipt that cannot be read ({error}): it was written by "
                "another version or is damaged; move it away and measure again"
            ) from error

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """One short transaction on a connection of its own: nothing is shared over a fork.

        The plain journal, not the write-ahead one, which does not work over network file
        systems. Writers queue from the first statement on: a lock that is upgraded later can
        find another upgrader in its way, and then waiting does not help.
        """
        try:
            with closing(
                sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            ) as database:
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            kind = error.sqlite_errorname.removeprefix("SQLITE_").partition("_")[0]
            raise OSError(_FAULTS.get(kind, errno.EIO), str(error), str(self.path)) from error
        except sqlite3.DatabaseError as error:
            raise DamagedReceipts(
                f"{self.path} is no readable file of receipts ({error}): it is damaged or "
                "something else; move it away and measure again"
            ) from error


def _answers(stored: LatencyReport, limit_ms: float | None, widest: float) -> bool:
    if stored.verdict != "ok":
        return False
    if "limit_ms" not in stored.conditions:
        return (stored.ci_high_ms - stored.ci_low_ms) / 2 <= widest * stored.median_ms
    return limit_ms is not None and side_of(stored, limit_ms) != "undecided"

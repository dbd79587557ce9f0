"""Who works on what: claims as files in the study's folder, each held by one living worker.

    <study>/claims/<what>.<n>       the n-th holder of a candidate; the highest n counts

A claim is made by a hard link, which exactly one of many can make, over NFS too. A worker that
gives no sign of life for the lease is dead, and so is one of this machine whose process is gone;
its claims are then open to all: the next holder links number n + 1.

Time is told by the watcher's own heartbeats: who did not beat while it beat for a whole lease is
dead. So clocks may jump, and a watcher that was itself suspended takes nobody for dead. Of a
worker of another machine that fell silent earlier, the file system knows how long ago.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from nas.durable import aside_of
from nas.workers.base import LostClaim
from nas.workers.roster import WORKERS, Pace, Worker, read_if_there, read_worker, write_worker

CLAIMS = "claims"
WAITING = "waiting for others"
_LOOK_S = 0.5
_FEWEST_BEATS = 2
"""For how many of its own heartbeats a worker watches another before it takes it for dead."""


@dataclass(frozen=True)
class Claim:
    """One entry of the folder of claims."""

    what: str
    number: int
    worker: str
    path: Path = field(repr=False)


class Claims:
    """This worker among the others of one study; a context manager.

    Inside it, a thread keeps the heartbeat, which does not depend on what the worker computes.
    """

    alone = False

    def __init__(
        self, folder: Path, me: Worker, pace: Pace, safe_point: Callable[[], None] | None = None
    ) -> None:
        """Nothing is written before the context is entered.

        Args:
            safe_point: called before something is claimed, and while waiting; it may raise.
        """
        self.me = me
        self._pace = pace
        self._may_end = safe_point or (lambda: None)
        self._folder = folder
        self._claims = folder / CLAIMS
        self._record = folder / WORKERS / f"{me.id}.json"
        self._end = threading.Event()
        self._writing = threading.Lock()
        self._beats = 0
        self._seen: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self._claims.mkdir(parents=True, exist_ok=True)
        self._write(self.me)
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        for claim in claims(self._folder):
            if claim.worker == self.me.id:
                self.release(claim.what)
        if self.me.ended is None:
            self.says(ended="ended" if error is None else f"{type(error).__name__}: {error}")

    def says(self, *, doing: str | None = None, ended: str | None = None) -> None:
        """Write down what this worker is at, or why it leaves."""
        self.me = replace(self.me, doing=doing or self.me.doing, ended=ended)
        self._write(self.me)

    def safe_point(self, doing: str = "") -> None:
        """End here where that was asked for; else tell the others what this worker is at."""
        self._may_end()
        if doing:
            self.says(doing=doing)

    def take(self, what: str) -> bool:
        """Claim it unless a living worker has it; after a dead one it is anybody's."""
        self._may_end()
        last = _last(self._claims, what)
        if last is not None:
            if last.worker == self.me.id:
                return True
            if self._lives(last.worker):
                return False
        return self._link(what, 0 if last is None else last.number + 1)

    def release(self, what: str) -> None:
        """Give it back, with the traces of those who had it before."""
        mine = _last(self._claims, what)
        if mine is None or mine.worker != self.me.id:
            return
        for number in range(mine.number + 1):
            (self._claims / f"{what}.{number}").unlink(missing_ok=True)

    def check(self, what: str) -> None:
        """Make sure that it is still this worker's.

        Raises:
            LostClaim: this worker did not beat for longer than the lease, and another took over.
        """
        last = _last(self._claims, what)
        if last is None or last.worker != self.me.id:
            now = f"worker {last.worker} has it" if last else "it is done"
            raise LostClaim(
                f"{what} was taken from worker {self.me.id}, which had given no sign of life "
                f"for {self._pace.lease_s:g} s: {now}"
            )

    @contextmanager
    def claimed(self, what: str) -> Iterator[bool]:
        """Take it for a while; gives whether it could be taken."""
        mine = self.take(what)
        try:
            yield mine
        finally:
            if mine:
                self.release(what)

    def wait(self) -> None:
        """Sleep for one poll."""
        if self.me.doing != WAITING:
            self.says(doing=WAITING)
        until = time.monotonic() + self._pace.poll_s
        while (left_s := until - time.monotonic()) > 0:
            self._may_end()
            time.sleep(min(left_s, _LOOK_S))
        self._may_end()

    def _link(self, what: str, number: int) -> bool:
        path = self._claims / f"{what}.{number}"
        aside = aside_of(path)
        aside.write_text(self.me.id)
        try:
            os.link(aside, path)
        except FileExistsError:
            # A network file system may repeat a call that had succeeded.
            return read_if_there(path) == self.me.id
        finally:
            aside.unlink(missing_ok=True)
        return True

    def _lives(self, worker: str) -> bool:
        if not worker.isprintable() or "/" in worker:
            # A claim whose file is damaged is nobody's.
            return False
        path = self._folder / WORKERS / f"{worker}.json"
        record = read_worker(path)
        if record is None or record.ended is not None or record.is_gone():
            return False
        beat = path.stat().st_mtime_ns
        last, since = self._seen.get(worker, (None, 0))
        if beat != last:
            self._seen[worker] = (beat, self._beats)
            return True
        watched = self._beats - since
        if watched * self._pace.beat_s >= self._pace.lease_s:
            return False
        if record.machine == self.me.machine or watched < _FEWEST_BEATS:
            return True
        # Both times are the file system's.
        os.utime(self._record)
        silent_s = (self._record.stat().st_mtime_ns - beat) / 1e9
        return silent_s < self._pace.lease_s

    def _beat(self) -> None:
        while not self._end.wait(self._pace.beat_s):
            self._beats += 1
            with suppress(OSError):
                os.utime(self._record)

    def _write(self, worker: Worker) -> None:
        with self._writing:
            write_worker(self._record, worker)


def claims(folder: Path) -> list[Claim]:
    """What is claimed in this study, the newest claim of each."""
    names = {path.stem for path in (folder / CLAIMS).glob("[!.]*.*")}
    found = (_last(folder / CLAIMS, name) for name in sorted(names))
    return [claim for claim in found if claim is not None]


def _last(folder: Path, what: str) -> Claim | None:
    found: list[Claim] = []
    for path in folder.glob(f"{what}.*"):
        text = read_if_there(path)
        number = path.suffix[1:]
        if text is not None and number.isdecimal():
            found.append(Claim(what, int(number), text, path))
    return max(found, key=lambda claim: claim.number, default=None)

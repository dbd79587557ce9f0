"""Who works on what: claims as files in the study's folder, each held by one living worker.

    <study>/workers/<id>.json       one per process that ever joined; its mtime is its heartbeat
    <study>/claims/<what>.<n>       the n-th holder of a candidate; the highest n counts

A claim is made by a hard link, which exactly one of many can make, over NFS too. A worker whose
heartbeat is older than the lease is dead, and so is one of this machine whose process is gone;
its claims are then open to all: the next holder links number n + 1. Heartbeats are compared with
the watcher's own one, so that clocks of different machines are never compared.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from nas.ledger import write_aside

WORKERS, CLAIMS = "workers", "claims"
WAITING = "waiting for others"
_LOOK_S = 0.5


class LostClaim(Exception):
    """This worker was taken for dead and its candidate was given to another one."""


class Crew(Protocol):
    """The others who work on the same study."""

    @property
    def alone(self) -> bool:
        """Whether there are no others and never will be."""

    def take(self, what: str) -> bool:
        """Claim it; true when it is this worker's from now on, or was already."""

    def release(self, what: str) -> None:
        """Give it back."""

    def check(self, what: str) -> None:
        """Make sure of it before something is written.

        Raises:
            LostClaim: somebody else has it by now.
        """

    def wait(self) -> None:
        """Let the others work for a while."""


class Alone:
    """Nobody else: everything is this process's."""

    alone = True

    def take(self, what: str) -> bool:
        """Always."""
        return True

    def release(self, what: str) -> None:
        """Nobody waits for it."""

    def check(self, what: str) -> None:
        """Nobody can have taken it."""

    def wait(self) -> None:
        """There is nobody to wait for.

        Raises:
            RuntimeError: always; it would wait for ever.
        """
        raise RuntimeError("a search that works alone waits for another worker: this is a bug")


@dataclass(frozen=True)
class Pace:
    """How often workers look after each other.

    Attributes:
        beat_s: seconds between two heartbeats.
        lease_s: without a heartbeat for so long, a worker is dead. Network file systems may show
            a heartbeat up to a minute late, so it should be well above that.
        poll_s: seconds between two looks at what the others have finished.
        grace_s: from the signal to end until the worker gives up waiting for a safe point.
    """

    beat_s: float = 15.0
    lease_s: float = 120.0
    poll_s: float = 2.0
    grace_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse a pace at which the living are taken for dead.

        Raises:
            ValueError: a field is out of its range; the message names it.
        """
        for one in fields(self):
            value = getattr(self, one.name)
            if type(value) not in (int, float) or not value > 0:
                raise ValueError(f"crew.{one.name} is {value}: it must be a positive number")
        if self.lease_s < 3 * self.beat_s:
            raise ValueError(
                f"crew.lease_s is {self.lease_s:g}: use at least 3 times crew.beat_s "
                f"({self.beat_s:g}), or living workers are taken for dead"
            )


@dataclass(frozen=True)
class Worker:
    """One process that joined the study.

    Attributes:
        number: which of the sweep's workers it is.
        process: process id, with the time it started, in clock ticks of its machine.
        machine: boot and process namespace, by which a process id can be looked up.
        job: the batch system's job, where there is one.
        doing: what it works on and at which stage.
        ended: why it left; None while it works, and for ever when it was killed.
    """

    id: str
    number: int
    host: str
    process: str
    machine: str
    job: str | None = None
    code: str = ""
    began: float = 0.0
    doing: str = "starting"
    ended: str | None = None

    @classmethod
    def this_process(cls, number: int, *, code: str, now: float) -> Self:
        """A record of the process that runs this line."""
        host = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
        process = _process(os.getpid())
        return cls(
            f"{number:03d}-{host}-{os.getpid()}-{secrets.token_hex(2)}",
            number, host, process, _machine(), _job(), code, now,
        )

    def is_gone(self) -> bool:
        """Whether it certainly is no more: it ran on this machine, and not any longer."""
        pid = int(self.process.split()[0])
        return self.machine == _machine() and _process(pid) != self.process


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
        self._safe_point = safe_point or (lambda: None)
        self._folder = folder
        self._claims = folder / CLAIMS
        self._record = folder / WORKERS / f"{me.id}.json"
        self._end = threading.Event()
        self._writing = threading.Lock()

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

    def take(self, what: str) -> bool:
        """Claim it unless a living worker has it; after a dead one it is anybody's."""
        self._safe_point()
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
            self._safe_point()
            time.sleep(min(left_s, _LOOK_S))
        self._safe_point()

    def _link(self, what: str, number: int) -> bool:
        path = self._claims / f"{what}.{number}"
        aside = self._claims / f".{self.me.id}.{secrets.token_hex(4)}"
        aside.write_text(self.me.id)
        try:
            os.link(aside, path)
        except FileExistsError:
            # A network file system may repeat a call that had succeeded.
            return _read(path) == self.me.id
        finally:
            aside.unlink(missing_ok=True)
        return True

    def _lives(self, worker: str) -> bool:
        path = self._folder / WORKERS / f"{worker}.json"
        record = read_worker(path)
        if record is None or record.ended is not None or record.is_gone():
            return False
        # Both times are the file system's.
        os.utime(self._record)
        silent_s = self._record.stat().st_mtime - path.stat().st_mtime
        return silent_s < self._pace.lease_s

    def _beat(self) -> None:
        while not self._end.wait(self._pace.beat_s):
            with suppress(OSError):
                os.utime(self._record)

    def _write(self, worker: Worker) -> None:
        with self._writing:
            write_aside(self._record, json.dumps(asdict(worker), indent=1).encode())


def workers(folder: Path) -> dict[Worker, float]:
    """Every worker that joined the study in this folder, with the time of its last heartbeat."""
    found: dict[Worker, float] = {}
    for path in sorted((folder / WORKERS).glob("*.json")):
        record = read_worker(path)
        if record is not None:
            found[record] = path.stat().st_mtime
    return found


def claims(folder: Path) -> list[Claim]:
    """What is claimed in this study, the newest claim of each."""
    names = {path.stem for path in (folder / CLAIMS).glob("[!.]*.*")}
    found = (_last(folder / CLAIMS, name) for name in sorted(names))
    return [claim for claim in found if claim is not None]


def read_worker(path: Path) -> Worker | None:
    """A worker's record, or None."""
    text = _read(path)
    if text is None:
        return None
    known: Mapping[str, Any] = json.loads(text)
    return Worker(**known)


def _last(folder: Path, what: str) -> Claim | None:
    found: list[Claim] = []
    for path in folder.glob(f"{what}.*"):
        text = _read(path)
        if text is not None:
            found.append(Claim(what, int(path.suffix[1:]), text, path))
    return max(found, key=lambda claim: claim.number, default=None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _machine() -> str:
    """What makes process ids comparable: the same boot and the same namespace of processes."""
    boot = _read(Path("/proc/sys/kernel/random/boot_id")) or socket.gethostname()
    with suppress(OSError):
        return f"{boot.strip()} {os.readlink('/proc/self/ns/pid')}"
    return f"{boot.strip()} {socket.gethostname()}"


def _process(pid: int) -> str:
    """The id and when it started, for ids are used again; empty when there is no such process."""
    text = _read(Path(f"/proc/{pid}/stat"))
    if text is None:
        return f"{pid}"
    state, *rest = text.rpartition(")")[2].split()
    return f"{pid}" if state in "ZX" else f"{pid} {rest[18]}"


def _job() -> str | None:
    """The batch system's name for this job, as its commands take it."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")

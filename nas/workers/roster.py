"""Who joined a study: one record per worker, whose mtime is its heartbeat.

    <study>/workers/<id>.json       one per process that ever joined
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from nas.durable import read_record, write_aside
from nas.kinds import require_types

WORKERS = "workers"
_LONGEST_S = 10**6


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
                raise ValueError(f"workers.{one.name} is {value}: it must be a positive number")
            if value > _LONGEST_S:
                raise ValueError(
                    f"workers.{one.name} is {value}: use at most {_LONGEST_S} seconds"
                )
        if self.lease_s < 3 * self.beat_s:
            raise ValueError(
                f"workers.lease_s is {self.lease_s:g}: use at least 3 times workers.beat_s "
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


def registered(folder: Path) -> dict[Worker, float]:
    """Every worker that joined the study in this folder, with the time of its last heartbeat."""
    found: dict[Worker, float] = {}
    for path in sorted((folder / WORKERS).glob("*.json")):
        record = read_worker(path)
        if record is not None:
            found[record] = path.stat().st_mtime
    return found


def read_worker(path: Path) -> Worker | None:
    """A worker's record, or None."""
    try:
        return read_record(path, _worker, remedy="remove it: a worker that lives writes it again")
    except FileNotFoundError:
        return None


def _worker(data: Any) -> Worker:
    found = Worker(**data)
    require_types(found)
    int(found.process.split()[0])
    return found


def write_worker(path: Path, worker: Worker) -> None:
    """Replace a worker's record."""
    write_aside(path, json.dumps(asdict(worker), indent=1).encode())


def read_if_there(path: Path) -> str | None:
    """A file's text, or None where there is no such file."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _machine() -> str:
    """What makes process ids comparable: the same boot and the same namespace of processes."""
    boot = read_if_there(Path("/proc/sys/kernel/random/boot_id")) or socket.gethostname()
    with suppress(OSError):
        return f"{boot.strip()} {os.readlink('/proc/self/ns/pid')}"
    return f"{boot.strip()} {socket.gethostname()}"


def _process(pid: int) -> str:
    """The id and when it started, for ids are used again; empty when there is no such process."""
    text = read_if_there(Path(f"/proc/{pid}/stat"))
    if text is None:
        return f"{pid}"
    state, *rest = text.rpartition(")")[2].split()
    return f"{pid}" if state in "ZX" else f"{pid} {rest[18]}"


def _job() -> str | None:
    """The batch system's name for this job, as its commands take it."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")

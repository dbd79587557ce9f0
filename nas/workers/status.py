"""What a study is at, read from its folder alone: no database has to answer for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nas.candidate import Candidate
from nas.durable import read_record
from nas.evidence import EXPORTED, QUANTIZED, TRAINED
from nas.kinds import require_types
from nas.ledger import REPORT, SETTINGS, SETTINGS_REMEDY, Ledger
from nas.report.funnel import Funnel, funnel, was_too_slow
from nas.winners import front
from nas.workers.claims import claims
from nas.workers.roster import Pace, Worker, registered
from trainers.base import Metric

State = Literal["working", "silent", "killed", "ended"]


class NoStudy(Exception):
    """There is no study there; the message says what was looked for."""


@dataclass(frozen=True)
class Seen:
    """A worker as the others see it.

    Attributes:
        state: `silent` when it gave no sign of life for its lease; `killed` when its process is
            gone without a word.
        beat_s: seconds since its last sign of life.
        holds: what it has claimed.
    """

    worker: Worker
    state: State
    beat_s: float
    holds: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """A study at one moment.

    Attributes:
        compiles: its candidates are only compiled, and nothing is timed or trained.
        limit_ms: of the first target.
        further_ms: the limits of further targets, by name.
        left: claimed by a worker that is no more, so open to whoever comes.
        failures: reasons of rejections other than latency, with how many candidates had them.
        report: the report, where it is newer than all evidence.
    """

    name: str
    folder: Path
    planned: int
    compiles: bool
    limit_ms: float
    metric: Metric
    workers: tuple[Seen, ...]
    left: tuple[str, ...]
    funnel: Funnel
    front: tuple[Candidate, ...]
    failures: tuple[tuple[str, int], ...]
    report: Path | None
    further_ms: Mapping[str, float] = field(default_factory=dict)


def read_status(folder: Path, *, now: float | None = None) -> Status:
    """Look at a study.

    Args:
        now: time of the file system, in seconds; the clock's when None.

    Raises:
        NoStudy: the folder holds none.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise NoStudy(f"there is no study in {folder}: give the folder of one, as runs/<study>")
    asked = read_record(path, _asked, remedy=SETTINGS_REMEDY)
    seen = _workers(folder, asked.lease_s, time.time() if now is None else now)
    alive = {one.worker.id for one in seen if one.state == "working"}
    candidates = Ledger(folder).all()
    proposed = [c for c in candidates if c.is_proposal]
    return Status(
        asked.name,
        folder,
        asked.planned,
        asked.compiles,
        asked.limit_ms,
        asked.metric,
        seen,
        tuple(claim.what for claim in claims(folder) if claim.worker not in alive),
        funnel(candidates),
        tuple(front(_furthest(proposed), asked.metric)),
        _failures(candidates),
        folder / REPORT if report_is_fresh(folder) else None,
        asked.further_ms,
    )


@dataclass(frozen=True)
class _Asked:
    """What the settings of a study say about it."""

    name: str
    planned: int
    compiles: bool
    limit_ms: float
    metric: Metric
    lease_s: float
    further_ms: Mapping[str, float]


def _asked(settings: Any) -> _Asked:
    metric = settings.get("metric", {"name": "metric", "unit": "", "mode": "max"})
    found = _Asked(
        settings["study"]["name"],
        settings["study"]["candidates"],
        settings["study"].get("screen") == "compile",
        float(settings["target"]["max_latency_ms"]),
        Metric(**metric),
        float(settings.get("workers", settings.get("crew", {})).get("lease_s", Pace.lease_s)),
        {str(n): float(t["max_latency_ms"]) for n, t in settings.get("targets", {}).items()},
    )
    require_types(found)
    return found


def report_is_fresh(folder: Path) -> bool:
    """Whether the report was written after the last evidence."""
    report = folder / REPORT
    if not report.is_file():
        return False
    written = report.stat().st_mtime_ns
    return all(c.stat().st_mtime_ns <= written for c in folder.glob("candidates/*/case.json"))


def _workers(folder: Path, lease_s: float, now: float) -> tuple[Seen, ...]:
    held: dict[str, list[str]] = {}
    for claim in claims(folder):
        held.setdefault(claim.worker, []).append(claim.what)
    found = []
    for worker, beat in registered(folder).items():
        age_s = max(0.0, now - beat)
        holds = tuple(held.get(worker.id, ()))
        found.append(Seen(worker, _state(worker, age_s, lease_s), age_s, holds))
    return tuple(sorted(found, key=lambda one: (one.worker.number, one.worker.began)))


def _state(worker: Worker, age_s: float, lease_s: float) -> State:
    if worker.ended is not None:
        return "ended"
    if worker.is_gone():
        return "killed"
    return "working" if age_s < lease_s else "silent"


def _furthest(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that can be compared: metrics of different stages are not alike."""
    alive = [c for c in candidates if c.rejected is None]
    for evidence in (EXPORTED, QUANTIZED, TRAINED):
        if there := [c for c in alive if c.has(evidence)]:
            return there
    return [c for c in alive if c.quality is not None]


def _failures(candidates: Sequence[Candidate]) -> tuple[tuple[str, int], ...]:
    reasons = Counter(
        f"{c.rejected.constraint}: {c.rejected.reason}"
        for c in candidates
        if c.rejected is not None and not was_too_slow(c)
    )
    return tuple(reasons.most_common())

"""What a tracked run holds, made from evidence alone, whatever shows it in the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from nas.candidate import Candidate
from nas.curves import Row, history
from nas.durable import read_record
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED
from nas.experiment import Experiment
from nas.ledger import REPORT, SETTINGS, SETTINGS_REMEDY
from nas.redact import redacted
from nas.report.describe import describe
from nas.report.drawing import drawing_file
from nas.report.funnel import funnel, is_winner
from nas.trained import engine_run
from nas.winners import hypervolume
from search_spaces.skeletons import lower
from trainers.base import Pixels, Shows
from trainers.data.planes import shown

_IMAGES = 4


@dataclass(frozen=True)
class Table:
    """Rows of a few columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class TrackedRun:
    """One run, ready to be written.

    Attributes:
        id: the same whenever the same run is written again.
        kind: `candidate` or `study`.
        config: what was asked for.
        history: values in the order they came, each row at one moment.
        summary: what came of it.
        images: validation pictures as the network made them, (H, W, 3).
        drawing: the architecture as SVG.
        bundles: folders that belong to it, by name.
    """

    id: str
    name: str
    kind: str
    study: str
    config: Mapping[str, Any]
    history: Sequence[Row] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, Pixels] = field(default_factory=dict)
    drawing: str | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    bundles: Mapping[str, Path] = field(default_factory=dict)


def running(candidate: Candidate, experiment: Experiment) -> TrackedRun:
    """The run of a candidate that is being trained in full: what it is, and its curves so far.

    The newest row is left out, for its metric may still come.
    """
    study = experiment.plan.name
    return TrackedRun(
        id=f"{study}-{candidate.name}",
        name=candidate.name,
        kind="candidate",
        study=study,
        config={
            "architecture": candidate.architecture.to_json(),
            "described": describe(candidate.architecture),
            "choices": dict(candidate.parameters),
            **_settings(experiment),
        },
        history=history(experiment.ledger.home(candidate.name))[:-1],
    )


def candidate_run(candidate: Candidate, experiment: Experiment) -> TrackedRun:
    """The run of one candidate that was trained in full, with what came of it."""
    target, graph = experiment.target, lower(candidate.architecture)
    return replace(
        running(candidate, experiment),
        history=history(experiment.ledger.home(candidate.name)),
        summary=_summary(candidate),
        images=_images(candidate, experiment),
        drawing=drawing_file(
            graph, height=target.height, width=target.width, name=candidate.name
        ),
    )


def _summary(candidate: Candidate) -> dict[str, Any]:
    """Every report of the case file by its stage, and what is compared of it."""
    case = candidate.without(EXPORTED).to_json()
    compared = {"quality": candidate.quality}
    if candidate.has(SCREENED):
        compared["latency_ms"] = candidate.latency_ms
        compared |= {
            f"latency_ms@{name}": receipt.median_ms
            for name, receipt in candidate.receipts.items() if candidate.limits_ms
        }
    rejected = {} if case["rejected"] is None else {"rejected": case["rejected"]}
    return {**compared, **case["evidence"], **rejected}


def _images(candidate: Candidate, experiment: Experiment) -> dict[str, Pixels]:
    task = experiment.task
    if not candidate.has(QUANTIZED) or experiment.simulated or not isinstance(task, Shows):
        return {}
    run = engine_run(candidate, experiment)
    return {e.name: shown(task.picture(run, e)) for e in task.examples()[:_IMAGES]}


def study_run(
    experiment: Experiment,
    candidates: Sequence[Candidate],
    finished_at: Mapping[str, datetime],
) -> TrackedRun:
    """The run of the whole study."""
    name, metric = experiment.plan.name, experiment.task.metric
    winners = sorted((c for c in candidates if is_winner(c)), key=lambda c: c.latency_ms)
    bundles = {
        c.architecture.id: experiment.folder / c[EXPORTED].folder
        for c in winners if c.has(EXPORTED)
    }
    report = experiment.folder / REPORT
    grown = _growth(experiment, candidates, finished_at)
    counts = funnel(candidates).to_json()
    last = {"hypervolume": grown[-1]["hypervolume"]} if grown else {}
    return TrackedRun(
        id=f"{name}-study",
        name=name,
        kind="study",
        study=name,
        config=_settings(experiment),
        history=grown,
        summary={"funnel": counts, "baseline": experiment.task.baseline(), **last},
        tables={
            "front": _table(winners, metric.name),
            "candidates": _table(candidates, metric.name),
        },
        bundles=bundles | ({"report": report} if report.is_file() else {}),
    )


def _growth(
    experiment: Experiment,
    candidates: Sequence[Candidate],
    finished_at: Mapping[str, datetime],
) -> list[Row]:
    """Hypervolume of what had been probed, after each proposal that was told."""
    metric, limit_ms = experiment.task.metric, experiment.target.max_latency_ms
    baseline = experiment.task.baseline()
    told = sorted((c for c in candidates if c.name in finished_at),
                  key=lambda c: finished_at[c.name])
    rows: list[Row] = []
    points: list[tuple[float, float]] = []
    for count, candidate in enumerate(told, start=1):
        if candidate.has(PROBED) and candidate.has(SCREENED):
            points.append((candidate[PROBED].metric, candidate.first_latency_ms))
        since = finished_at[candidate.name] - finished_at[told[0].name]
        rows.append({
            "candidates": count,
            "minutes": since.total_seconds() / 60,
            "hypervolume": hypervolume(
                points, metric, worst_quality=baseline, worst_latency_ms=limit_ms
            ),
        })
    return rows


def _table(candidates: Sequence[Candidate], metric: str) -> Table:
    targets = next((tuple(c.limits_ms) for c in candidates if c.limits_ms), ())
    rows = [
        (
            c.name, c.architecture.id, describe(c.architecture),
            c.latency_ms if c.receipts else None,
            *(r.median_ms if (r := c.receipt_on(target)) else None for target in targets),
            c.quality, c.rejected.reason if c.rejected else "",
        )
        for c in candidates
    ]
    each = (f"latency_ms@{target}" for target in targets)
    return Table(
        ("name", "id", "architecture", "latency_ms", *each, metric, "rejected"), rows
    )


def _settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that the study was begun with; no password is in them."""
    path = experiment.folder / SETTINGS
    if not path.is_file():
        return {"target": asdict(experiment.target), "study": asdict(experiment.plan)}
    return read_record(path, _without_passwords, remedy=SETTINGS_REMEDY)


def _without_passwords(settings: Any) -> dict[str, Any]:
    return dict(json.loads(redacted(json.dumps(settings))))



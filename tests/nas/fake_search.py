"""A search whose stages cost nothing: evidence follows from the network alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finished_studies import PSNR, receipt, trained

from nas.candidate import Candidate, Rejection
from nas.events import Event, Finished, Judged, Listener, Note, Started
from nas.evidence import (
    EXPORTED,
    KNOWN,
    MAIN,
    PROBED,
    QUANTIZED,
    SCREENED,
    SETTLED,
    TRAINED,
    ExportReport,
)
from nas.experiment import Experiment, Plan, Rig, Stage
from nas.ledger import Ledger
from nas.pipeline import run_study
from nas.stages import corridor
from nas.study import Study
from nas.target import Target
from runtime.signature import Signature, one_to_one
from search_spaces.quantize import CPU_RULES
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.work import gmacs
from trainers.base import Metric, QuantReport
from trainers.budget import Budget

ORDER = ["screened", "probed", "settled", "trained", "quantized", "exported"]
LIMIT_MS = 40.0


class FakeTask:
    """Nothing but what the pipeline itself asks for."""

    metric: Metric = PSNR
    signature: Signature = one_to_one(3, 3, 2)

    def baseline(self) -> float:
        return 30.0


@dataclass
class Notes:
    """A listener that keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        match event:
            case Note(line):
                self.lines.append(line)
            case Started(candidate, stage):
                self.events.append(("started", candidate.name, stage.name))
            case Judged(step=step):
                self.events.append(("judged", str(step), ""))
            case Finished(candidate, stage, again):
                self.events.append(("again" if again else "finished", candidate.name, stage.name))


def latency_ms(candidate: Candidate) -> float:
    """Ten milliseconds for every billion multiply-adds."""
    return 10 * gmacs(lower(candidate.architecture), 360, 640)


def quality(candidate: Candidate) -> float:
    """Larger is better, with a wobble that makes some networks better than larger ones."""
    wobble = int(candidate.architecture.id, 16) % 100 / 100
    return 30 + latency_ms(candidate) ** 0.25 + wobble


Body = Callable[[Candidate, Experiment], Candidate]


class FakeStages:
    """Stages that keep who was sent through them; `before` is called first and may raise."""

    def __init__(self, before: Callable[[int, Candidate, str], None] | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self._before = before

    def stages(self) -> tuple[Stage, ...]:
        """In the order of the real ones."""
        return tuple(replace(stage, body=self._stage(stage.name)) for stage in corridor())

    def _stage(self, evidence: str) -> Body:
        make: Callable[[Candidate], Candidate] = getattr(self, f"_{evidence}")

        def stage(candidate: Candidate, experiment: Experiment) -> Candidate:
            self.calls.append((candidate.name, evidence))
            if self._before is not None:
                self._before(len(self.calls), candidate, evidence)
            return make(candidate)

        return stage

    def _screened(self, candidate: Candidate) -> Candidate:
        ms = latency_ms(candidate)
        slow = None
        if ms > LIMIT_MS and candidate.is_proposal:
            slow = Rejection("latency_ms", "over the limit", ms, LIMIT_MS)
        return replace(candidate.having(SCREENED, receipt(ms)), rejected=slow)

    def _probed(self, candidate: Candidate) -> Candidate:
        return candidate.having(PROBED, trained(quality(candidate) - 1, 100))

    def _settled(self, candidate: Candidate) -> Candidate:
        return candidate.having(SETTLED, receipt(latency_ms(candidate)))

    def _trained(self, candidate: Candidate) -> Candidate:
        return candidate.having(TRAINED, trained(quality(candidate)))

    def _quantized(self, candidate: Candidate) -> Candidate:
        report = QuantReport(quality(candidate) - 0.1, 0.1, "int8", 100, 3.0)
        return candidate.having(QUANTIZED, report)

    def _exported(self, candidate: Candidate) -> Candidate:
        shipped, fp32 = receipt(latency_ms(candidate)), receipt(2 * latency_ms(candidate))
        folder = f"winners/{candidate.architecture.id}"
        report = ExportReport(folder, shipped, fp32, {"int8": 0.01}, {"int8": 0.001})
        return candidate.having(EXPORTED, report)


def experiment(folder: Path, listener: Listener | None = None, **plan: Any) -> Experiment:
    """A small search; the collaborators of real stages are missing."""
    missing: Any = None
    chosen = {"candidates": 8, "finalists": 3, "references": ("ecbsr_m4c16", "fsrcnn"), **plan}
    task: Any = FakeTask()
    target = Target(engine="fake", max_latency_ms=LIMIT_MS)
    return Experiment(
        folder=folder,
        plan=Plan("photos", **chosen),
        rigs={MAIN: Rig(MAIN, target, missing, missing, missing, CPU_RULES)},
        budget=Budget(),
        space=SuperResolutionSpace(),
        task=task,
        ledger=Ledger(folder),
        stages=corridor(),
        listeners=() if listener is None else (listener,),
    )


def study_of(experiment: Experiment) -> Study:
    """The study in the experiment's folder."""
    return Study(
        experiment.folder / "study.journal",
        name=experiment.plan.name,
        seed=experiment.plan.seed,
        metric=experiment.task.metric,
    )


def searched(folder: Path, **plan: Any) -> list[Candidate]:
    """What a whole search finds."""
    here = experiment(folder, **plan)
    return run_study(here, study_of(here))


def evidence(candidate: Candidate) -> list[str]:
    """The stages that a candidate has been through."""
    return [name for name in ORDER if candidate.has(KNOWN[name])]

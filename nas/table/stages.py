"""The bodies of the stages when a table answers: nothing is compiled, trained or exported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, cast

from latency_models.base import LatencyReport
from nas.candidate import Candidate, Rejection
from nas.evidence import PROBED, QUANTIZED, SCREENED, SETTLED, TRAINED, Evidence
from nas.experiment import Experiment, Stage
from nas.receipts import too_slow
from nas.stages import corridor
from nas.table.answers import Table
from nas.table.base import ENGINE, Answer, TableError, metric_at
from search_spaces.skeletons import lower
from trainers.base import QuantReport, TrainReport


def stages_from(table: Table) -> tuple[Stage, ...]:
    """What takes the place of the real stages; there is none that exports."""

    def screen(candidate: Candidate, experiment: Experiment) -> Candidate:
        """Look the latency up, and reject what is over the limit."""
        report = receipt(candidate, table, experiment)
        slow = too_slow(report, experiment.target.max_latency_ms)
        rejected = slow if candidate.is_proposal else None
        return replace(candidate.having(SCREENED, report), rejected=rejected)

    def probe(candidate: Candidate, experiment: Experiment) -> Candidate:
        """Look up how far the training had come after so many steps."""
        steps = experiment.plan.probe_steps
        return _trained(candidate, table.answer(candidate.architecture), PROBED, steps, table)

    def settle(candidate: Candidate, experiment: Experiment) -> Candidate:
        """Give the same receipt again: it costs nothing to look it up exactly."""
        return candidate.having(SETTLED, candidate[SCREENED])

    def train(candidate: Candidate, experiment: Experiment) -> Candidate:
        """Look up what the training came to."""
        answer = table.answer(candidate.architecture)
        return _trained(candidate, answer, TRAINED, table.about.steps, table)

    def quantize(candidate: Candidate, experiment: Experiment) -> Candidate:
        """Take the metric of the training: what int8 takes off it is not in the table."""
        trained, precision = candidate[TRAINED], experiment.target.precision
        report = QuantReport(trained.metric, 0.0, precision, 0, 0.0, scores=trained.scores)
        return candidate.having(QUANTIZED, report)

    bodies = {
        SCREENED: screen, PROBED: probe, SETTLED: settle, TRAINED: train, QUANTIZED: quantize,
    }  # fmt: skip
    known = [stage for stage in corridor() if stage.evidence in bodies]
    return tuple(replace(stage, body=bodies[stage.evidence]) for stage in known)


def _trained(
    candidate: Candidate, answer: Answer, evidence: Evidence[TrainReport], steps: int, table: Table
) -> Candidate:
    training = answer.training
    whole = steps >= table.about.steps
    if training.metric is None:
        # Its curve ends where it broke; what is asked for before that is answered.
        if whole or not training.curve or steps > training.curve[-1][0]:
            return replace(candidate, rejected=Rejection("trains", training.diverged))
        metric = metric_at(training, steps)
    else:
        metric = training.metric if whole else metric_at(training, steps)
    device = "surrogate" if answer.training_estimated else ENGINE
    report = TrainReport(
        metric, table.about.metric.name, steps, training.train_s * steps / table.about.steps,
        device=device, scores=training.scores if whole else (),
    )  # fmt: skip
    return candidate.having(evidence, report)


def receipt(candidate: Candidate, table: Table, experiment: Experiment) -> LatencyReport:
    """The table's latency as a receipt; what the table does not hold is zero, or the median."""
    answer, target = table.answer(candidate.architecture), experiment.target
    median = answer.latency_ms[target.precision]
    graph = lower(candidate.architecture)
    channels = candidate.architecture.in_channels
    return LatencyReport(
        median_ms=median, p5_ms=median, p95_ms=median, p99_ms=median, ci_low_ms=median,
        ci_high_ms=median, samples=0, warmup_s=0.0, clock="cpu", wall_median_ms=median,
        cpu_median_ms=median, batch_size=1,
        input_shape=(1, channels, target.height, target.width), precision=target.precision,
        engine=ENGINE, engine_version=table.about.engine, device=table.processor,
        threads=table.about.threads, build_s=answer.screening_s, peak_memory_mib=0.0,
        engine_bytes=0, layers_before=len(graph.nodes), layers_after=len(graph.nodes),
        # No file was written: the network itself is named.
        onnx_sha256=hashlib.sha256(graph.canonical_hash().encode()).hexdigest(), drift=0.0,
        verdict=cast(Literal["ok", "unstable", "contended"], answer.verdict[target.precision]),
        estimated=answer.latency_estimated,
    )  # fmt: skip


def simulated_s(candidates: Iterable[Candidate], *, at_once: int) -> float:
    """What the evidence of these candidates would have cost on the machine of the table.

    Args:
        at_once: finalists that are trained at the same time.
    """
    total = 0.0
    for candidate in candidates:
        probed_s = candidate[PROBED].train_s if candidate.has(PROBED) else 0.0
        if candidate.has(SCREENED):
            total += candidate[SCREENED].build_s
        total += probed_s
        if candidate.has(TRAINED):
            total += (candidate[TRAINED].train_s - probed_s) / at_once
    return total


def refuse_probe(table: Table, probe_steps: int, *, where: str) -> None:
    """Refuse a short training that the table did not look at.

    Raises:
        TableError: it looks from a later step on.
    """
    if probe_steps < table.first_look:
        raise TableError(
            f"study.table={where} looks at the metric from step {table.first_look} on: ask for "
            f"study.probe_steps of at least {table.first_look}"
        )

"""The receipts that networks are told apart by: how long files are timed, and what is too slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from latency_models.base import CompileError, LatencyReport
from latency_models.intervals import CLOSE
from latency_models.protocol import MeasuringProtocol
from nas.candidate import Candidate, Rejection
from nas.evidence import Evidence
from nas.experiment import Experiment, Rig
from search_spaces.graph import Graph
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

SCREENING = MeasuringProtocol(
    warmup_s=0.05,
    half_width=0.02,
    widest_ok=0.03,
    budget_s=1.2,
    tails=CLOSE,
    rank_half_width=0.03,
    rank_s=0.2,
)
"""Enough for the limit and a rough rank; what is compared is `settled`, what ships is measured by
the full protocol."""
_FEWEST_ATTEMPTS, _MOST_ATTEMPTS = 2, 4


def settled(rig: Rig, onnx: bytes) -> LatencyReport:
    """The receipt that a file is compared by; an unsettled machine gets time to settle.

    Of several attempts the first that is `ok` counts, else the one with the narrowest interval.
    """
    limit_ms = rig.target.max_latency_ms
    attempts: list[LatencyReport] = []
    while len(attempts) < _MOST_ATTEMPTS:
        report = rig.full.measure(onnx, rig.target.precision)
        if report.verdict == "ok":
            return report
        attempts.append(report)
        if len(attempts) >= _FEWEST_ATTEMPTS and report.median_ms <= limit_ms:
            break
    return min(attempts, key=_half_width)


def timed_everywhere(
    candidate: Candidate,
    experiment: Experiment,
    evidence: Evidence[LatencyReport],
    measure: Callable[[Rig, bytes], LatencyReport],
) -> Candidate:
    """The untrained network, timed on one target after the other, as it will ship there.

    A proposal is rejected as soon as it misses one limit; what is published or given is timed on
    all of them.

    Args:
        evidence: what the receipts are kept as.
        measure: times one file.
    """
    graph, limits_ms = lower(candidate.architecture), experiment.limits_ms
    candidate = replace(candidate, limits_ms=limits_ms)
    for rig in experiment.in_turn:
        on = rig.name if limits_ms else ""
        try:
            report = measure(rig, untrained_file(graph, rig))
        except CompileError as error:
            reason = f"{error} (on {on})" if on else str(error)
            return replace(candidate, rejected=Rejection("compiles", reason))
        candidate = candidate.having(evidence.on(rig.name), report)
        slow = too_slow(report, rig.target.max_latency_ms, on=on)
        if slow is not None and candidate.is_proposal:
            return replace(candidate, rejected=slow)
    return candidate


def _half_width(report: LatencyReport) -> float:
    return (report.ci_high_ms - report.ci_low_ms) / 2 / report.median_ms


def too_slow(report: LatencyReport, limit_ms: float, *, on: str = "") -> Rejection | None:
    """Why a candidate with this receipt goes no further, or None.

    Args:
        on: the name of the target, where there are several.
    """
    if report.median_ms <= limit_ms:
        return None
    where = f" on {on}" if on else ""
    reason = f"{report.median_ms:.3g} ms is over the limit of {limit_ms:g} ms{where}"
    return Rejection("latency_ms", reason, report.median_ms, limit_ms)


def untrained_file(graph: Graph, rig: Rig) -> bytes:
    """The network as the target would be given it, with weights that were only drawn."""
    target = rig.target
    return untrained(
        graph,
        precision=target.precision,
        height=target.height,
        width=target.width,
        rules=rig.rules,
    )

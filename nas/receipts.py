"""The receipts that networks are told apart by: how long files are timed, and what is too slow."""

from __future__ import annotations

from latency_models.base import LatencyReport
from latency_models.intervals import CLOSE
from latency_models.protocol import MeasuringProtocol
from nas.candidate import Rejection
from nas.experiment import Experiment
from search_spaces.graph import Graph
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


def settled(experiment: Experiment, onnx: bytes) -> LatencyReport:
    """The receipt that a file is compared by; an unsettled machine gets time to settle.

    Of several attempts the first that is `ok` counts, else the one with the narrowest interval.
    """
    limit_ms = experiment.target.max_latency_ms
    attempts: list[LatencyReport] = []
    while len(attempts) < _MOST_ATTEMPTS:
        report = experiment.latency.measure(onnx, experiment.target.precision)
        if report.verdict == "ok":
            return report
        attempts.append(report)
        if len(attempts) >= _FEWEST_ATTEMPTS and report.median_ms <= limit_ms:
            break
    return min(attempts, key=_half_width)


def _half_width(report: LatencyReport) -> float:
    return (report.ci_high_ms - report.ci_low_ms) / 2 / report.median_ms


def too_slow(report: LatencyReport, limit_ms: float) -> Rejection | None:
    """Why a candidate with this receipt goes no further, or None."""
    if report.median_ms <= limit_ms:
        return None
    reason = f"{report.median_ms:.3g} ms is over the limit of {limit_ms:g} ms"
    return Rejection("latency_ms", reason, report.median_ms, limit_ms)


def untrained_file(graph: Graph, experiment: Experiment) -> bytes:
    """The network as the target would be given it, with weights that were only drawn."""
    target = experiment.target
    return untrained(
        graph,
        precision=target.precision,
        height=target.height,
        width=target.width,
        rules=experiment.rules,
    )

"""Screened: the untrained network, timed as it will ship."""

from __future__ import annotations

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.evidence import SCREENED
from nas.experiment import Experiment, Rig, Stage, Words
from nas.receipts import settled, timed_everywhere


def screen(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Compile the untrained network as it will ship, time it, and reject it when it is too slow.

    The limit is decided first, which takes a handful of runs far from it and seconds near it; a
    candidate within it is then measured on until it can be ranked roughly, in the same run of
    the engine. Published networks get a full receipt and are never rejected.
    """
    measure = _quickly if candidate.is_proposal else settled
    return timed_everywhere(candidate, experiment, SCREENED, measure)


def _quickly(rig: Rig, onnx: bytes) -> LatencyReport:
    target = rig.target
    return rig.quick.measure(onnx, target.precision, limit_ms=target.max_latency_ms)


SCREEN = Stage(
    SCREENED, screen, Words("timing", done="timed untrained", bar="compiled and timed untrained")
)

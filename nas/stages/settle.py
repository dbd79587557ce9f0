"""Settled: those that may be chosen, timed again for longer."""

from __future__ import annotations

from latency_models.base import LatencyReport
from nas.candidate import Candidate
from nas.evidence import SETTLED
from nas.experiment import Experiment, Rig, Stage, Words
from nas.receipts import timed_everywhere


def settle(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Time the untrained network again and longer, for it may be chosen or make others pass.

    The first receipt only had to tell the side of the limit and a rough rank.
    """
    return timed_everywhere(candidate, experiment, SETTLED, _longer)


def _longer(rig: Rig, onnx: bytes) -> LatencyReport:
    return rig.quick.measure(onnx, rig.target.precision)


SETTLE = Stage(SETTLED, settle, Words("timing again"), proposals_only=True)

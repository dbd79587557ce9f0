"""Settled: those that may be chosen, timed again for longer."""

from __future__ import annotations

from dataclasses import replace

from nas.candidate import Candidate
from nas.evidence import SETTLED
from nas.experiment import Experiment, Stage, Words
from nas.receipts import too_slow, untrained_file
from search_spaces.skeletons import lower


def settle(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Time the untrained network again and longer, for it may be chosen or make others pass.

    The first receipt only had to tell the side of the limit and a rough rank.
    """
    onnx = untrained_file(lower(candidate.architecture), experiment)
    report = experiment.screening.measure(onnx, experiment.target.precision)
    slow = too_slow(report, experiment.target.max_latency_ms)
    return replace(candidate.having(SETTLED, report), rejected=slow)


SETTLE = Stage(SETTLED, settle, Words("timing again"), proposals_only=True)

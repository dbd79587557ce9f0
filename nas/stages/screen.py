"""Screened: the untrained network, timed as it will ship."""

from __future__ import annotations

from dataclasses import replace

from latency_models.base import CompileError
from nas.candidate import Candidate, Rejection
from nas.evidence import SCREENED
from nas.experiment import Experiment, Stage, Words
from nas.receipts import settled, too_slow, untrained_file
from search_spaces.skeletons import lower


def screen(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Compile the untrained network as it will ship, time it, and reject it when it is too slow.

    The limit is decided first, which takes a handful of runs far from it and seconds near it; a
    candidate within it is then measured on until it can be ranked roughly, in the same run of
    the engine. Published networks get a full receipt and are never rejected.
    """
    limit_ms, precision = experiment.target.max_latency_ms, experiment.target.precision
    onnx = untrained_file(lower(candidate.architecture), experiment)
    try:
        if not candidate.is_proposal:
            return candidate.having(SCREENED, settled(experiment, onnx))
        report = experiment.screening.measure(onnx, precision, limit_ms=limit_ms)
    except CompileError as error:
        return replace(candidate, rejected=Rejection("compiles", str(error)))
    return replace(candidate.having(SCREENED, report), rejected=too_slow(report, limit_ms))


SCREEN = Stage(
    SCREENED, screen, Words("timing", done="timed untrained", bar="compiled and timed untrained")
)

"""A search that only compiles: for machines with an engine's compiler and without its device.

    propose -> screened

Nothing is timed, trained or exported. A candidate's receipt is an estimate (`estimated`), from
the roofline of a card's data sheet, and it is rejected when the engine refuses it or when its
multiply-adds alone would take longer than the limit. The memory's roof rejects nobody: what stays
in a card's cache is faster than that.
"""

from __future__ import annotations

from dataclasses import replace

from latency_models.base import CompileError
from nas.candidate import Candidate, Rejection
from nas.evidence import SCREENED
from nas.experiment import Experiment, Stage, Words
from nas.receipts import untrained_file
from search_spaces.skeletons import lower


def compile_only(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Compile the untrained network as it will ship, and estimate what it takes at least."""
    target = experiment.target
    try:
        onnx = untrained_file(lower(candidate.architecture), experiment.main)
        report = experiment.main.quick.measure(onnx, target.precision)
    except CompileError as error:
        return replace(candidate, rejected=Rejection("compiles", str(error)))
    least_ms = float(report.conditions["compute_ms"])
    if not candidate.is_proposal or least_ms <= target.max_latency_ms:
        return candidate.having(SCREENED, report)
    reason = (
        f"its multiply-adds take {least_ms:.3g} ms at the peak of a {report.device}, over the "
        f"limit of {target.max_latency_ms:g} ms"
    )
    slow = Rejection("latency_ms", reason, least_ms, target.max_latency_ms)
    return replace(candidate.having(SCREENED, report), rejected=slow)


COMPILE = Stage(SCREENED, compile_only, Words("compiling", done="compiled"))

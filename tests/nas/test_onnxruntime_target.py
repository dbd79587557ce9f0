"""A search for ONNX Runtime judges, times and ships one file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from toy_search import small_candidate, toy_experiment, write_photos

from latency_models.base import Precision
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas.bundle import export
from nas.candidate import Candidate
from nas.evidence import EXPORTED, QUANTIZED
from nas.experiment import Experiment
from nas.networks import rules_for
from nas.stages.probe import probe
from nas.stages.quantize import quantize
from nas.stages.screen import screen
from nas.stages.settle import settle
from nas.stages.train import train
from nas.target import Target
from trainers.calls import still
from trainers.fit import finite_scores

onnxruntime = pytest.importorskip("onnxruntime")
SIZE = {"height": 40, "width": 48}
"""Half of the pictures': each of them is judged in the very file that ships."""
QUICK = MeasuringProtocol(warmup_s=0.02, budget_s=0.3)


class Judge:
    """Runs files on the engine and keeps what was really compiled."""

    def __init__(self) -> None:
        self.engine = OnnxRuntimeEngine()
        self.asked: set[str] = set()
        self.compiled: set[str] = set()

    def run(self, onnx: bytes, precision: Precision, frames: Any, carried: Any) -> list[Any]:
        with self.engine.compile(onnx, precision) as compiled:
            self.asked.add(sha256(onnx))
            self.compiled.add(sha256(compiled.onnx))
        return MeasuredLatency(self.engine).run(onnx, precision, frames, carried)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, Experiment, Judge]:
    """The corridor of one candidate, with the real engine for outputs and for times."""
    judge, latency = Judge(), MeasuredLatency(OnnxRuntimeEngine(), QUICK)
    here = toy_experiment(
        tmp_path_factory.mktemp("study"),
        write_photos(tmp_path_factory.mktemp("photos"), size=(80, 96)),
        target=Target(engine="onnxruntime", max_latency_ms=1000.0, **SIZE),
        rules=rules_for("onnxruntime"),
        runner=judge,
        full=latency,
        quick=latency,
    )
    candidate = small_candidate()
    for stage in (screen, probe, settle, train, quantize):
        candidate = stage(candidate, here)
        assert candidate.rejected is None
    judged = set(judge.asked)
    candidate = export(candidate, here)
    judge.asked = judged
    return candidate, here, judge


def shipped(candidate: Candidate, here: Experiment) -> bytes:
    assert candidate.has(EXPORTED)
    return (here.folder / candidate[EXPORTED].folder / "int8.onnx").read_bytes()


def test_the_file_that_was_judged_is_the_one_that_was_timed_and_ships(ended: Any) -> None:
    candidate, here, judge = ended
    file = sha256(shipped(candidate, here))
    assert judge.asked == {file}
    assert candidate[EXPORTED].shipped.onnx_sha256 == file
    receipts = json.loads(
        (here.folder / candidate[EXPORTED].folder / "latency.json").read_text()
    )
    assert receipts["int8"]["onnx_sha256"] == file
    assert receipts["int8"]["engine"] == "onnxruntime"


def test_the_engine_compiled_files_as_they_were_written(ended: Any) -> None:
    candidate, here, judge = ended
    assert sha256(shipped(candidate, here)) in judge.compiled
    assert judge.asked <= judge.compiled


def test_a_plain_session_on_the_shipped_file_has_the_quality_that_was_reported(
    ended: Any,
) -> None:
    candidate, here, _ = ended
    session = onnxruntime.InferenceSession(
        shipped(candidate, here), providers=["CPUExecutionProvider"]
    )

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(None, {"input": image})[0]
        return result

    found = float(np.mean(finite_scores(still(run), here.task)))
    assert found == pytest.approx(candidate[QUANTIZED].metric, abs=0.02)


def test_torch_computes_what_the_shipped_file_does(ended: Any) -> None:
    candidate, _, _ = ended
    assert candidate[EXPORTED].max_abs_error["int8"] < 0.02
    assert candidate[EXPORTED].mean_abs_error["int8"] < 1e-4


def test_what_was_screened_has_the_shipped_files_graph(ended: Any, tmp_path: Path) -> None:
    """Only numbers differ: an untrained network takes the time of the trained one."""
    import onnx

    from nas.receipts import untrained_file
    from search_spaces.skeletons import lower

    candidate, here, _ = ended
    first = untrained_file(lower(candidate.architecture), here.main)
    kinds = [
        [(node.op_type, list(node.input)) for node in onnx.load_from_string(file).graph.node]
        for file in (first, shipped(candidate, here))
    ]
    assert kinds[0] == kinds[1]

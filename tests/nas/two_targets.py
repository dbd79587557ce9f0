"""A toy search for two targets: int8 on OpenVINO, and fp32 at half the size on ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from finished_studies import receipt
from toy_search import ScriptedLatency, toy_experiment

from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.measured import MeasuredLatency
from nas.candidate import Candidate
from nas.evidence import EXPORTED, MAIN, SCREENED
from nas.experiment import Experiment, Rig
from nas.networks import rules_for
from nas.target import Target

SMALL_TARGET = Target(
    engine="onnxruntime", precision="fp32", height=16, width=24, max_latency_ms=4.0
)


def small_rig(*answers: Any, **changed: Any) -> Rig:
    """The second target: half the size in fp32, by ONNX Runtime."""
    latency = ScriptedLatency(*(answers or (2.0,)))
    made = Rig(
        "small", SMALL_TARGET, latency, latency, MeasuredLatency(OnnxRuntimeEngine()),
        rules_for("onnxruntime"),
    )
    return replace(made, **changed)


def both(folder: Path, photos: Path, *, small: Rig | None = None, **changed: Any) -> Experiment:
    """A toy search for two targets."""
    here = toy_experiment(folder, photos, **changed)
    return replace(here, rigs={**here.rigs, "small": small or small_rig()})


def on_both(candidate: Candidate, small_ms: float) -> Candidate:
    """A finished candidate as a search for two targets leaves it."""
    found = replace(candidate, limits_ms={MAIN: 50.0, "small": 20.0})
    there = receipt(small_ms, precision="fp32", input_shape=(1, 3, 180, 320), engine="ort")
    found = found.having(SCREENED.on("small"), there)
    if (exported := candidate.get(EXPORTED)) is not None:
        report = replace(
            exported, shipped=there, fp32=there, max_abs_error={"fp32": 1e-6},
            file="small-fp32.onnx",
        )
        found = found.having(EXPORTED.on("small"), report)
    return found

"""A search small enough to be run for real in seconds."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from finished_studies import receipt
from PIL import Image

from latency_models.base import LatencyReport, Precision
from latency_models.engines.ov import OpenVINOEngine
from latency_models.measured import MeasuredLatency
from nas.candidate import Candidate, Origin
from nas.evidence import MAIN
from nas.experiment import Experiment, Plan, Rig
from nas.ledger import Ledger
from nas.networks import rules_for
from nas.stages import corridor
from nas.target import Target
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.super_resolution import SuperResolutionSpace
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.tasks.super_resolution import SuperResolution

SMALL = Architecture(
    "upscaler", one_to_one(3, 3, 2), (BlockSpec.of("conv", 8), BlockSpec.of("conv", 8)),
    (("base", "bicubic"), ("centre", True), ("skip", True)),
)


def write_photos(folder: Path, *, count: int = 4, size: tuple[int, int] = (80, 96)) -> Path:
    """Smooth random colour pictures of this height and width."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        coarse = np.random.default_rng(k).integers(0, 256, (9, 11, 3)).astype(np.uint8)
        picture = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
        picture.save(folder / f"photo{k}.png")
    return folder


class ScriptedLatency:
    """Answers with these medians in turn, the last one for ever; a refusal is raised."""

    def __init__(self, *answers: float | Exception | LatencyReport) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[Precision, float | None]] = []
        self.files: list[bytes] = []

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        self.asked.append((precision, limit_ms))
        self.files.append(onnx)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, LatencyReport):
            return answer
        return receipt(answer, precision=precision)


def toy_experiment(folder: Path, photos: Path, **changed: Any) -> Experiment:
    """Four small photographs, a dozen training steps, the real engine for outputs."""
    engine = OpenVINOEngine()
    rig = Rig(
        MAIN,
        Target(engine="openvino", height=24, width=32, max_latency_ms=10.0),
        quick=ScriptedLatency(5.0),
        full=ScriptedLatency(5.0),
        runner=MeasuredLatency(engine),
        rules=rules_for("openvino"),
    )
    made = Experiment(
        folder=folder,
        plan=Plan("toy", candidates=4, probe_steps=4, finalists=2),
        rigs={MAIN: rig},
        budget=Budget(max_steps=8, batch_size=2, quant_steps=4, quant_calibration=8),
        space=SuperResolutionSpace(),
        task=SuperResolution(data=Sources(str(photos)), crop=16),
        ledger=Ledger(folder),
        stages=corridor(),
    )
    return on_rig(made, **changed)


def on_rig(here: Experiment, **changed: Any) -> Experiment:
    """The same with these fields, whether they are the experiment's or its first rig's."""
    names = {field.name for field in fields(Rig)} & set(changed)
    main = replace(here.main, **{name: changed.pop(name) for name in names})
    return replace(here, **{"rigs": {**here.rigs, MAIN: main}, **changed})


def small_candidate() -> Candidate:
    """The smallest network worth the name."""
    return Candidate("trial-00000", Origin("proposed"), SMALL)

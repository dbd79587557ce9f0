"""Frames of a renderer go the whole corridor: a search whose winner remembers what it made."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_search import cases, nas
from smaller import RENDERS, SMALL

from nas.ledger import load_arrays, unpack_scales
from nas.networks import rules_for
from nas.one_network import trained_in
from nas.report.further import further_words
from nas.trained import INT8_WEIGHTS
from runtime import load
from runtime.moving import HISTORY, REMEMBERED
from runtime.signature import OUTPUT
from search_spaces.fake_quantize import restore
from search_spaces.modules import build, load_weights
from search_spaces.skeletons import lower
from trainers.calls import run_of
from trainers.data.rendered.clips import Making, rendered_clips
from trainers.data.rendered.stretches import whole_frames
from trainers.tasks.temporal_upsampling import TemporalUpsampling

SHORT = (
    "study.candidates=2", "study.finalists=1", "study.probe_steps=10", "study.name=moving",
    "study.training_processes=1", "budget.max_steps=30", "target.height=48", "target.width=64",
    "target.max_latency_ms=1000", "task.crop=16", "task.frames=3",
    *(f"task.data.{name}={value}" for name, value in SMALL.items()),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a study, and what it said."""
    folder = tmp_path_factory.mktemp("moving")
    code, output, errors = nas("search", "+experiment=temporal_upsampling", *SHORT, folder=folder)
    assert code == 0, errors + output
    return folder / "runs" / "moving", output


@pytest.mark.slow
def test_a_search_ends_with_a_network_that_remembers(found: tuple[Path, str]) -> None:
    study, output = found
    (bundle, *_) = (path for path in (study / "winners").iterdir() if path.is_dir())
    network = load(bundle)
    assert network.precision == "int8" and network.signature.carried == {REMEMBERED: HISTORY}
    assert bundle.name in output
    told = " ".join(output.split())
    assert "without a network, over 2 clips: bicubic" in told
    assert "flicker in levels, less is better: bicubic" in told
    page = (study / "report.html").read_text()
    assert "accumulation" in page and "flicker in levels" in page


@pytest.mark.slow
def test_its_int8_file_follows_torch_over_many_frames(found: tuple[Path, str]) -> None:
    study, _ = found
    (bundle, *_) = (path for path in (study / "winners").iterdir() if path.is_dir())
    name = next(n for n, c in cases(study).items() if "exported" in c["evidence"])
    architecture, weights = trained_in(study / "candidates" / name)
    graph = lower(architecture)
    network = build(graph, seed=0)
    load_weights(network, weights)
    arrays = load_arrays(study / "candidates" / name / INT8_WEIGHTS, sha256="")
    quantized, placement, scales = unpack_scales(arrays, graph, rules_for("openvino"))
    in_int8 = restore(network, placement, quantized, scales)
    (clip,) = rendered_clips([3], Making(frames=30, size=24, scale=2, samples=1))
    margins = [(0, 0), (0, 0), (12, 12), (20, 20)]
    frames = [
        {key: np.pad(x, margins, mode="edge") for key, x in one.items()}
        for one in whole_frames(clip)
    ]
    shipped = list(load(bundle).over(frames))
    wanted = run_of(in_int8, architecture.signature)(frames)
    apart = [float(np.square(one[OUTPUT].clip(0, 1) - other[OUTPUT].clip(0, 1)).mean())
             for one, other in zip(shipped, wanted, strict=True)]
    assert max(apart) < 10 ** -3.5, "35 dB"


def test_rivals_are_told_where_there_is_no_winner() -> None:
    task = TemporalUpsampling(data=RENDERS, crop=16, frames=3)
    experiment: Any = SimpleNamespace(task=task, simulated=False)
    (line,) = further_words(experiment, [])
    assert line.startswith("flicker in levels, less is better: bicubic ")
    assert ", accumulation " in line


def test_a_task_with_one_metric_has_nothing_further() -> None:
    experiment: Any = SimpleNamespace(task=object(), simulated=False)
    assert further_words(experiment, []) == []

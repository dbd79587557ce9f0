"""What every engine keeps: those of `ENGINES`, and one of a user's own.

An engine that cannot run here is skipped with its own reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from calibrated import calibrated, lively, outputs, pictures
from networks import HEIGHT, NETWORKS, WIDTH
from onnx import helper

from latency_models.base import (
    CompiledModel,
    CompileError,
    DeviceError,
    Engine,
    EngineUnavailable,
    Precision,
)
from latency_models.engines import ENGINES, make_engine
from nas.networks import rules_for
from search_spaces.fake_quantize import convert
from search_spaces.modules import weights_of
from search_spaces.onnx_writer import write
from tests.latency_models.small_nets import conv_net, finished

OWN = "halved:Halved"
"""Of the toys."""
SLOW = ("inductor",)
"""Engines that compile for seconds."""
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in (*ENGINES, OWN)
]
NETWORK = "block conv"
LARGER = 10
"""The same network over a hundred times the pixels."""
RUNS = 5
each = pytest.mark.parametrize("name", NAMES)
_BARE = """
import importlib, sys
heavy = {"torch", "onnx", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"}
for name in sys.argv[1:]:
    importlib.import_module(name)
    found = sorted(heavy & set(sys.modules))
    if found:
        sys.exit(f"{name} imports {', '.join(found)}")
"""


def engine_of(name: str) -> Engine:
    """The engine, where it can run here."""
    try:
        engine = make_engine(name)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    if (reason := engine.available()) is not None:
        pytest.skip(reason)
    return engine


@cache
def file_for(name: str, precision: Precision, times: int = 1) -> bytes:
    """The network as this engine is given it, `times` as high and as wide."""
    graph, rules = NETWORKS[NETWORK], rules_for(name)
    size = {"height": HEIGHT * times, "width": WIDTH * times}
    if precision == "int8":
        weights, placement, scales = convert(calibrated(graph, rules=rules))
        return write(graph, weights, quantized=(placement, scales), prelu=rules.prelu, **size)
    return write(graph, weights_of(lively(graph)), float_type=precision, **size)


@cache
def compiled(name: str, times: int = 1) -> CompiledModel:
    """In fp32, once for all tests; they leave it open."""
    return engine_of(name).compile(file_for(name, "fp32", times), "fp32")


def test_importing_an_engines_file_imports_no_library() -> None:
    modules = [address.partition(":")[0] for address in (*ENGINES.values(), OWN)]
    done = subprocess.run(
        [sys.executable, "-c", _BARE, *modules], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, sys.path)))},
    )
    assert done.returncode == 0, done.stderr


@each
def test_it_says_what_it_is_and_whether_it_can_run_here(name: str) -> None:
    try:
        engine = make_engine(name)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    reason = engine.available()
    assert reason is None or (reason and "\n" not in reason)
    assert engine.name and engine.threads >= 1
    if reason is None:
        assert engine.version() and engine.device()


def _misfit() -> bytes:
    """A convolution over more channels than there are."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3])
    weight = {"w": np.ones((4, 5, 3, 3), np.float32)}
    return finished([node], weight, "y", [1, 3, 8, 8], [1, 4, 6, 6])


BROKEN = {
    "garbage": b"garbage",
    "nothing": b"",
    "cut off": conv_net()[:400],
    "unknown operator": conv_net().replace(b"Relu", b"Rolu"),
    "misfit": _misfit(),
}


@each
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused_in_one_line_before_it_is_timed(name: str, how: str) -> None:
    engine = engine_of(name)
    with pytest.raises(CompileError) as caught:
        engine.compile(BROKEN[how], "fp32").timed_runs(1)
    told = str(caught.value)
    assert told and "\n" not in told
    if how == "unknown operator":
        assert "Rolu" in told


@each
@pytest.mark.parametrize(("written", "asked"), [("fp32", "int8"), ("int8", "fp32")])
def test_another_precision_than_the_files_is_refused(name: str, written: Any, asked: Any) -> None:
    engine = engine_of(name)
    with pytest.raises(CompileError):
        engine.compile(file_for(name, written), asked)


@each
def test_outputs_equal_torchs(name: str) -> None:
    threads = torch.get_num_threads()
    image = pictures(1)
    (found,) = compiled(name).run([image.numpy()])
    expected = outputs(lively(NETWORKS[NETWORK]), image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.get_num_threads() == threads


@each
def test_outputs_of_halves_are_near_torchs(name: str) -> None:
    image, engine = pictures(1), engine_of(name)
    try:
        model = engine.compile(file_for(name, "fp16"), "fp16")
    except (CompileError, DeviceError) as refusal:
        pytest.skip(f"fp16 is refused: {refusal}")
    with model:
        (found,) = model.run([image.numpy()])
    expected = outputs(lively(NETWORKS[NETWORK]), image)
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=2e-2, atol=2e-2)


@each
def test_outputs_of_int8_are_those_of_the_fake_quantized_network(name: str) -> None:
    """They differ from it by far less than it differs from the float network."""
    image, engine, graph = pictures(1), engine_of(name), NETWORKS[NETWORK]
    try:
        model = engine.compile(file_for(name, "int8"), "int8")
    except (CompileError, DeviceError) as refusal:
        pytest.skip(f"int8 is refused: {refusal}")
    with model:
        (found,) = model.run([image.numpy()])
    expected = outputs(calibrated(graph, rules=rules_for(name)), image)
    rounding = np.abs(expected - outputs(lively(graph), image)).mean()
    assert np.abs(found - expected).mean() < 0.25 * rounding


@each
def test_a_hundred_times_the_work_takes_longer(name: str) -> None:
    small, large = (
        [sample.wall_ms for sample in compiled(name, times).timed_runs(RUNS)]
        for times in (1, LARGER)
    )
    assert len(small) == len(large) == RUNS and min(small) > 0
    assert min(large) > min(small)


@each
def test_the_wrong_number_of_inputs_is_refused(name: str) -> None:
    model = compiled(name)
    image = pictures(1).numpy()
    for given in ([], [image, image]):
        with pytest.raises(ValueError, match=f"{len(given)} inputs|has 1|has one"):
            model.run(given)


@each
def test_it_tells_the_layers_that_it_executes(name: str) -> None:
    layers = compiled(name).layers()
    assert layers and all(layer.kind and layer.ms is None for layer in layers)
    assert compiled(name).engine_bytes > 0

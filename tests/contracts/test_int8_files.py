"""The int8 file computes in the engine what the fake-quantized module computes in torch."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import saturation
import torch
from calibrated import Image, calibrated, lively, outputs, pictures
from drawn import draw
from halves import clear_seeds
from int8_runs import in_engine, in_onnxruntime, int8_file
from networks import NETWORKS

from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.engines.ort_flavour import to_ort_flavour
from latency_models.int8_support import largest_weight
from search_spaces.graph import Graph
from search_spaces.primitives import Concat, ConvTranspose
from search_spaces.quantize import place
from search_spaces.skeletons import lower
from search_spaces.transposed import runs_as_convolution

TOPS = (64, 127)
"""The largest weights of processors without VNNI and with it."""
QUANTIZED = [name for name, graph in NETWORKS.items() if place(graph).layers]
JOINS = [n for n in QUANTIZED if any(isinstance(p, Concat) for p in NETWORKS[n].nodes)]
DEEP = [name for name in QUANTIZED if name.startswith("reference ")]
SHALLOW = [name for name in QUANTIZED if name not in DEEP]
RANDOM = 16


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("name", QUANTIZED)
def test_a_gradient_reaches_every_weight_and_scale(name: str, top: int) -> None:
    network = calibrated(NETWORKS[name], weight_max=top)
    # The pictures of the calibration and louder ones: what is clipped moves its scale.
    image = pictures(2, of=NETWORKS[name])
    image = torch.cat([image, 1.5 * image - 0.25])
    network(image).square().mean().backward()
    nodes = enumerate(NETWORKS[name].nodes)
    whole = ("nearest", "bilinear")  # int8 holds these kernels exactly: nothing to learn
    kernels = {f"weight_scales.n{i}" for i, n in nodes if getattr(n, "fixed", "").endswith(whole)}
    for parameter_name, parameter in network.named_parameters():
        if parameter_name in kernels or not parameter.requires_grad:
            picture = parameter_name.startswith("tensors.t")
            assert picture or parameter_name in kernels, parameter_name
            assert parameter.grad is None, parameter_name
            continue
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("name", QUANTIZED)
def test_the_checker_accepts_the_int8_file(name: str, top: int) -> None:
    file = int8_file(calibrated(NETWORKS[name], weight_max=top))
    model = onnx.load_model_from_string(file)
    onnx.checker.check_model(model, full_check=True)


def difference(
    graph: Graph, run: Callable[[bytes, Image], Image], *, seed: int = 0
) -> tuple[float, float]:
    """Mean and largest difference of an engine to torch, in shares of quantization's own error."""
    network, image = calibrated(graph, seed=seed), pictures(1, of=graph)
    expected = outputs(network, image)
    error = np.abs(run(int8_file(network), image.numpy()) - expected)
    rounding = np.abs(expected - outputs(lively(graph, seed=seed), image))
    return float(error.mean() / rounding.mean()), float(error.max() / rounding.max())


def away_from_halves(
    graph: Graph, run: Callable[[bytes, Image], Image]
) -> tuple[float, float]:
    """The same difference, the middle one over weights that leave no doubt how to round."""
    found = sorted(difference(graph, run, seed=seed) for seed in clear_seeds(graph))
    return found[len(found) // 2]


@pytest.mark.parametrize("name", SHALLOW)
def test_the_engine_computes_an_int8_file_as_torch_does(name: str) -> None:
    mean, largest = away_from_halves(NETWORKS[name], in_engine)
    assert mean < 1e-3
    assert largest < 1e-2


@pytest.mark.parametrize("name", [name for name in SHALLOW if name in JOINS])
def test_onnxruntime_computes_an_int8_join_as_torch_does(name: str) -> None:
    mean, largest = away_from_halves(NETWORKS[name], in_onnxruntime)
    assert mean < 1e-3
    assert largest < 1e-2


@pytest.mark.parametrize("name", [name for name in SHALLOW if name in JOINS])
def test_onnxruntimes_own_flavour_can_be_made_of_an_int8_join(name: str) -> None:
    file = to_ort_flavour(int8_file(calibrated(NETWORKS[name])))
    onnx.checker.check_model(onnx.load_model_from_string(file), full_check=True)
    image = pictures(1, of=NETWORKS[name]).numpy()
    assert np.isfinite(in_onnxruntime(file, image)).all()


@pytest.mark.parametrize("name", QUANTIZED)
def test_onnxruntime_runs_every_convolution_in_int8(name: str) -> None:
    graph = NETWORKS[name]
    layers = [n for i, n in enumerate(graph.nodes) if i in place(graph).layers]
    wide = [n for n in layers if isinstance(n, ConvTranspose) and not runs_as_convolution(n)]
    # Its engine refuses a file of which a convolution would run in float.
    with OnnxRuntimeEngine().compile(int8_file(calibrated(graph)), "int8") as compiled:
        kinds = [layer.kind for layer in compiled.layers()]
    assert kinds.count("QLinearConv") == len(layers) - len(wide)


@pytest.mark.parametrize("name", DEEP)
def test_the_engine_computes_a_deep_int8_file_as_torch_does(name: str) -> None:
    mean, largest = difference(NETWORKS[name], in_engine)
    assert mean < 1.0
    assert largest < 1.5


def test_the_engine_computes_random_int8_files_as_torch_does() -> None:
    exact, image = 0, pictures(1)
    for seed in range(RANDOM):
        graph = lower(draw(seed))
        network = calibrated(graph, seed=seed)
        expected = outputs(network, image)
        error = np.abs(in_engine(int8_file(network), image.numpy()) - expected).mean()
        rounding = np.abs(expected - outputs(lively(graph, seed=seed), image)).mean()
        # One value on the other side of a half grows through the layers behind it, but stays
        # below what quantization itself changes.
        assert error < rounding, seed
        exact += bool(error < 1e-3 * rounding)
    assert exact >= RANDOM // 2


@pytest.mark.parametrize("top", [t for t in TOPS if t <= largest_weight("openvino")])
def test_the_largest_sums_are_exact_with_the_weights_this_processor_is_given(top: int) -> None:
    assert saturation.error(top) < 1e-5


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="this processor is not x86: int8 products are added without VNNI or its like there",
)
def test_without_vnni_only_weights_up_to_64_are_added_exactly() -> None:
    weaker = os.environ | {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    told = subprocess.run(
        [sys.executable, saturation.__file__],
        env=weaker, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found = json.loads(told.stdout)
    assert found["errors"]["64"] < 1e-5
    assert found["errors"]["127"] > 0.01
    assert found["largest"] == 64

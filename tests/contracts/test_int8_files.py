"""The int8 file computes in the engine what the fake-quantized module computes in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from calibrated import Image, calibrated, lively, outputs, pictures
from drawn import draw
from networks import HEIGHT, NETWORKS, WIDTH

from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.engines.ort_flavour import to_ort_flavour
from latency_models.engines.ov import OpenVINOEngine
from latency_models.int8_support import largest_weight
from search_spaces.fake_quantize import QuantizedNetwork, convert, prepare
from search_spaces.graph import Concat, Conv, Graph, GraphBuilder
from search_spaces.onnx_writer import write
from search_spaces.primitives import ConvTranspose
from search_spaces.quantize import CPU_RULES, place
from search_spaces.skeletons import lower
from search_spaces.transposed import runs_as_convolution

ENGINE = OpenVINOEngine()
QUANTIZED = [name for name, graph in NETWORKS.items() if place(graph).layers]
JOINS = [n for n in QUANTIZED if any(isinstance(p, Concat) for p in NETWORKS[n].nodes)]
FEW_LAYERS = 12
"""In deeper networks one sum on a half, rounded to the other side, reaches much of the output."""
DEEP = [name for name in QUANTIZED if name.startswith("reference ")]
SHALLOW = [name for name in QUANTIZED if name not in DEEP]
RANDOM = 16
TOPS = (64, 127)
"""The largest weights of processors without VNNI and with it."""


def int8_file(network: QuantizedNetwork) -> bytes:
    weights, placement, scales = convert(network)
    return write(
        network.graph, weights, height=HEIGHT, width=WIDTH, quantized=(placement, scales)
    )


def in_engine(file: bytes, image: Image) -> Image:
    with ENGINE.compile(file, "int8") as compiled:
        result: Image = compiled.run([image])[0]
    return result


def in_onnxruntime(file: bytes, image: Image) -> Image:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    result: Image = session.run(None, {"input": image})[0]
    return result


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


@pytest.mark.parametrize("name", QUANTIZED)
def test_the_checker_accepts_the_int8_file(name: str) -> None:
    model = onnx.load_model_from_string(int8_file(calibrated(NETWORKS[name])))
    onnx.checker.check_model(model, full_check=True)


def difference(
    graph: Graph, run: Callable[[bytes, Image], Image], *, seed: int = 0
) -> tuple[float, float]:
    """Mean and largest difference of an engine to torch, in shares of quantization's own error.

    A sum that lies on a half may be rounded to the other side, which moves a few pixels by a step
    and grows through the layers behind it.
    """
    network, image = calibrated(graph, seed=seed), pictures(1, of=graph)
    expected = outputs(network, image)
    error = np.abs(run(int8_file(network), image.numpy()) - expected)
    rounding = np.abs(expected - outputs(lively(graph, seed=seed), image))
    return float(error.mean() / rounding.mean()), float(error.max() / rounding.max())


@pytest.mark.parametrize("name", SHALLOW)
def test_the_engine_computes_an_int8_file_as_torch_does(name: str) -> None:
    graph = NETWORKS[name]
    # A tie hits some weights, a wrong kernel all: deep networks are judged by the middle of five.
    seeds = range(5 if len(place(graph).layers) > FEW_LAYERS else 1)
    found = sorted(difference(graph, in_engine, seed=seed) for seed in seeds)
    mean, largest = found[len(found) // 2]
    assert mean < 0.05
    assert largest <= 1.0


@pytest.mark.parametrize("name", [name for name in SHALLOW if name in JOINS])
def test_onnxruntime_computes_an_int8_join_as_torch_does(name: str) -> None:
    mean, largest = difference(NETWORKS[name], in_onnxruntime)
    assert mean < 0.05
    assert largest <= 1.0


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


@pytest.mark.skipif(
    largest_weight("openvino") == 127, reason="this processor adds int8 products exactly (VNNI)"
)
def test_without_vnni_only_weights_up_to_64_are_added_exactly() -> None:
    builder = GraphBuilder(3)
    features = builder.add(Conv, 0, out_channels=32, activation="relu")
    graph = builder.finish(builder.add(Conv, features, out_channels=8))
    bright = torch.ones(1, 3, HEIGHT, WIDTH)
    errors = {}
    for top in (64, 127):
        network = _of_positive_weights(graph, top)
        expected = outputs(network, bright)
        difference = np.abs(in_engine(int8_file(network), bright.numpy()) - expected)
        errors[top] = float(difference.max() / np.abs(expected).max())
    assert errors[64] < 1e-5
    assert errors[127] > 0.01


def _of_positive_weights(graph: Graph, top: int) -> QuantizedNetwork:
    """Sums as large as they can be: every weight and every input positive."""
    from search_spaces.fake_quantize import TensorQuantizer

    network = lively(graph)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    prepared = prepare(network, replace(CPU_RULES, weight_max=top)).eval()
    quantizers = [part for part in prepared.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for quantizer in quantizers:
            quantizer.start_calibration()
        prepared(torch.ones(1, 3, HEIGHT, WIDTH))
        for quantizer in quantizers:
            quantizer.finish_calibration()
    return prepared

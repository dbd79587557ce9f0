"""The int8 file for ONNX Runtime runs in int8 in any session, and computes what torch computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from calibrated import ORT_RULES, calibrated, lively, outputs, pictures
from drawn import draw
from halves import clear_seeds
from int8_runs import in_a_plain_session, int8_file, optimized_kinds
from networks import HEIGHT, NETWORKS, WIDTH

from latency_models.engines.ort import OnnxRuntimeEngine
from search_spaces.base import SearchSpace
from search_spaces.draws import draw as propose
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.fake_quantize import convert, prepare
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.mobile import MobileSpace
from search_spaces.onnx_writer import write
from search_spaces.primitives import Conv
from search_spaces.quantize import place
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.tensor_quantizer import TensorQuantizer
from search_spaces.untrained import untrained

DEEP = [name for name in NETWORKS if name.startswith("reference ")]
ON_HALVES = "base bilinear"
"""Sixteenths of picture levels, rounded to picture levels: each weight draw has exact halves."""
SHALLOW = [name for name in NETWORKS if name not in (*DEEP, ON_HALVES)]
RANDOM = 16
MOVES = {"Transpose", "Reshape", "DepthToSpace", "Split", "Slice", "MaxPool", "Flatten", "Resize"}
BETWEEN = {"QuantizeLinear", "DequantizeLinear", "NhwcMaxPool", *MOVES}
IN_FLOAT = {
    "Add",  # a Shift, as where a picture is centred: there is no int8 addition of a constant
    "Mul",  # a Scale, or a gate
    "Sub", "Div", "Exp", "Max", "ReduceMax", "ReduceSum", "Softmax", "Sigmoid", "Tanh", "Gelu",
    "HardSigmoid", "LeakyRelu", "Clip", "AveragePool", "GlobalAveragePool",
    "SpaceToDepth", "Concat",
    "GridSample",  # a Warp: no engine samples integers
    "ReorderInput", "ReorderOutput",
    "ConvTranspose",  # from eight outputs on; those with fewer are written as convolutions
}
"""What has no integer kernel, or stands where a network begins and ends in float."""
SPACES: dict[str, SearchSpace] = {
    "super_resolution": SuperResolutionSpace(),
    "encoder_decoder": EncoderDecoderSpace(),
    "mobile": MobileSpace(classes=10),
}
PROPOSALS = 12


def require_int8(graph: Graph, file: bytes, folder: Path) -> None:
    """Every convolution that is to be int8 is, and what runs in float is known to."""
    kinds = optimized_kinds(file, folder)
    assert kinds["QLinearConv"] == len(place(graph, ORT_RULES).layers)
    rest = {kind for kind in kinds if not kind.startswith("QLinear")}
    assert rest <= BETWEEN | IN_FLOAT


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_of_a_network_runs_in_int8_in_a_plain_session(
    name: str, tmp_path: Path
) -> None:
    file = int8_file(calibrated(NETWORKS[name], rules=ORT_RULES), ORT_RULES)
    onnx.checker.check_model(onnx.load_model_from_string(file), full_check=True)
    require_int8(NETWORKS[name], file, tmp_path)


@pytest.mark.parametrize("space", SPACES)
def test_so_does_every_convolution_of_random_proposals(space: str, tmp_path: Path) -> None:
    for seed in range(PROPOSALS):
        graph = lower(propose(SPACES[space], seed=seed).architecture)
        file = untrained(graph, precision="int8", height=32, width=64, rules=ORT_RULES)
        require_int8(graph, file, tmp_path)


def difference(graph: Graph, *, seed: int = 0) -> tuple[float, float]:
    """Mean and largest difference of a session to torch, in shares of quantization's own error."""
    network, image = calibrated(graph, seed=seed, rules=ORT_RULES), pictures(1, of=graph)
    expected = outputs(network, image)
    error = np.abs(in_a_plain_session(int8_file(network, ORT_RULES), image.numpy()) - expected)
    rounding = np.abs(expected - outputs(lively(graph, seed=seed), image))
    return float(error.mean() / rounding.mean()), float(error.max() / rounding.max())


@pytest.mark.parametrize("name", SHALLOW)
def test_a_plain_session_computes_a_file_as_torch_does(name: str) -> None:
    graph = NETWORKS[name]
    found = sorted(difference(graph, seed=seed) for seed in clear_seeds(graph, ORT_RULES))
    mean, largest = found[len(found) // 2]
    assert mean < 1e-3
    assert largest < 1e-2


@pytest.mark.parametrize("name", [*DEEP, ON_HALVES])
def test_a_plain_session_computes_a_deep_file_as_torch_does(name: str) -> None:
    mean, largest = difference(NETWORKS[name])
    assert mean < 1.0
    assert largest < 1.5


def test_a_plain_session_computes_random_files_as_torch_does() -> None:
    found = [difference(lower(draw(seed)), seed=seed)[0] for seed in range(RANDOM)]
    assert max(found) < 1.0
    assert sum(mean < 1e-3 for mean in found) >= RANDOM // 2


@pytest.mark.parametrize("name", NETWORKS)
def test_a_gradient_reaches_what_is_learned(name: str) -> None:
    network = calibrated(NETWORKS[name], rules=ORT_RULES)
    image = pictures(2, of=NETWORKS[name])
    # Louder pictures, too: what is clipped moves its scale.
    network(torch.cat([image, 1.5 * image - 0.25])).square().mean().backward()
    for label, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), label


@pytest.mark.parametrize("name", ["reference ecbsr_m4c16", "block residual", "join"])
def test_the_engine_compiles_the_very_file(name: str) -> None:
    file = int8_file(calibrated(NETWORKS[name], rules=ORT_RULES), ORT_RULES)
    image = pictures(1, of=NETWORKS[name]).numpy()
    with OnnxRuntimeEngine().compile(file, "int8") as compiled:
        assert compiled.onnx == file
        (found,) = compiled.run([image])
    assert np.array_equal(found, in_a_plain_session(file, image))


def chain(*, relu: bool = False) -> Graph:
    builder = GraphBuilder(3)
    first = builder.add(Conv, 0, out_channels=8, activation="relu")
    second = builder.add(Conv, first, out_channels=8, activation="relu" if relu else "none")
    return builder.finish(builder.add(Conv, second, out_channels=4))


@pytest.mark.parametrize("relu", [False, True])
def test_a_layer_that_is_kept_in_float_keeps_its_weights(relu: bool, tmp_path: Path) -> None:
    """ONNX Runtime rounds those of any layer between a DequantizeLinear and a QuantizeLinear."""
    graph = chain(relu=relu)
    network = prepare(lively(graph), ORT_RULES, keep_float=frozenset({2})).eval()
    calibrate(network)
    weights, placement, scales = convert(network)
    file = write(graph, weights, height=HEIGHT, width=WIDTH, quantized=(placement, scales))
    kinds = optimized_kinds(file, tmp_path)
    assert (kinds["QLinearConv"], kinds["Conv"] + kinds["FusedConv"]) == (2, 1)
    image = pictures(1)
    found = in_a_plain_session(file, image.numpy())
    step = scales.tensors[graph.output]
    assert float(np.abs(found - outputs(network, image)).mean()) < 0.05 * step
    with OnnxRuntimeEngine().compile(file, "int8") as compiled:
        assert compiled.onnx == file


@pytest.mark.parametrize("bias", [0.3, -0.3])
def test_a_channel_without_weights_gives_its_bias(bias: float) -> None:
    """Its own scale would be so small that the bias does not fit into 32 bits."""
    graph = chain()
    network = prepare(lively(graph), ORT_RULES).eval()
    with torch.no_grad():
        for index in (1, 2):
            network.weighted(index).weight[0].zero_()
            network.weight_scales[f"n{index}"][0] = float(np.log(1e-8))
            layer = network.weighted(index)
            assert layer.bias is not None
            layer.bias[0] = bias
    calibrate(network)
    image = pictures(1)
    found = in_a_plain_session(int8_file(network, ORT_RULES), image.numpy())
    np.testing.assert_allclose(found, outputs(network, image), atol=1e-5)


def calibrate(network: torch.nn.Module) -> None:
    parts = [part for part in network.modules() if isinstance(part, TensorQuantizer)]
    with torch.no_grad():
        for part in parts:
            part.start_calibration()
        network(pictures())
        for part in parts:
            part.finish_calibration()


def test_weights_for_processors_without_dot_products_need_no_option_of_the_session() -> None:
    rules = replace(ORT_RULES, weight_max=64)
    file = int8_file(calibrated(chain(), rules=rules), rules)
    integers = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_model_from_string(file).graph.initializer
        if tensor.name.endswith("weight.int8")
    ]
    assert len(integers) == 3 and all(np.abs(values).max() <= 64 for values in integers)

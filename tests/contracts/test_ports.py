"""A network with several inputs and a state is the same in torch and in every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from calibrated import OPENVINO_RULES, ORT_RULES

from latency_models.base import Engine
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.engines.ov import OpenVINOEngine
from runtime.signature import Port, Signature
from search_spaces.fake_quantize import QuantizedNetwork, convert, prepare
from search_spaces.graph import Graph, GraphBuilder, require_signature
from search_spaces.modules import Network, as_tensors, load_weights, weights_of
from search_spaces.onnx_writer import write
from search_spaces.primitives import Add, Concat, Conv, DepthToSpace, Multiply, Warp
from search_spaces.quantize import QuantRules
from search_spaces.tensor_quantizer import TensorQuantizer
from search_spaces.weights import random_weights

HEIGHT, WIDTH, FRAMES = 16, 24, 6
SIGNATURE = Signature(
    inputs=(
        Port("frame", 3),
        Port("motion", 2, kind="map"),
        Port("strength", 8, None, kind="map"),
        Port("history", 8, kind="state"),
    ),
    outputs=(Port("large", 3, Fraction(2)), Port("features", 8, kind="state")),
    carried={"features": "history"},
)
Arrays = dict[str, Any]


def recurrent() -> Graph:
    """Frame and warped history make features, which make the picture and the next history."""
    builder = GraphBuilder(*SIGNATURE.inputs)
    frame, motion, strength, history = range(4)
    moved = builder.add(Warp, history, motion)
    both = builder.add(Concat, frame, moved)
    body = builder.add(Conv, both, out_channels=8, activation="relu")
    gated = builder.add(Multiply, body, strength)
    features = builder.add(Conv, gated, out_channels=8, activation="relu")
    head = builder.add(Conv, builder.add(Add, features, body), out_channels=12)
    large = builder.add(DepthToSpace, head, factor=2)
    return builder.finish({"large": large, "features": features})


GRAPH = recurrent()


def frames(count: int = FRAMES, seed: int = 0) -> Iterator[Arrays]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield {
            "frame": rng.random((1, 3, HEIGHT, WIDTH), np.float32),
            "motion": rng.normal(0, 3, (1, 2, HEIGHT, WIDTH)).astype(np.float32),
            "strength": rng.random((1, 8), np.float32),
        }


@pytest.fixture(scope="module")
def network() -> Network:
    found = Network(GRAPH)
    weights = random_weights(GRAPH, seed=1)
    # Small enough that what is carried neither dies out nor explodes.
    load_weights(found, {k: w * np.float32(0.6) for k, w in weights.items()})
    return found.eval()


def in_torch(network: Network) -> Callable[[Arrays], Arrays]:
    def step(inputs: Arrays) -> Arrays:
        with torch.no_grad():
            return {k: v.numpy() for k, v in network(as_tensors(inputs)).items()}

    return step


def in_engine(compiled: Any) -> Callable[[Arrays], Arrays]:
    def step(inputs: Arrays) -> Arrays:
        outputs = compiled.run([inputs[port.name] for port in SIGNATURE.inputs])
        return dict(zip(GRAPH.outputs, outputs, strict=True))

    return step


def seen(network: Network) -> list[Arrays]:
    """All inputs of each frame, what is carried among them."""
    found: list[Arrays] = []

    def step(inputs: Arrays) -> Arrays:
        found.append(inputs)
        return in_torch(network)(inputs)

    list(SIGNATURE.unroll(step, frames(seed=5)))
    return found


def rounded(network: Network, rules: QuantRules) -> QuantizedNetwork:
    inputs = seen(network)
    prepared = prepare(network, rules, inputs=inputs).eval()
    quantizers = [part for part in prepared.modules() if isinstance(part, TensorQuantizer)]
    for quantizer in quantizers:
        quantizer.start_calibration()
    with torch.no_grad():
        for one in inputs:
            prepared(as_tensors(one))
    for quantizer in quantizers:
        quantizer.finish_calibration()
    return prepared


def test_the_graph_has_the_signature_that_it_was_built_from() -> None:
    require_signature(GRAPH, SIGNATURE)
    model = onnx.load_model_from_string(
        write(GRAPH, random_weights(GRAPH), height=HEIGHT, width=WIDTH, batch=2)
    )
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        port.name: (2, *port.shape(HEIGHT, WIDTH))
        for port in (*SIGNATURE.inputs, *SIGNATURE.outputs)
    }


@pytest.mark.parametrize(
    ("engine", "float_type", "most"),
    [
        (OpenVINOEngine(), "fp32", 2e-5),
        (OnnxRuntimeEngine(), "fp32", 2e-5),
        (OpenVINOEngine(), "fp16", 2e-2),
    ],
    ids=["openvino", "onnxruntime", "openvino fp16"],
)
def test_engines_carry_the_state_as_torch_does(
    engine: Engine, float_type: Any, most: float, network: Network
) -> None:
    file = write(
        GRAPH, weights_of(network), height=HEIGHT, width=WIDTH, float_type=float_type
    )
    with engine.compile(file, float_type) as compiled:
        made = list(SIGNATURE.unroll(in_engine(compiled), frames()))
    for one, other in zip(made, SIGNATURE.unroll(in_torch(network), frames()), strict=True):
        for name in GRAPH.outputs:
            assert np.abs(one[name] - other[name]).max() < most * max(1, np.abs(other[name]).max())


@pytest.mark.parametrize(
    ("engine", "rules"),
    [(OpenVINOEngine(), OPENVINO_RULES), (OnnxRuntimeEngine(), ORT_RULES)],
    ids=["openvino", "onnxruntime"],
)
def test_int8_engines_carry_the_state_as_fake_quantized_torch_does(
    engine: Engine, rules: QuantRules, network: Network
) -> None:
    prepared = rounded(network, rules)
    weights, placement, scales = convert(prepared)
    assert len(placement.layers) == 3
    file = write(
        GRAPH, weights, height=HEIGHT, width=WIDTH, quantized=(placement, scales),
        prelu=rules.prelu,
    )
    with engine.compile(file, "int8") as compiled:
        made = list(SIGNATURE.unroll(in_engine(compiled), frames()))
    for one, other in zip(made, SIGNATURE.unroll(in_torch(prepared), frames()), strict=True):
        for name in GRAPH.outputs:
            # A sum on a half may be rounded to either side, and is carried on.
            off = np.abs(one[name] - other[name])
            assert float(off.mean()) < 5e-3 * float(np.abs(other[name]).mean())


def plain_warp(image: np.ndarray[Any, Any], motion: np.ndarray[Any, Any]) -> Any:
    """Bilinear sampling as its definition reads, pixel by pixel."""
    count, channels, height, width = image.shape
    found = np.zeros(image.shape)
    for n in range(count):
        for y in range(height):
            for x in range(width):
                at_x = min(max(x + float(motion[n, 0, y, x]), 0.0), width - 1.0)
                at_y = min(max(y + float(motion[n, 1, y, x]), 0.0), height - 1.0)
                x0, y0 = int(at_x), int(at_y)
                x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
                fx, fy = at_x - x0, at_y - y0
                above = image[n, :, y0, x0] * (1 - fx) + image[n, :, y0, x1] * fx
                below = image[n, :, y1, x0] * (1 - fx) + image[n, :, y1, x1] * fx
                found[n, :, y, x] = above * (1 - fy) + below * fy
    return found


def warp_alone() -> Graph:
    builder = GraphBuilder(Port("image", 5), Port("motion", 2, kind="map"))
    return builder.finish(builder.add(Warp, 0, 1))


@pytest.mark.parametrize("size", [(16, 24), (1, 9), (9, 1)], ids=str)
def test_warp_is_bilinear_sampling_in_torch_and_in_every_engine(size: tuple[int, int]) -> None:
    height, width = size
    rng = np.random.default_rng(2)
    image = rng.random((2, 5, height, width), np.float32)
    motion = rng.normal(0, 4, (2, 2, height, width)).astype(np.float32)
    wanted, graph = plain_warp(image, motion), warp_alone()
    made = Network(graph)(as_tensors({"image": image, "motion": motion}))
    assert np.abs(made.numpy() - wanted).max() < 1e-5
    file = write(graph, {}, height=height, width=width, batch=2)
    for engine in (OpenVINOEngine(), OnnxRuntimeEngine()):
        with engine.compile(file, "fp32") as compiled:
            assert np.abs(compiled.run([image, motion])[0] - wanted).max() < 1e-5, engine.name


def test_warp_by_whole_pixels_moves_them_exactly() -> None:
    image = torch.rand(1, 5, 12, 10)
    motion = torch.zeros(1, 2, 12, 10)
    motion[:, 0], motion[:, 1] = 2.0, -3.0
    moved = Network(warp_alone())({"image": image, "motion": motion})
    assert (moved[:, :, 3:, :8] - image[:, :, :9, 2:]).abs().max() < 1e-5


def test_another_order_or_size_of_ports_is_another_network() -> None:
    other = replace(SIGNATURE.inputs[1], channels=3)
    ports = (SIGNATURE.inputs[0], other)
    assert GraphBuilder(*ports).finish(0) != GraphBuilder(*ports[::-1]).finish(0)
    swapped = Graph(GRAPH.nodes, GRAPH.results[::-1])
    assert swapped.canonical_hash() != GRAPH.canonical_hash()

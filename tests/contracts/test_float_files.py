"""The two readings of every network are one: the torch module and the ONNX file."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from calibrated import Image, lively, outputs, pictures
from drawn import draw
from networks import HEIGHT, NETWORKS, WIDTH
from torch import Tensor, nn

from search_spaces.base import Architecture
from search_spaces.graph import Graph, shapes_of
from search_spaces.modules import build, weights_of
from search_spaces.onnx_writer import write
from search_spaces.skeletons import lower

RANDOM = 200
HALF_OVER_SINGLE = 2**13
"""How much coarser half precision is."""


@pytest.fixture(params=NETWORKS)
def graph(request: pytest.FixtureRequest) -> Graph:
    return NETWORKS[request.param]


def run_onnx(file: bytes, image: Image) -> Image:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    result: Image = session.run(None, {source.name: image})[0]
    return result


def relative(one: Image, other: Image) -> float:
    """The largest difference, relative to the largest value where that is above one."""
    return float(np.abs(one - other).max() / max(1.0, float(np.abs(other).max())))


def own_rounding(network: nn.Module, image: Tensor) -> float:
    """What single precision itself does to the output: deep networks with gates enlarge it."""
    single = outputs(network, image)
    double = outputs(copy.deepcopy(network).double(), image.double())
    return relative(single, double)


def written(graph: Graph, network: Any, **options: Any) -> bytes:
    return write(graph, weights_of(network), height=HEIGHT, width=WIDTH, **options)


def test_every_tensor_has_the_shape_that_was_inferred(graph: Graph) -> None:
    network, seen = copy.deepcopy(lively(graph)), {}

    def watch(index: int, node: Any, sources: Any) -> Any:
        seen[index] = type(network).step(network, index, node, sources)
        return seen[index]

    network.step = watch  # type: ignore[method-assign]
    outputs(network, pictures(2, of=graph))
    inferred = shapes_of(graph, HEIGHT, WIDTH)
    assert set(seen) == set(range(1, len(graph.nodes)))
    assert {i: tuple(tensor.shape) for i, tensor in seen.items()} == {
        i: (2, *inferred[i]) for i in seen
    }


def test_a_gradient_reaches_every_parameter_at_the_start(graph: Graph) -> None:
    network = build(graph, seed=0)
    target = torch.rand(4, *shapes_of(graph, HEIGHT, WIDTH)[-1])
    (network(pictures(of=graph)) - target).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_the_onnx_checker_finds_the_same_shapes(graph: Graph) -> None:
    model = onnx.load_model_from_string(written(graph, lively(graph), batch=2))
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    (output,) = inferred.output
    dims = [d.dim_value for d in output.type.tensor_type.shape.dim]
    assert dims == [2, *shapes_of(graph, HEIGHT, WIDTH)[-1]]


def test_the_onnx_file_equals_the_module(graph: Graph) -> None:
    network, image = lively(graph), pictures(2, of=graph)
    result = run_onnx(written(graph, network, batch=2), image.numpy())
    error = relative(result, outputs(network, image))
    assert error < 1e-5 or error < 4 * own_rounding(network, image)


def test_the_fp16_file_equals_the_module_to_half_precision(graph: Graph) -> None:
    network, image = lively(graph), pictures(1, of=graph)
    result = run_onnx(written(graph, network, float_type="fp16"), image.numpy())
    assert result.dtype == np.float32
    error = relative(result, outputs(network, image))
    assert error < 2e-3 or error < HALF_OVER_SINGLE * own_rounding(network, image)


@pytest.mark.parametrize("scale", [2, 3])
def test_the_onnx_files_of_random_architectures_equal_their_modules(scale: int) -> None:
    image = pictures(1)
    for seed in range(RANDOM // 2):
        graph = lower(draw(seed, _space(scale)))
        network = lively(graph, seed=seed)
        result = run_onnx(written(graph, network), image.numpy())
        assert relative(result, outputs(network, image)) < 1e-5, seed


def _space(scale: int) -> Any:
    from search_spaces.super_resolution import SuperResolutionSpace

    return SuperResolutionSpace(scale=scale)


def test_random_architectures_come_back_from_json_as_the_same_network() -> None:
    for seed in range(RANDOM):
        architecture = draw(seed)
        back = Architecture.from_json(architecture.to_json())
        assert lower(back).canonical_hash() == lower(architecture).canonical_hash()


@pytest.mark.parametrize(
    "name",
    ["block residual, wider, twice", "reduction space_to_depth", "reference fsrcnn", "join"],
)
def test_the_onnx_file_equals_torchs_own_export(name: str) -> None:
    graph, image = NETWORKS[name], pictures(1)
    network, exported = lively(graph), io.BytesIO()
    with warnings.catch_warnings():
        # The exporter's, about its own use of deprecated parts of Python and torch.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(network, (image,), dynamo=True, verbose=False)
        assert program is not None
        program.save(exported)
    theirs = run_onnx(exported.getvalue(), image.numpy())
    ours = run_onnx(written(graph, network), image.numpy())
    assert relative(ours, theirs) < 1e-5

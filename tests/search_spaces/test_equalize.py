"""Equalizing changes no output, and takes error off int8 where a picture passes through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from search_spaces.equalize import equalize
from search_spaces.fake_quantize import prepare
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.layers import WeightedLayer
from search_spaces.modules import Network, build, fold
from search_spaces.primitives import Add, Conv, ConvTranspose, DepthToSpace
from search_spaces.quantize import CPU_RULES, Placement, place
from search_spaces.references import reference
from search_spaces.skeletons import lower

RULES = replace(CPU_RULES, weight_max=64)
PICTURES = [
    np.random.default_rng(k).random((1, 1, 12, 12), dtype=np.float32) for k in range(4)
]


def stack(activation: str, *, groups: int = 1, transposed: bool = False) -> Graph:
    graph = GraphBuilder(1)
    first = graph.add(
        Conv, 0, out_channels=8, kernel=(3, 3), activation=activation, bias=True
    )
    second = graph.add(
        Conv, first, out_channels=8, kernel=(3, 3), activation=activation, groups=groups
    )
    if transposed:
        last = graph.add(ConvTranspose, second, out_channels=1, kernel=(6, 6), stride=2)
    else:
        head = graph.add(Conv, second, out_channels=4, kernel=(3, 3))
        last = graph.add(DepthToSpace, head, factor=2)
    return graph.finish(last)


def trained(graph: Graph, *, seed: int = 0) -> Network:
    """Weights of very different sizes, as training leaves them where the picture passes."""
    network = build(graph, seed=seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.layers.values():
            if isinstance(layer, WeightedLayer) and layer.learned:
                size = layer.weight.shape[0]
                layer.weight *= torch.rand(size, 1, 1, 1, generator=random) ** 3 + 0.01
                if layer.bias is not None:
                    layer.bias.normal_(0.0, 0.05, generator=random)
    return fold(network)


def outputs(network: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(torch.from_numpy(picture)) for picture in PICTURES])


def weights(network: Network) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("activation", ["none", "relu", "prelu"])
def test_the_float_network_stays_what_it_was(
    activation: str, groups: int, transposed: bool
) -> None:
    network = trained(stack(activation, groups=groups, transposed=transposed))
    before, old = outputs(network), weights(network)
    equalize(network, place(network.graph, RULES), PICTURES)
    assert any(not torch.equal(a, b) for a, b in zip(old, weights(network), strict=True))
    torch.testing.assert_close(outputs(network), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu6", "hardswish"])
def test_what_is_not_proportional_is_left_alone(activation: str) -> None:
    network = trained(stack(activation))
    old = weights(network)
    equalize(network, place(network.graph, RULES), PICTURES)
    assert all(torch.equal(a, b) for a, b in zip(old, weights(network), strict=True))


def test_a_tensor_that_something_else_reads_too_is_left_alone() -> None:
    graph = GraphBuilder(1)
    first = graph.add(Conv, 0, out_channels=8, kernel=(3, 3), activation="relu")
    second = graph.add(Conv, first, out_channels=8, kernel=(3, 3), activation="relu")
    total = graph.add(Add, second, first)
    last = graph.add(Conv, total, out_channels=1, kernel=(3, 3))
    network = trained(graph.finish(last))
    old = weights(network)
    equalize(network, place(network.graph, RULES), PICTURES)
    assert all(torch.equal(a, b) for a, b in zip(old, weights(network), strict=True))


def test_layers_in_float_are_left_alone_and_so_is_all_without_pictures() -> None:
    network = trained(stack("relu"))
    old = weights(network)
    equalize(network, Placement({}, frozenset()), PICTURES)
    equalize(network, place(network.graph, RULES), [])
    assert all(torch.equal(a, b) for a, b in zip(old, weights(network), strict=True))


def test_a_dead_channel_does_no_harm() -> None:
    network = trained(stack("relu"))
    layer = network.layers["n1"]
    assert isinstance(layer, WeightedLayer) and layer.bias is not None
    with torch.no_grad():
        layer.weight[3] = 0.0
        layer.bias[3] = -1.0
    before = outputs(network)
    equalize(network, place(network.graph, RULES), PICTURES)
    torch.testing.assert_close(outputs(network), before, rtol=1e-4, atol=1e-5)


def error(network: Network, inputs: list[np.ndarray]) -> float:
    """Mean squared error of int8 after calibration."""
    prepared = prepare(network, RULES, inputs=inputs)
    parts = [prepared, *(q for q in prepared.tensors.values())]
    for part in parts:
        part.start_calibration()  # type: ignore[union-attr, operator]
    outputs(prepared)
    for part in parts:
        part.finish_calibration()  # type: ignore[union-attr, operator]
    return float((outputs(prepared) - outputs(network)).square().mean())


@pytest.mark.parametrize("seed", range(3))
def test_a_stack_that_carries_a_picture_loses_less_by_int8(seed: int) -> None:
    network = trained(lower(reference("fsrcnn_y", 2)), seed=seed)
    assert error(network, PICTURES) < 0.7 * error(network, [])

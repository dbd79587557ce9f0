"""Weights are rounded so that a layer's sums come out right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from search_spaces.equalize import equalize
from search_spaces.fake_quantize import QuantizedNetwork, prepare
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.modules import Network, build, fold
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.quantize import CPU_RULES, QuantRules, place, weight_axis, weight_scale
from search_spaces.references import reference
from search_spaces.rounding import round_weights
from search_spaces.skeletons import lower

TOP = 64
RULES = QuantRules(weight_max=TOP)
CHANNELS = 4


def pictures(channels: int) -> list[NDArray[np.float32]]:
    """Bright and dark ones with a little texture, as crops of photographs are."""
    random = np.random.default_rng(0)
    texture = 0.05 * random.standard_normal((16, 1, channels, 12, 12))
    return list((random.random((16, 1, 1, 1, 1)) + texture).clip(0, 1).astype(np.float32))


LAYERS = {
    "convolution": (Conv, {"out_channels": 6, "kernel": (5, 5)}),
    "strided": (Conv, {"out_channels": 6, "kernel": (3, 3), "stride": 2}),
    "dilated": (Conv, {"out_channels": 6, "kernel": (3, 3), "dilation": 2}),
    "grouped": (Conv, {"out_channels": 8, "kernel": (3, 3), "groups": 2}),
    "depthwise": (Conv, {"out_channels": CHANNELS, "kernel": (5, 5), "groups": CHANNELS}),
    "transposed": (ConvTranspose, {"out_channels": 3, "kernel": (9, 9), "stride": 2}),
    "wide transposed": (ConvTranspose, {"out_channels": 8, "kernel": (4, 4), "stride": 2}),
}


def single(name: str, *, bias: bool) -> Graph:
    make, fields = LAYERS[name]
    builder = GraphBuilder(CHANNELS)
    return builder.finish(builder.add(make, 0, bias=bias, **fields))


def drawn(graph: Graph) -> Network:
    network = build(graph, seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        weight = network.weighted(1).weight
        weight.normal_(0.0, 0.1, generator=random)
    return fold(network)


def outputs(network: torch.nn.Module, inputs: list[NDArray[np.float32]]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(torch.from_numpy(image)) for image in inputs])


def spread(difference: torch.Tensor, *, bias: bool) -> float:
    """The mean square of an error that the layer's bias cannot take away."""
    if bias:
        difference = difference - difference.mean((0, 2, 3), keepdim=True)
    return float(difference.square().mean())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_sums_are_nearer_than_with_each_weight_by_itself(name: str, bias: bool) -> None:
    network, inputs = drawn(single(name, bias=bias)), pictures(CHANNELS)
    exact, weight = outputs(network, inputs), network.weighted(1).weight
    before = weight.detach().clone()
    axis = weight_axis(network.graph, 1)
    shape = [-1 if a == axis else 1 for a in range(4)]
    steps = round_weights(network, place(network.graph, RULES), inputs)[1]
    error = spread(outputs(network, inputs) - exact, bias=bias)
    integers = weight.detach() / torch.from_numpy(steps).view(shape)
    assert float((integers - integers.round()).abs().max()) < 1e-3
    assert float(integers.abs().max()) <= TOP + 1e-3
    nearest = torch.from_numpy(weight_scale(before.numpy(), axis, TOP)).view(shape)
    with torch.no_grad():
        weight.copy_((before / nearest).round() * nearest)
    # Nearest rounding is off by sqrt(n) times as much of the brightness, n weights a filter.
    assert error < 0.3 * spread(outputs(network, inputs) - exact, bias=bias)


def test_layers_in_float_are_left_alone_and_so_is_all_without_pictures() -> None:
    network = drawn(single("convolution", bias=True))
    before = network.weighted(1).weight.detach().clone()
    in_float = place(network.graph, RULES, keep_float=frozenset({1}))
    assert round_weights(network, in_float, pictures(CHANNELS)) == {}
    assert round_weights(network, place(network.graph, RULES), []) == {}
    assert torch.equal(before, network.weighted(1).weight)


def test_inputs_that_are_always_the_same_leave_something_to_divide_by() -> None:
    network = drawn(single("convolution", bias=True))
    flat = [np.zeros((1, CHANNELS, 12, 12), np.float32)] * 4
    steps = round_weights(network, place(network.graph, RULES), flat)
    assert np.isfinite(steps[1]).all() and (steps[1] > 0).all()
    assert torch.isfinite(network.weighted(1).weight).all()


@pytest.mark.parametrize("name", ["fsrcnn_y", "espcn_y", "ecbsr_m4c16"])
def test_int8_weights_come_nearer_to_the_float_network(name: str) -> None:
    graph = lower(reference(name, 2))
    network, inputs = fold(build(graph, seed=0)), pictures(reference(name, 2).in_channels)
    placement = place(graph, RULES)
    equalized = fold(network)
    equalize(equalized, placement, inputs)
    exact = outputs(network, inputs)
    errors = []
    for quantized in (
        QuantizedNetwork(equalized, placement), prepare(network, RULES, inputs=inputs),
    ):
        for tensor in quantized.tensors.values():
            tensor.start_calibration()
        quantized.start_calibration()
        outputs(quantized, inputs)
        quantized.finish_calibration()
        errors.append(spread(outputs(quantized, inputs) - exact, bias=False))
    assert errors[1] < 0.7 * errors[0]


def test_fine_tuning_begins_on_that_grid() -> None:
    network = drawn(single("convolution", bias=True))
    prepared = prepare(network, CPU_RULES, inputs=pictures(CHANNELS))
    weight = prepared.weighted(1).weight.detach()
    step = prepared.weight_scales["n1"].detach().exp()
    integers = weight / step.view(-1, 1, 1, 1)
    assert float((integers - integers.round()).abs().max()) < 1e-3



def test_what_rounding_drowns_is_not_used_to_make_up_for_a_loud_channel() -> None:
    builder = GraphBuilder(1)
    three = builder.add(Conv, 0, out_channels=3, kernel=(1, 1), bias=False)
    graph = builder.finish(builder.add(Conv, three, out_channels=16, kernel=(5, 5)))
    network = build(graph, seed=0)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.weighted(1).weight.copy_(torch.tensor([1.0, 0.002, 0.001]).view(3, 1, 1, 1))
        network.weighted(2).weight.normal_(0.0, 0.1, generator=random)
    network, inputs = fold(network), pictures(1)
    before = network.weighted(2).weight.detach().clone()
    round_weights(network, place(graph, RULES), inputs)
    moved = network.weighted(2).weight.detach() - before
    assert float(moved.square().mean()) < 0.1 * float(before.square().mean())

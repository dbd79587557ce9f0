"""Training-time branches fold into the one convolution that ships."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar, UnknownName
from search_spaces.blocks import BLOCKS
from search_spaces.branches import FORMS, MASKS, BranchSum, TwoLayers, is_branched
from search_spaces.fake_quantize import convert, prepare
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.layers import WeightedLayer
from search_spaces.modules import Network, build, fold, load_weights, weights_of
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.skeletons import lower
from search_spaces.weights import random_weights

BRANCHED = [form for form in FORMS if form != "none"]


def upscaler(*, op: str = "conv", width: int = 8, **args: Scalar) -> Graph:
    blocks = (BlockSpec.of("conv", 8), BlockSpec.of(op, width, 2))
    plan = {"base": "bicubic", "centre": True, **args}
    chosen = tuple(sorted(plan.items()))
    return lower(Architecture("upscaler", one_to_one(3, 3, 2), blocks, chosen))


def one(**fields: object) -> Graph:
    builder = GraphBuilder(8)
    return builder.finish(builder.add(Conv, 0, **fields))


def picture(channels: int = 3, *, seed: int = 0) -> Tensor:
    return torch.rand(2, channels, 12, 16, generator=torch.Generator().manual_seed(seed))


def shaken(network: Network, *, seed: int = 1) -> Network:
    """The network with random weights in every branch, as large as in a trained one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith("running_mean"):
                buffer.normal_(0.0, 0.5, generator=generator)
    return network.eval()


def difference(one: nn.Module, other: nn.Module, image: Tensor) -> float:
    with torch.no_grad():
        x, y = one(image), other(image)
        return float((x - y).abs().max() / max(1.0, float(y.abs().max())))


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("op", BLOCKS)
def test_folding_is_exact(op: str, form: str, norm: str) -> None:
    network = shaken(build(upscaler(op=op), seed=0, branches=form, norm=norm))
    folded = fold(network)
    assert difference(network, folded, picture()) < 1e-5
    assert type(folded.layers["n2"]) is WeightedLayer
    plain = {name: p.shape for name, p in build(upscaler(op=op), seed=0).named_parameters()}
    assert {name: p.shape for name, p in folded.named_parameters()} == plain


def run_apart(branch: Any, kind: str, x: Tensor, groups: int) -> Tensor:
    """A branch as the papers draw it: its layers one after another on feature maps."""
    if isinstance(branch, TwoLayers):
        first, second = branch.first.flatten(0, 1), branch.second.flatten(0, 1)
        if kind == "expand":
            x = functional.conv2d(x, first, padding=1, groups=groups)
            return functional.conv2d(x, second[..., None, None], groups=groups)
        x = functional.conv2d(x, first[..., None, None], groups=groups)
        return functional.conv2d(x, second, padding=1, groups=groups)
    if kind == "identity":
        scaled: Tensor = x * branch.scale.view(1, -1, 1, 1)
        return scaled
    if kind == "parallel":
        return functional.conv2d(x, branch.kernel, padding=1, groups=groups)
    first = functional.conv2d(x, branch.first[..., None, None], groups=groups)
    mask = torch.tensor(MASKS[kind]) * branch.scale.view(-1, 1, 1, 1)
    return functional.conv2d(first, mask, padding=1, groups=len(mask))


@pytest.mark.parametrize("form", BRANCHED)
@pytest.mark.parametrize("groups", [1, 4, 8])
def test_the_sum_of_weights_is_the_sum_of_parallel_layers(form: str, groups: int) -> None:
    network = shaken(build(one(out_channels=8, groups=groups), seed=0, branches=form))
    layer, x = network.layers["n1"], picture(8)
    assert isinstance(layer, WeightedLayer)
    sums: Any = layer.parametrizations
    assert isinstance(sums.weight[0], BranchSum)
    own = functional.conv2d(x, sums.weight.original, layer.bias, padding=1, groups=groups)
    apart = [
        run_apart(branch, kind, x, groups)
        for branch, kind in zip(sums.weight[0].branches, FORMS[form], strict=True)
    ]
    expected = own + torch.stack(apart).sum(0)
    with torch.no_grad():
        assert float((network(x) - expected).abs().max()) < 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("form", BRANCHED)
def test_a_branched_network_begins_as_the_plain_one(form: str) -> None:
    plain, branched = (build(upscaler(), seed=3, branches=b).eval() for b in ("none", form))
    assert difference(branched, plain, picture()) < 1e-5
    assert sum(p.numel() for p in branched.parameters()) > sum(
        p.numel() for p in plain.parameters()
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_gradient_reaches_every_branch_and_statistic(form: str, norm: str) -> None:
    network = build(upscaler(op="residual"), seed=0, branches=form, norm=norm)
    (network(picture()) - picture(seed=5)[:, :, :1, :1]).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize("form", BRANCHED)
def test_training_moves_the_branches_and_folding_keeps_what_they_learned(form: str) -> None:
    network = build(upscaler(), seed=0, branches=form)
    before = weights_of(network)
    target = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(2))
    losses, parameters = [], list(network.parameters())
    for _ in range(20):
        loss = (network(picture()) - target).square().mean()
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(0.05 * gradient)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert not np.allclose(weights_of(network)["n2.weight"], before["n2.weight"])
    assert difference(network.eval(), fold(network), picture()) < 1e-5


def test_a_copy_of_a_branched_network_has_parameters_of_its_own() -> None:
    network = build(upscaler(), seed=0, branches="edge")
    twin = copy.deepcopy(network)
    expected = weights_of(network)["n2.weight"].copy()
    shaken(twin)
    assert np.array_equal(weights_of(network)["n2.weight"], expected)
    assert not np.allclose(weights_of(twin)["n2.weight"], expected)
    twin.load_state_dict(network.state_dict())
    assert np.array_equal(weights_of(twin)["n2.weight"], expected)


@pytest.mark.parametrize("form", BRANCHED)
def test_a_branched_layer_takes_folded_weights_as_its_sum(form: str) -> None:
    graph = upscaler()
    network = build(graph, seed=0, branches=form)
    weights = random_weights(graph, seed=4)
    load_weights(network, weights)
    again = weights_of(network)
    assert all(again[key] == pytest.approx(weights[key], abs=1e-5) for key in weights)


def test_a_normalized_network_takes_no_folded_weights() -> None:
    graph = upscaler()
    with pytest.raises(ValueError, match="build it without"):
        load_weights(build(graph, seed=0, norm="batch"), random_weights(graph))


def test_quantization_begins_with_the_folded_network() -> None:
    network = shaken(build(upscaler(), seed=0, branches="edge", norm="batch"))
    weights, _, _ = convert(prepare(network))
    expected = weights_of(network)
    assert set(weights) == set(expected)
    assert all(np.array_equal(weights[key], expected[key]) for key in expected)


def test_only_what_fits_a_kernel_is_branched() -> None:
    def count(graph: Graph, form: str) -> int:
        layer: Any = build(graph, seed=0, branches=form).layers["n1"]
        return len(layer.parametrizations.weight[0].branches) if is_branched(layer) else 0

    assert count(one(out_channels=8), "edge") == 5
    assert count(one(out_channels=16), "edge") == 4  # no identity
    assert count(one(out_channels=8, kernel=(1, 1)), "edge") == 1  # the identity alone
    assert count(one(out_channels=8, kernel=(1, 3)), "edge") == 2
    assert count(one(out_channels=16, kernel=(1, 1)), "expand") == 1


def test_a_fixed_or_transposed_layer_has_no_branches() -> None:
    builder = GraphBuilder(4)
    fixed = builder.add(Conv, 0, out_channels=16, fixed="nearest", factor=2, kernel=(1, 1))
    graph = builder.finish(
        builder.add(ConvTranspose, fixed, out_channels=3, kernel=(3, 3), stride=2)
    )
    network = build(graph, seed=0, branches="expand", norm="batch")
    assert not any(is_branched(layer) for layer in network.layers.values())


def test_the_last_layer_and_those_without_a_bias_are_not_normalized() -> None:
    builder = GraphBuilder(3)
    first = builder.add(Conv, 0, out_channels=8, activation="relu")
    bare = builder.add(Conv, first, out_channels=8, bias=False, activation="relu")
    graph = builder.finish(builder.add(Conv, bare, out_channels=4))
    network = build(graph, seed=0, norm="batch")
    normalized = [name for name, layer in network.layers.items() if layer.norm is not None]
    assert normalized == ["n1"]


def test_a_normalized_layer_has_unit_spread_while_it_trains() -> None:
    network = build(one(out_channels=8, activation="none"), seed=0).train()
    layer = network.layers["n1"]
    assert isinstance(layer, WeightedLayer)
    layer.normalize()
    y = network(5.0 * picture(8)).detach()
    assert float(y.mean((0, 2, 3)).abs().max()) < 1e-4
    assert math.isclose(float(y.var((0, 2, 3)).mean()), 1.0, rel_tol=0.02)


def test_unknown_forms_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"branches 'edges' \(did you mean edge\?\); known"):
        build(upscaler(), seed=0, branches="edges")
    with pytest.raises(UnknownName, match="unknown normalization 'layer'; known: batch, none"):
        build(upscaler(), seed=0, norm="layer")

"""A Graph as a torch module, and how it begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.fixed_kernels import phases
from search_spaces.graph import Graph
from search_spaces.layers import WeightedLayer
from search_spaces.modules import Network, build, load_some_weights, load_weights, weights_of
from search_spaces.primitives import (
    Activation,
    Add,
    Concat,
    Conv,
    DepthToSpace,
    Input,
    Shift,
)
from search_spaces.skeletons import lower


def upscaler(*, op: str = "conv", width: int = 16, repeat: int = 3, **args: Scalar) -> Graph:
    blocks = (BlockSpec.of("conv", 16), BlockSpec.of(op, width, repeat))
    chosen = tuple(sorted(args.items()))
    return lower(Architecture("upscaler", one_to_one(3, 3, 2), blocks, chosen))


def picture(*, seed: int = 0) -> Tensor:
    """(2, 3, 16, 24) of smooth colours in [0, 1]."""
    coarse = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=(16, 24), mode="bilinear")


def layer(network: Network, index: int) -> WeightedLayer:
    found = network.layers[f"n{index}"]
    assert isinstance(found, WeightedLayer)
    return found


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    one, same, other = (weights_of(build(upscaler(), seed=s)) for s in (1, 1, 2))
    assert all(np.array_equal(one[k], same[k]) for k in one)
    assert not np.array_equal(one["n1.weight"], other["n1.weight"])


def test_building_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    build(upscaler(), seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("op", ["conv", "separable", "factorized", "residual"])
@pytest.mark.parametrize("base", ["nearest", "bicubic"])
@pytest.mark.parametrize("reduction", ["none", "strided"])
def test_a_network_over_a_base_begins_as_its_base(op: str, base: str, reduction: str) -> None:
    graph = upscaler(op=op, base=base, reduction=reduction, centre=True, skip=True)
    x = picture()
    weight = torch.from_numpy(phases(base, 2, 3))
    padding = weight.shape[-1] // 2
    enlarged = nn.functional.pixel_shuffle(nn.functional.conv2d(x, weight, padding=padding), 2)
    with torch.no_grad():
        difference = (build(graph, seed=0)(x) - enlarged)[..., 6:-6, 6:-6].abs()
    assert 0 < difference.mean() < 0.05


def test_a_layer_of_equal_width_begins_by_passing_its_input_through() -> None:
    network = build(upscaler(base="bicubic"), seed=0)
    square = [
        module
        for module in network.layers.values()
        if isinstance(module, WeightedLayer) and module.weight.shape[:2] == (16, 16)
    ]
    assert len(square) == 3
    for module in square:
        centre = module.weight[:, :, 1, 1]
        assert centre.diagonal().mean() > 0.5
        assert (centre - torch.diag(centre.diagonal())).abs().mean() < 0.2


def test_a_residual_branch_begins_smaller_than_a_layer_of_its_own() -> None:
    def spread(graph: Graph) -> float:
        return float(layer(build(graph, seed=0), 1).weight.detach().std())

    alone = Graph((Input((), 8), Conv((0,), 16)))
    branch = Graph((Input((), 8), Conv((0,), 16), Conv((0,), 16, (1, 1)), Add((1, 2))))
    over_base = Graph(
        (Input((), 4), Conv((0,), 16), Conv((0,), 16, fixed="nearest", factor=2), Add((1, 2)))
    )
    assert spread(over_base) < spread(branch) < spread(alone)


def test_a_deep_stack_neither_fades_nor_explodes() -> None:
    graph = upscaler(repeat=4, width=24, skip=False)
    with torch.no_grad():
        output = build(graph, seed=0)(picture())
    assert 0.05 < output.std() < 20


def test_fixed_layers_are_constants_and_not_parameters() -> None:
    graph = upscaler(base="bicubic", centre=True)
    (index,) = (i for i, n in enumerate(graph.nodes) if isinstance(n, Conv) and n.fixed)
    network = build(graph, seed=0)
    assert not [name for name, _ in network.named_parameters() if f"n{index}." in name]
    assert torch.equal(layer(network, index).weight, torch.from_numpy(phases("bicubic", 2, 3)))


def test_the_bias_begins_at_what_centring_took_away() -> None:
    graph = upscaler(base="none", centre=True)
    head = max(i for i, n in enumerate(graph.nodes) if isinstance(n, Conv))
    bias = layer(build(graph, seed=0), head).bias
    assert bias is not None
    assert bias.detach().numpy() == pytest.approx(np.full(12, 128 / 255), abs=1e-6)


def test_weights_that_are_taken_out_and_put_back_give_the_same_outputs() -> None:
    graph = upscaler(base="bicubic", centre=True)
    one, other = build(graph, seed=1), build(graph, seed=2)
    with torch.no_grad():
        assert not torch.equal(one(picture()), other(picture()))
        load_weights(other, weights_of(one))
        assert torch.equal(one(picture()), other(picture()))


def test_the_weights_taken_out_do_not_change_with_the_network() -> None:
    network = build(upscaler(), seed=0)
    taken = weights_of(network)["n1.weight"].copy()
    kept = weights_of(network)
    with torch.no_grad():
        layer(network, 1).weight.zero_()
    assert np.array_equal(kept["n1.weight"], taken)


def _spread(graph: Graph, index: int) -> float:
    return float(layer(build(graph, seed=0), index).weight.detach().std())


def test_a_head_that_is_joined_or_added_to_the_image_begins_near_silence_too() -> None:
    luma = Graph(
        (
            Input((), 3),
            Conv((0,), 4),
            Concat((1, 1, 1)),
            Conv((0,), 12, (1, 1), fixed="nearest", factor=2),
            Add((2, 3)),
            DepthToSpace((4,), 2),
        )
    )
    denoiser = Graph((Input((), 3), Shift((0,), -0.5), Conv((1,), 3), Add((2, 1))))
    alone = Graph((Input((), 3), Conv((0,), 4)))
    assert _spread(luma, 1) < 0.02 * _spread(alone, 1)
    assert _spread(denoiser, 2) < 0.02 * _spread(alone, 1)


def test_a_slope_of_its_own_is_learned_and_taken_out_by_its_node() -> None:
    graph = Graph((Input((), 4), Conv((0,), 8), Activation((1,), "prelu")))
    weights = weights_of(build(graph, seed=0))
    assert set(weights) == {"n1.weight", "n1.bias", "n2.slope"}
    assert weights["n2.slope"].shape == (8,)


@pytest.mark.parametrize(
    ("tensor", "shape", "words"),
    [
        ("n1.weight", (1,), r"'n1.weight' of shape \(1,\), and the network takes \(8, 4, 3, 3\)"),
        ("n1.bias", (1,), r"'n1.bias' of shape \(1,\), and the network takes \(8,\)"),
        ("n1.weight", (8, 4, 1, 1), "takes .8, 4, 3, 3."),
        ("n9.weight", (3,), "hold 'n9.weight', and the network has no such tensor"),
        ("n1.scale", (3,), "hold 'n1.scale', and the network has no such tensor"),
    ],
)
@pytest.mark.parametrize("branches", ["none", "edge"])
def test_weights_of_another_shape_are_refused_and_never_broadcast(
    tensor: str, shape: tuple[int, ...], words: str, branches: str
) -> None:
    network = build(Graph((Input((), 4), Conv((0,), 8))), seed=0, branches=branches)
    weights = weights_of(network) | {tensor: np.ones(shape, np.float32)}
    for load in (load_weights, load_some_weights):
        with pytest.raises(ValueError, match=words):
            load(network, weights)


def test_weights_that_are_not_whole_are_refused_with_what_they_lack() -> None:
    graph = Graph((Input((), 4), Conv((0,), 8), Activation((1,), "prelu")))
    network, weights = build(graph, seed=0), weights_of(build(graph, seed=1))
    for lost in weights:
        rest = {key: value for key, value in weights.items() if key != lost}
        with pytest.raises(ValueError, match=rf"lack '{lost}' of shape \(8,"):
            load_weights(network, rest)
        load_some_weights(network, rest)


def test_weights_of_fixed_layers_may_be_left_out() -> None:
    graph = upscaler(base="bicubic")
    network = build(graph, seed=0)
    fixed = {f"n{i}" for i, n in enumerate(graph.nodes) if isinstance(n, Conv) and n.fixed}
    weights = {k: v for k, v in weights_of(network).items() if k.split(".")[0] not in fixed}
    assert fixed and len(weights) < len(weights_of(network))
    load_weights(network, weights)

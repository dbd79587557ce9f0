"""Halving and doubling the size of features."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from search_spaces.base import BlockSpec
from search_spaces.graph import Graph, GraphBuilder, shapes_of
from search_spaces.modules import build
from search_spaces.primitives import Conv, Resize
from search_spaces.skeletons.resampling import GROWTHS, REDUCTIONS, double, halve
from search_spaces.work import gmacs


def doubled(how: str) -> Graph:
    graph = GraphBuilder(16)
    return graph.finish(double(graph, 0, how=how, channels=8))


@pytest.mark.parametrize("how", REDUCTIONS)
def test_a_reduction_halves_the_size_and_learned_ones_take_the_next_width(how: str) -> None:
    graph = GraphBuilder(16)
    into = BlockSpec.of("conv", 24, activation="prelu")
    halved = graph.finish(halve(graph, 0, how=how, into=into))
    learned = how in ("strided", "space_to_depth")
    assert shapes_of(halved, 8, 12)[-1] == (24 if learned else 16, 4, 6)
    activations = {n.activation for n in halved.nodes if isinstance(n, Conv)}
    assert activations == ({"prelu"} if learned else set())


@pytest.mark.parametrize("how", GROWTHS)
def test_a_growth_doubles_the_size_at_the_asked_width(how: str) -> None:
    assert shapes_of(doubled(how), 8, 12)[-1] == (8, 16, 24)


def test_a_growth_computes_nothing_at_the_larger_size() -> None:
    """The counted work is that of a 1x1 convolution at the smaller one."""
    pixels = 8 * 12
    assert gmacs(doubled("nearest"), 8, 12) == pytest.approx(16 * 8 * pixels / 1e9)
    assert gmacs(doubled("depth_to_space"), 8, 12) == pytest.approx(16 * 32 * pixels / 1e9)
    assert gmacs(doubled("transposed"), 8, 12) == pytest.approx(16 * 8 * 4 * pixels / 1e9)


@pytest.mark.parametrize("how", ["nearest", "bilinear"])
def test_mixing_before_the_interpolation_is_mixing_after_it(how: str) -> None:
    graph = doubled(how)
    network = build(graph, seed=0)
    (resize,) = [n for n in graph.nodes if isinstance(n, Resize)]
    assert resize.mode == how
    image = torch.rand(1, 16, 6, 8)
    layer = network.layers["n1"]
    options = {} if how == "nearest" else {"align_corners": False}
    enlarged = functional.interpolate(image, scale_factor=2, mode=how, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.allclose(network(image), layer(enlarged), atol=1e-5)

"""Numbers that describe a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search_spaces.base import Architecture, BlockSpec
from search_spaces.features import features, receptive_field
from search_spaces.graph import Graph
from search_spaces.modules import build
from search_spaces.skeletons import lower


def upscaler(*blocks: BlockSpec, reduction: str = "none") -> Graph:
    args = (("base", "nearest"), ("centre", True), ("reduction", reduction), ("skip", False))
    return lower(Architecture("upscaler", 3, 3, 2, blocks, args))


def reach(graph: Graph, side: int = 48) -> int:
    """How many columns of the input one output pixel depends on, found by gradients."""
    network = build(graph, seed=0)
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1.0)
    image = torch.rand(1, 3, side, side, requires_grad=True)
    network(image)[0, :, side, side].sum().backward()
    assert image.grad is not None
    columns = np.flatnonzero(image.grad[0].abs().sum((0, 1)).numpy())
    return int(columns[-1] - columns[0]) + 1


@pytest.mark.parametrize(
    "graph",
    [
        upscaler(BlockSpec.of("conv", 8), BlockSpec.of("conv", 8, repeat=2)),
        upscaler(BlockSpec.of("conv", 8, kernel=5)),
        upscaler(BlockSpec.of("conv", 8), BlockSpec.of("conv", 8), reduction="strided"),
    ],
)
def test_the_receptive_field_is_what_gradients_reach(graph: Graph) -> None:
    told = receptive_field(graph)
    # Behind a reduction a pixel's phase decides which neighbours it sees.
    assert reach(graph) <= told <= reach(graph) + 2


def test_a_deeper_network_has_more_of_everything() -> None:
    shallow = features(upscaler(BlockSpec.of("conv", 8), BlockSpec.of("conv", 8)))
    deep = features(upscaler(BlockSpec.of("conv", 8), BlockSpec.of("conv", 8, repeat=3)))
    for name in ("log_macs", "log_params", "log_traffic", "depth", "log_receptive_field"):
        assert deep[name] > shallow[name]
    assert deep["depth"] == shallow["depth"] + 2
    assert deep["log_widest"] == shallow["log_widest"]

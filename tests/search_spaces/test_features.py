"""Networks as rows of numbers."""

from __future__ import annotations

from math import log2

import pytest

from search_spaces.blocks import BLOCKS
from search_spaces.draws import draw
from search_spaces.features import SIDE, depth, features, receptive_field
from search_spaces.graph import GraphBuilder
from search_spaces.mobile import MobileSpace
from search_spaces.primitives import Add, Conv, ConvTranspose, DepthToSpace, MaxPool, Resize
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.work import gmacs, params_of

SPACES = [SuperResolutionSpace(ops=sorted(BLOCKS)), MobileSpace(classes=10)]


def test_every_network_has_the_same_names_in_the_same_order() -> None:
    rows = [
        features(lower(draw(space, seed=seed).architecture))
        for space in SPACES for seed in range(20)
    ]
    assert len({tuple(row) for row in rows}) == 1
    assert all(0 <= row[name] <= 1.0001 for row in rows for name in row if name[:5] == "macs_")


def test_sizes_are_logarithms_of_what_the_graph_costs() -> None:
    graph = lower(reference("espcn", 2))
    found = features(graph)
    assert found["log_macs"] == pytest.approx(log2(gmacs(graph, SIDE, SIDE) * 1e9))
    assert found["log_params"] == pytest.approx(log2(params_of(graph)))
    assert found["traffic_Conv"] > 0.5
    shares = [value for name, value in found.items() if name[:8] == "traffic_"]
    assert sum(shares) == pytest.approx(1)


def test_the_receptive_field_counts_every_kernel_at_its_place() -> None:
    graph = GraphBuilder(3)
    one = graph.add(Conv, 0, out_channels=8, kernel=(3, 3))
    assert receptive_field(graph.finish(one)) == 3
    halved = graph.add(Conv, one, out_channels=8, kernel=(3, 3), stride=2)
    assert receptive_field(graph.finish(halved)) == 5
    wide = graph.add(Conv, halved, out_channels=8, kernel=(3, 5), dilation=2)
    assert receptive_field(graph.finish(wide)) == 5 + 4 * 2 * 2
    pooled = graph.add(MaxPool, wide, factor=2)
    assert receptive_field(graph.finish(pooled)) == 21 + 2
    grown = graph.add(DepthToSpace, pooled, factor=2)
    last = graph.add(Conv, grown, out_channels=4, kernel=(3, 3))
    assert receptive_field(graph.finish(last)) == 23 + 2 * 2


def test_a_skip_connection_sees_no_more_and_is_no_deeper() -> None:
    graph = GraphBuilder(3)
    first = graph.add(Conv, 0, out_channels=8, kernel=(3, 3))
    second = graph.add(Conv, first, out_channels=8, kernel=(3, 3))
    both = graph.finish(graph.add(Add, second, first))
    assert (depth(both), receptive_field(both)) == (2, 5)


def test_enlarging_makes_the_steps_finer() -> None:
    for make in (
        lambda g: g.add(ConvTranspose, 0, out_channels=8, kernel=(4, 4), stride=2),
        lambda g: g.add(Resize, 0, factor=2, mode="bilinear"),
    ):
        graph = GraphBuilder(3)
        enlarged = make(graph)
        end = graph.add(Conv, enlarged, out_channels=4, kernel=(3, 3))
        assert receptive_field(graph.finish(end)) == 2 + 2 / 2


def test_a_fixed_upsampler_is_no_layer() -> None:
    space = SuperResolutionSpace(bases=("bicubic",))
    graph = lower(draw(space, seed=0).architecture)
    fixed = sum(isinstance(node, Conv) and node.fixed != "" for node in graph.nodes)
    convolutions = sum(isinstance(node, Conv) for node in graph.nodes)
    assert fixed
    assert features(graph)["layers"] == convolutions - fixed

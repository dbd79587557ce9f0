"""Blocks append primitives to a network."""

from __future__ import annotations

import pytest

from search_spaces.base import BlockSpec, UnknownName
from search_spaces.blocks import append
from search_spaces.graph import Add, Conv, Graph, GraphBuilder


def appended(spec: BlockSpec, *, channels: int = 8) -> Graph:
    builder = GraphBuilder(channels)
    return builder.finish(append(builder, 0, spec))


def convolutions(graph: Graph) -> list[Conv]:
    return [node for node in graph.nodes if isinstance(node, Conv)]


def test_repeat_appends_the_block_so_many_times() -> None:
    graph = appended(BlockSpec.of("conv", 16, 3, kernel=5))
    assert [c.out_channels for c in convolutions(graph)] == [16, 16, 16]
    assert {c.kernel for c in convolutions(graph)} == {(5, 5)}


def test_a_separable_block_is_depthwise_then_pointwise() -> None:
    spatial, point = convolutions(appended(BlockSpec.of("separable", 16, kernel=5)))
    assert (spatial.kernel, spatial.groups, spatial.out_channels) == ((5, 5), 8, 8)
    assert (point.kernel, point.groups, point.out_channels) == ((1, 1), 1, 16)
    assert (spatial.activation, point.activation) == ("none", "relu")


def test_a_factorized_block_is_a_row_then_a_column() -> None:
    row, column = convolutions(appended(BlockSpec.of("factorized", 16, kernel=5)))
    assert (row.kernel, column.kernel) == ((1, 5), (5, 1))


def test_a_residual_block_is_added_to_its_input() -> None:
    graph = appended(BlockSpec.of("residual", 8))
    assert graph.nodes[-1] == Add((2, 0))
    assert convolutions(graph)[-1].activation == "none"


def test_a_residual_block_of_another_width_passes_its_input_through_a_pointwise_layer() -> None:
    graph = appended(BlockSpec.of("residual", 16))
    skip = graph.nodes[graph.nodes[-1].inputs[1]]
    assert isinstance(skip, Conv)
    assert (skip.kernel, skip.inputs, skip.out_channels) == ((1, 1), (0,), 16)


def test_an_unknown_block_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown block 'cnov'; known: conv, factorized"):
        appended(BlockSpec.of("cnov", 8))


def test_an_unknown_activation_of_a_block_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown activation 'rleu'"):
        appended(BlockSpec.of("conv", 8, activation="rleu"))

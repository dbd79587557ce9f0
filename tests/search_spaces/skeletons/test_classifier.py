"""How classification backbones are wired."""

from __future__ import annotations

import pytest

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar, UnknownName
from search_spaces.graph import Graph, shapes_of
from search_spaces.primitives import AveragePool, Conv, GlobalAveragePool, MaxPool, SpaceToDepth
from search_spaces.skeletons import lower

BLOCKS = (
    BlockSpec.of("conv", 8, stride=2),
    BlockSpec.of("inverted_residual", 16, 2, stride=2, activation="hardswish"),
)


def network(*blocks: BlockSpec, **args: Scalar) -> Graph:
    chosen = tuple(sorted(args.items()))
    return lower(Architecture("classifier", one_to_one(3, 10, None), blocks or BLOCKS, chosen))


def test_the_output_is_one_score_per_class() -> None:
    assert shapes_of(network(), 32, 64)[-1] == (10,)


def last_map(graph: Graph) -> tuple[int, ...]:
    """What the mean over all pixels is taken of, for a 32 x 64 input."""
    at = next(i for i, n in enumerate(graph.nodes) if isinstance(n, GlobalAveragePool))
    return shapes_of(graph, 32, 64)[graph.nodes[at].inputs[0]]


def test_every_stride_halves_the_size_once_however_often_its_block_stands() -> None:
    assert last_map(network()) == (16, 8, 16)


def test_a_shrunk_picture_is_averaged_before_anything_is_learned() -> None:
    graph = network(shrink=2, centre=True)
    assert isinstance(graph.nodes[1], AveragePool)
    assert last_map(graph) == (16, 4, 8)


def test_a_head_is_a_1x1_layer_with_the_activation_of_the_last_block() -> None:
    graph = network(head_width=48)
    assert last_map(graph) == (48, 8, 16)
    head = [n for n in graph.nodes if isinstance(n, Conv)][-2]
    assert (head.kernel, head.activation) == ((1, 1), "hardswish")


@pytest.mark.parametrize(
    ("reduction", "primitive"),
    [("max_pool", MaxPool), ("average_pool", AveragePool), ("space_to_depth", SpaceToDepth)],
)
def test_a_reduction_takes_the_place_of_the_strides(
    reduction: str, primitive: type[object]
) -> None:
    graph = network(reduction=reduction)
    assert {n.stride for n in graph.nodes if isinstance(n, Conv)} == {1}
    assert len([n for n in graph.nodes if isinstance(n, primitive)]) == 2
    assert last_map(graph) == (16, 8, 16)


def test_a_block_that_keeps_its_size_is_halved_before_it() -> None:
    graph = network(BLOCKS[0], BlockSpec.of("residual", 16, stride=2))
    assert [n.stride for n in graph.nodes if isinstance(n, Conv)].count(2) == 2
    assert last_map(graph) == (16, 8, 16)


def test_an_unknown_reduction_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown reduction 'halved'; known: average_pool"):
        network(reduction="halved")

"""How multi-scale networks are wired."""

from __future__ import annotations

import pytest

from runtime.signature import one_to_one
from search_spaces.base import (
    Architecture,
    BlockSpec,
    InvalidArchitecture,
    Scalar,
    UnknownName,
)
from search_spaces.graph import Graph, shapes_of
from search_spaces.primitives import Add, Concat, Conv, Shift
from search_spaces.skeletons import CENTRE, lower

BLOCKS = (
    BlockSpec.of("conv", 8),
    BlockSpec.of("conv", 16, level=1),
    BlockSpec.of("conv", 24, level=2),
)


def network(
    *blocks: BlockSpec, scale: int = 1, channels: tuple[int, int] = (3, 3), **args: Scalar
) -> Graph:
    chosen = tuple(sorted(args.items()))
    return lower(
        Architecture("encoder_decoder", one_to_one(*channels, scale), blocks or BLOCKS, chosen)
    )


def sizes(graph: Graph) -> list[tuple[int, ...]]:
    """Channels and height of every tensor for a 16 x 24 input."""
    return [shape[:2] for shape in shapes_of(graph, 16, 24)]


def test_the_size_is_halved_level_by_level_and_grown_back() -> None:
    convs = [
        size
        for size, node in zip(sizes(network()), network().nodes, strict=True)
        if isinstance(node, Conv)
    ]
    # Stem; reduction and block of each level; 1x1 before each growth; head.
    assert convs == [(8, 16), (16, 8), (16, 8), (24, 4), (24, 4), (64, 4), (32, 8), (3, 16)]


def test_each_level_is_joined_with_what_the_encoder_left_there() -> None:
    graph = network(join="concat")
    joined = [n for n in graph.nodes if isinstance(n, Concat)]
    shapes = shapes_of(graph, 16, 24)
    assert [[shapes[i] for i in n.inputs] for n in joined] == [
        [(16, 8, 12), (16, 8, 12)],
        [(8, 16, 24), (8, 16, 24)],
    ]
    assert not [n for n in network(join="none").nodes if isinstance(n, Add | Concat)]
    assert len([n for n in network(join="add").nodes if isinstance(n, Add)]) == 2


def test_decoder_blocks_stand_behind_the_join_of_their_level() -> None:
    decoder = BlockSpec.of("separable", 16, level=1, side="decoder")
    graph = network(*BLOCKS, decoder)
    depthwise = [i for i, n in enumerate(graph.nodes) if isinstance(n, Conv) and n.groups > 1]
    (at,) = depthwise
    assert isinstance(graph.nodes[graph.nodes[at].inputs[0]], Add)
    assert sizes(graph)[at] == (16, 8)


def test_the_order_in_which_blocks_of_different_places_are_written_does_not_matter() -> None:
    decoder = BlockSpec.of("conv", 16, level=1, side="decoder")
    one, other = network(*BLOCKS, decoder), network(decoder, *reversed(BLOCKS))
    assert one.canonical_hash() == other.canonical_hash()


def test_blocks_of_one_place_stand_in_their_order() -> None:
    wide, narrow = BlockSpec.of("conv", 32), BlockSpec.of("conv", 8)
    assert network(wide, narrow).canonical_hash() != network(narrow, wide).canonical_hash()


@pytest.mark.parametrize("entry", ["full", "space_to_depth"])
def test_a_network_over_its_input_adds_the_picture_itself_at_the_end(entry: str) -> None:
    graph = network(base="input", centre=True, entry=entry)
    last = graph.nodes[-1]
    assert isinstance(last, Add)
    assert last.inputs[1] == 0
    # What centring took away came back with the picture: the head starts at nothing.
    assert {n.offset for n in graph.nodes if isinstance(n, Conv)} == {0.0}


def test_without_a_base_the_head_gives_back_what_centring_took_away() -> None:
    graph = network(centre=True)
    assert [n.value for n in graph.nodes if isinstance(n, Shift)] == [-CENTRE]
    assert [n.offset for n in graph.nodes if isinstance(n, Conv)][-1] == CENTRE


def test_at_half_size_the_first_level_has_half_the_input_and_the_output_all_of_it() -> None:
    graph = network(entry="space_to_depth")
    stem = next(i for i, n in enumerate(graph.nodes) if isinstance(n, Conv))
    assert sizes(graph)[stem] == (8, 8)
    assert shapes_of(graph, 16, 24)[-1] == (3, 16, 24)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("base", ["none", "bicubic"])
@pytest.mark.parametrize("entry", ["full", "space_to_depth"])
def test_a_larger_output_is_made_as_upscalers_make_it(scale: int, base: str, entry: str) -> None:
    graph = network(scale=scale, base=base, entry=entry, centre=True)
    assert shapes_of(graph, 16, 24)[-1] == (3, 16 * scale, 24 * scale)


def test_a_single_level_is_a_network_of_one_scale() -> None:
    assert {size[1] for size in sizes(network(BlockSpec.of("conv", 8, 3)))} == {16}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"entry": "quarter"}, "unknown entry 'quarter'; known: full, space_to_depth"),
        ({"reduction": "halved"}, "unknown reduction 'halved'; known: average_pool"),
        ({"growth": "doubled"}, "unknown growth 'doubled'; known: bilinear"),
        ({"join": "glue"}, "unknown join 'glue'; known: add, concat, none"),
        ({"base": "bicubic"}, "unknown base at the input's size 'bicubic'; known: input, none"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(
    args: dict[str, Scalar], words: str
) -> None:
    with pytest.raises(UnknownName, match=words):
        network(**args)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ((BlockSpec.of("conv", 8, level=1),), "no block at level 0"),
        ((BLOCKS[0], BLOCKS[2]), "no block at level 1"),
        ((BLOCKS[0], BlockSpec.of("conv", 8, side="decoder")), "decoder has a block at level 0"),
        ((BlockSpec.of("conv", 8, side="decoder"),), "no block at level 0"),
    ],
)
def test_a_level_that_does_not_exist_is_told(
    blocks: tuple[BlockSpec, ...], words: str
) -> None:
    with pytest.raises(InvalidArchitecture, match=words):
        network(*blocks)


def test_a_block_on_no_side_is_told() -> None:
    with pytest.raises(UnknownName, match="side of a block 'middle'; known: decoder, encoder"):
        network(BlockSpec.of("conv", 8, side="middle"))


def test_an_output_of_other_channels_cannot_be_added_to_the_input() -> None:
    assert shapes_of(network(channels=(3, 1)), 16, 24)[-1] == (1, 16, 24)
    with pytest.raises(InvalidArchitecture, match="3 input and 1 output channels"):
        network(channels=(3, 1), base="input")


def test_an_input_that_cannot_be_halved_so_often_does_not_fit() -> None:
    with pytest.raises(InvalidArchitecture, match="3x4 tensor does not divide by 2"):
        shapes_of(network(), 6, 8)

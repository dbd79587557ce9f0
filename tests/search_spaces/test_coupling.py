from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.coupling import coupled_channels
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Add, Concat, Conv, DepthToSpace, Slice
from search_spaces.skeletons import lower


def layers_of(graph: Graph) -> list[tuple[tuple[int, ...], int]]:
    return [(group.layers, len(group.channels)) for group in coupled_channels(graph)]


def test_layers_in_a_row_are_free_of_each_other_and_the_output_is_held() -> None:
    builder = GraphBuilder(3)
    one = builder.add(Conv, 0, out_channels=8)
    two = builder.add(Conv, one, out_channels=16)
    graph = builder.finish(builder.add(Conv, two, out_channels=4))
    assert layers_of(graph) == [((1,), 8), ((2,), 16)]


def test_an_addition_ties_what_it_adds() -> None:
    builder = GraphBuilder(3)
    one = builder.add(Conv, 0, out_channels=8)
    two = builder.add(Conv, one, out_channels=8)
    both = builder.add(Add, two, one)
    graph = builder.finish(builder.add(Conv, both, out_channels=4))
    (group,) = coupled_channels(graph)
    assert group.layers == (1, 2)
    assert group.channels[5] == ((1, 5), (2, 5))


def test_a_join_moves_channels_and_ties_none() -> None:
    builder = GraphBuilder(3)
    one = builder.add(Conv, 0, out_channels=8)
    two = builder.add(Conv, one, out_channels=16)
    both = builder.add(Concat, one, two)
    graph = builder.finish(builder.add(Conv, both, out_channels=4))
    assert layers_of(graph) == [((1,), 8), ((2,), 16)]


def test_slices_of_one_layer_are_judged_apart() -> None:
    builder = GraphBuilder(3)
    one = builder.add(Conv, 0, out_channels=24)
    left = builder.add(Slice, one, start=0, stop=8)
    right = builder.add(Slice, one, start=8, stop=24)
    two = builder.add(Conv, left, out_channels=16)
    both = builder.add(Add, two, right)
    graph = builder.finish(builder.add(Conv, both, out_channels=4))
    assert layers_of(graph) == [((1,), 8), ((1, 4), 16)]


def test_a_depthwise_layer_follows_the_one_before_it_and_a_grouped_one_holds_it() -> None:
    for groups, expected in ((16, [((1,), 16), ((3,), 8)]), (4, [((3,), 8)])):
        builder = GraphBuilder(3)
        one = builder.add(Conv, 0, out_channels=16)
        two = builder.add(Conv, one, out_channels=16, groups=groups)
        three = builder.add(Conv, two, out_channels=8, kernel=(1, 1))
        graph = builder.finish(builder.add(Conv, three, out_channels=4))
        assert layers_of(graph) == expected


def test_a_pixel_shuffle_ties_the_phases_of_a_channel() -> None:
    builder = GraphBuilder(3)
    one = builder.add(Conv, 0, out_channels=32)
    large = builder.add(DepthToSpace, one, factor=2)
    graph = builder.finish(builder.add(Conv, large, out_channels=3))
    (group,) = coupled_channels(graph)
    assert len(group.channels) == 8
    assert group.channels[2] == ((1, 8), (1, 9), (1, 10), (1, 11))


def test_the_layer_over_a_fixed_base_is_held() -> None:
    architecture = Architecture(
        "upscaler", one_to_one(3, 3, 2), (BlockSpec.of("conv", 16), BlockSpec.of("conv", 16)),
        (("base", "bicubic"),),
    )  # fmt: skip
    graph = lower(architecture)
    assert layers_of(graph) == [((1,), 16), ((2,), 16)]

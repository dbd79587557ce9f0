"""What is computed from a Graph: shapes, identity, work."""

from __future__ import annotations

from dataclasses import make_dataclass, replace
from typing import Any

import pytest

from search_spaces.base import InvalidArchitecture
from search_spaces.graph import Graph, GraphBuilder, channels_of, shapes_of
from search_spaces.primitives import (
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Flatten,
    GlobalAveragePool,
    GroupReduce,
    GroupSoftmax,
    Input,
    MaxPool,
    Multiply,
    Primitive,
    Resize,
    ResizeLike,
    Scale,
    Shift,
    Slice,
    SoftPool,
    SpaceToDepth,
)


def one(make: Any, *, channels: int = 4, **fields: Any) -> Graph:
    """A network of a single primitive."""
    builder = GraphBuilder(channels)
    return builder.finish(builder.add(make, 0, **fields))


def two_branches(*, swapped: bool = False, other_kernel: int = 1) -> Graph:
    """Two convolutions of one input, added; written in one order or the other."""
    builder = GraphBuilder(4)
    kernels = [(3, 3), (other_kernel, other_kernel)]
    order = (1, 0) if swapped else (0, 1)
    made = {k: builder.add(Conv, 0, out_channels=8, kernel=kernels[k]) for k in order}
    return builder.finish(builder.add(Add, made[0], made[1]))


@pytest.mark.parametrize(
    ("make", "fields", "shape"),
    [
        (Shift, {"value": 0.5}, (4, 12, 20)),
        (Conv, {"out_channels": 7}, (7, 12, 20)),
        (Conv, {"out_channels": 7, "kernel": (1, 5), "stride": 2}, (7, 6, 10)),
        (ConvTranspose, {"out_channels": 3, "kernel": (9, 9), "stride": 3}, (3, 36, 60)),
        (DepthToSpace, {"factor": 2}, (1, 24, 40)),
        (SpaceToDepth, {"factor": 4}, (64, 3, 5)),
        (MaxPool, {"factor": 2}, (4, 6, 10)),
        (AveragePool, {"factor": 2}, (4, 6, 10)),
        (Resize, {"factor": 3, "mode": "nearest"}, (4, 36, 60)),
        (Scale, {"value": -1.0}, (4, 12, 20)),
        (Activation, {"activation": "prelu"}, (4, 12, 20)),
        (Conv, {"out_channels": 7, "dilation": 2}, (7, 12, 20)),
        (Conv, {"out_channels": 7, "stride": 2, "padding": "valid"}, (7, 5, 9)),
        (Conv, {"out_channels": 7, "kernel": (4, 2), "padding": "valid"}, (7, 9, 19)),
        (Conv, {"out_channels": 7, "dilation": 3, "padding": "valid"}, (7, 6, 14)),
        (Conv, {"out_channels": 7, "stride": 8, "padding": "loose"}, (7, 2, 3)),
        (MaxPool, {"factor": 3, "kernel": 7}, (4, 2, 5)),
        (SoftPool, {"factor": 2}, (4, 6, 10)),
        (GlobalAveragePool, {}, (4, 1, 1)),
        (Slice, {"start": 1, "stop": 4}, (3, 12, 20)),
        (ChannelShuffle, {"groups": 2}, (4, 12, 20)),
        (GroupReduce, {"groups": 2, "mode": "max"}, (2, 12, 20)),
        (GroupSoftmax, {"groups": 4}, (4, 12, 20)),
    ],
)
def test_every_primitive_knows_the_shape_of_its_output(
    make: Any, fields: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    assert shapes_of(one(make, **fields), 12, 20) == [(4, 12, 20), shape]


def test_joined_tensors_add_up_their_channels() -> None:
    builder = GraphBuilder(4)
    conv = builder.add(Conv, 0, out_channels=6)
    graph = builder.finish(builder.add(Concat, conv, 0, conv))
    assert shapes_of(graph, 8, 8)[-1] == (16, 8, 8)
    assert channels_of(graph.nodes) == [4, 6, 16]


def test_a_classifier_ends_in_a_vector() -> None:
    pooled = Graph((Input((), 4), GlobalAveragePool((0,)), Conv((1,), 10, (1, 1)), Flatten((2,))))
    assert shapes_of(pooled, 12, 20)[1:] == [(4, 1, 1), (10, 1, 1), (10,)]


@pytest.mark.parametrize("gate", [GlobalAveragePool((1,)), Slice((1,), 0, 1), Conv((0,), 8)])
def test_a_gate_may_be_one_per_channel_or_one_per_pixel(gate: Primitive) -> None:
    graph = Graph((Input((), 4), Conv((0,), 8), gate, Multiply((1, 2))))
    assert shapes_of(graph, 12, 20)[-1] == (8, 12, 20)


def test_a_tensor_is_enlarged_to_the_size_of_another_whatever_that_is() -> None:
    graph = Graph((Input((), 4), MaxPool((0,), 3, 7), ResizeLike((1, 0))))
    assert shapes_of(graph, 13, 21)[1:] == [(4, 3, 5), (4, 13, 21)]


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (one(Slice, start=2, stop=5), "channels 2 to 5 of 4"),
        (one(Slice, start=2, stop=2), "channels 2 to 2 of 4"),
        (one(GroupReduce, groups=3, mode="max"), "4 channels in 3 groups"),
        (one(ChannelShuffle, groups=3), "4 channels in 3 groups"),
        (one(Flatten), "a 12x20 tensor, pool it to 1x1 first"),
        (one(MaxPool, factor=1, kernel=13), "a 12x20 tensor is too small"),
        (Graph((Input((), 4), Conv((0,), 8), Multiply((0, 1)))), "cannot multiply"),
        (
            Graph((Input((), 4), GlobalAveragePool((0,)), Flatten((1,)), Shift((2,), 1.0))),
            "nothing may follow a Flatten",
        ),
        (one(Conv, out_channels=6, groups=4), "4 > 6 channels in 4 groups"),
        (one(Conv, out_channels=6, stride=5), "does not divide by 5"),
        (one(MaxPool, factor=5), "does not divide by 5"),
        (one(SpaceToDepth, factor=7), "does not divide by 7"),
        (one(DepthToSpace, factor=3), "4 channels, factor 3"),
        (Graph((Input((), 4), Conv((0,), 8), Add((1, 0)))), "cannot add"),
        (Graph((Input((), 4), MaxPool((0,), 2), Concat((1, 0)))), "cannot join"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_the_node(graph: Graph, words: str) -> None:
    with pytest.raises(InvalidArchitecture, match=words) as refusal:
        shapes_of(graph, 12, 20)
    assert f"({type(graph.nodes[-1]).__name__})" in str(refusal.value)


def test_equal_networks_have_one_hash_in_whatever_order_they_are_written() -> None:
    assert two_branches() != two_branches(swapped=True)
    assert two_branches().canonical_hash() == two_branches(swapped=True).canonical_hash()


def test_a_different_network_has_a_different_hash() -> None:
    assert two_branches().canonical_hash() != two_branches(other_kernel=3).canonical_hash()


@pytest.mark.parametrize(
    "fields",
    [{"bias": False}, {"activation": "relu"}, {"offset": 0.5}, {"kernel": (5, 5)}, {"groups": 2}],
)
def test_every_field_of_a_primitive_counts_in_the_hash(fields: dict[str, Any]) -> None:
    plain, changed = one(Conv, out_channels=4), one(Conv, out_channels=4, **fields)
    assert plain.canonical_hash() != changed.canonical_hash()


def test_a_primitive_may_grow_a_field_without_new_hashes() -> None:
    def hashed(*fields: tuple[Any, ...]) -> str:
        warp = make_dataclass("Warp", fields, bases=(Primitive,), frozen=True)
        return Graph((Input((), 4), warp((0,)))).canonical_hash()

    grown = hashed(("power", int, 2), ("turn", float, 0.0))
    assert grown == hashed(("power", int, 2)) == hashed()


def test_which_input_is_the_skip_counts_in_the_hash() -> None:
    conv = Conv((0,), 4)
    one_way = Graph((Input((), 4), conv, Add((1, 0))))
    other_way = Graph((Input((), 4), conv, Add((0, 1))))
    assert one_way.canonical_hash() != other_way.canonical_hash()


def test_one_layer_read_twice_is_not_two_equal_layers() -> None:
    image, conv = Input((), 4), Conv((0,), 4)
    shared = Graph((image, conv, Add((1, 1))))
    separate = Graph((image, conv, conv, Add((1, 2))))
    assert shared.canonical_hash() != separate.canonical_hash()


def test_what_the_output_does_not_need_is_dropped_and_the_rest_renumbered() -> None:
    builder = GraphBuilder(4)
    builder.add(Conv, 0, out_channels=99)
    kept = builder.add(Conv, 0, out_channels=8)
    builder.add(Conv, kept, out_channels=98)
    graph = builder.finish(builder.add(DepthToSpace, kept, factor=2))
    assert graph == one_after_another(Conv((), 8), DepthToSpace((), 2))


def one_after_another(*nodes: Primitive) -> Graph:
    chain = [replace(node, inputs=(index,)) for index, node in enumerate(nodes)]
    return Graph((Input((), 4), *chain))


def test_consumers_are_the_readers_of_each_node() -> None:
    assert two_branches().consumers() == [[1, 2], [3], [3], []]

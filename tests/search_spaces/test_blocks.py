"""Blocks append primitives to a network."""

from __future__ import annotations

import pytest
import torch

from search_spaces.base import BlockSpec, InvalidArchitecture, UnknownName
from search_spaces.blocks import BLOCKS, HALVING, STRIDED, append
from search_spaces.graph import Graph, GraphBuilder, channels_of, shapes_of
from search_spaces.modules import build
from search_spaces.primitives import (
    Activation,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    DepthToSpace,
    Multiply,
    Resize,
    Slice,
)
from search_spaces.reach import multiple_of
from search_spaces.work import params_of


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
    with pytest.raises(UnknownName, match=r"'cnov' \(did you mean conv\?\); known: bottleneck"):
        appended(BlockSpec.of("cnov", 8))


def test_an_unknown_activation_of_a_block_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown activation 'rleu'"):
        appended(BlockSpec.of("conv", 8, activation="rleu"))


@pytest.mark.parametrize("channels", [8, 16])
@pytest.mark.parametrize("op", BLOCKS)
def test_a_block_keeps_the_size_and_gives_the_features_that_were_asked_for(
    op: str, channels: int
) -> None:
    assert shapes_of(appended(BlockSpec.of(op, channels, 2)), 12, 20)[-1] == (channels, 12, 20)


@pytest.mark.parametrize("op", STRIDED)
def test_only_the_first_of_a_group_takes_the_stride(op: str) -> None:
    graph = appended(BlockSpec.of(op, 16, 3, stride=2))
    assert shapes_of(graph, 12, 20)[-1] == (16, 6, 10)
    assert [c.stride for c in convolutions(graph) if c.stride > 1] == [2]


def test_a_stride_for_a_block_that_keeps_its_size_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match="'dense' keeps its size; with a stride: conv"):
        appended(BlockSpec.of("dense", 8, stride=2))


def test_arguments_that_a_block_does_not_know_are_left_to_others() -> None:
    tagged = appended(BlockSpec.of("conv", 8, level=2, side="down"))
    assert tagged == appended(BlockSpec.of("conv", 8))


def test_a_leaky_relu_has_a_slope_of_its_own_or_the_usual_one() -> None:
    (usual,) = convolutions(appended(BlockSpec.of("conv", 8, activation="leaky_relu")))
    (own,) = convolutions(appended(BlockSpec.of("conv", 8, activation="leaky_relu", slope=0.05)))
    assert (usual.slope, own.slope) == (0.1, 0.05)


def test_a_squeeze_is_narrow_in_the_middle() -> None:
    narrow, wide = convolutions(appended(BlockSpec.of("squeeze", 16, ratio=4)))
    assert (narrow.kernel, narrow.out_channels) == ((1, 1), 4)
    assert (wide.kernel, wide.out_channels) == ((3, 3), 16)


def test_a_grouped_block_is_mixed_by_a_pointwise_layer() -> None:
    parts, mixed = convolutions(appended(BlockSpec.of("grouped", 16, groups=2, kernel=5)))
    assert (parts.groups, parts.kernel, parts.activation) == (2, (5, 5), "relu")
    assert (mixed.groups, mixed.kernel, mixed.activation) == (1, (1, 1), "none")


def test_an_inverted_residual_is_wide_in_the_middle_and_ends_linear() -> None:
    graph = appended(BlockSpec.of("inverted_residual", 8, expand=6, activation="relu6"))
    expand, spatial, project = convolutions(graph)
    assert (expand.out_channels, spatial.groups, project.out_channels) == (48, 48, 8)
    assert [c.activation for c in (expand, spatial, project)] == ["relu6", "relu6", "none"]
    assert graph.nodes[-1] == Add((3, 0))


@pytest.mark.parametrize("changed", [{"channels": 16}, {"stride": 2}])
def test_an_inverted_residual_that_changes_its_shape_has_no_skip(changed: dict[str, int]) -> None:
    spec = BlockSpec.of("inverted_residual", **{"channels": 8, **changed})
    assert not any(isinstance(node, Add) for node in appended(spec).nodes)


def test_an_inverted_residual_without_expansion_begins_depthwise() -> None:
    spatial, _ = convolutions(appended(BlockSpec.of("inverted_residual", 16, expand=1)))
    assert (spatial.groups, spatial.out_channels) == (8, 8)


def test_a_large_kernel_is_depthwise_and_seven_wide_unless_said() -> None:
    spatial, wide, _ = convolutions(appended(BlockSpec.of("large_kernel", 8)))
    assert (spatial.kernel, spatial.groups, wide.out_channels) == ((7, 7), 8, 16)
    spatial, _, _ = convolutions(appended(BlockSpec.of("large_kernel", 8, kernel=9)))
    assert spatial.kernel == (9, 9)


def test_the_activation_after_a_residual_addition_is_a_choice() -> None:
    graph = appended(BlockSpec.of("residual", 8, after=True, activation="relu6"))
    assert graph.nodes[-1] == Activation((3,), "relu6")
    linear = appended(BlockSpec.of("residual", 8, after=True, activation="none"))
    assert isinstance(linear.nodes[-1], Add)


def test_every_layer_of_a_dense_block_reads_all_before_it() -> None:
    graph = appended(BlockSpec.of("dense", 8, layers=3, growth=4))
    reads = [channels_of(graph.nodes)[c.inputs[0]] for c in convolutions(graph)]
    assert reads == [8, 12, 16, 20]
    assert sum(isinstance(node, Concat) for node in graph.nodes) == 3


def test_a_distillation_keeps_a_quarter_at_each_step_and_joins_them() -> None:
    graph = appended(BlockSpec.of("distillation", 12), channels=12)
    kept = [n for n in graph.nodes if isinstance(n, Slice) and n.start == 0]
    assert [node.stop for node in kept] == [3, 3, 3]
    reads = [channels_of(graph.nodes)[c.inputs[0]] for c in convolutions(graph)]
    assert reads == [12, 9, 9, 9, 12]
    assert isinstance(graph.nodes[-1], Add)


def test_a_distillation_has_the_parameters_of_the_published_block() -> None:
    # IMDN_RTC's: three 3x3 of 12 or 9 to 12, one of 9 to 3, one 1x1 of 12 to 12, with biases.
    expected = (12 + 9 + 9) * 12 * 9 + 3 * 12 + 9 * 3 * 9 + 3 + 12 * 12 + 12
    assert params_of(appended(BlockSpec.of("distillation", 12), channels=12)) == expected


@pytest.mark.parametrize(
    ("channels", "ratio", "own"), [(64, 4, 16), (48, 4, 8), (32, 2, 16), (16, 4, 8), (8, 4, 2)]
)
def test_a_partial_convolution_is_over_a_part_in_eights(
    channels: int, ratio: int, own: int
) -> None:
    spec = BlockSpec.of("partial", channels, ratio=ratio)
    part, rest, spatial = convolutions(appended(spec, channels=channels))
    assert [c.out_channels for c in (part, rest, spatial)] == [own, channels - own, own]
    assert [c.kernel for c in (part, rest, spatial)] == [(1, 1), (1, 1), (3, 3)]
    assert (rest.activation, spatial.activation) == ("relu", "none")


def test_what_is_passed_on_goes_through_a_linear_pointwise_layer() -> None:
    graph = appended(BlockSpec.of("pass_on", 32, ratio=4, kernel=5), channels=32)
    made, passed = convolutions(graph)
    assert (made.out_channels, made.kernel, made.activation) == (8, (5, 5), "relu")
    assert (passed.out_channels, passed.kernel, passed.activation) == (24, (1, 1), "none")
    assert graph.nodes[-1] == Concat((1, 2))


@pytest.mark.parametrize(
    ("before", "channels", "groups"),
    [(64, 64, 4), (48, 48, 3), (24, 24, 1), (32, 48, 1), (64, 96, 2)],
)
def test_a_shuffle_has_groups_of_16_or_more_that_are_dealt_to_one_another(
    before: int, channels: int, groups: int
) -> None:
    graph = appended(BlockSpec.of("shuffle", channels), channels=before)
    (parts,) = convolutions(graph)
    assert parts.groups == groups
    dealt = [node.groups for node in graph.nodes if isinstance(node, ChannelShuffle)]
    assert dealt == ([groups] if groups > 1 else [])


def test_two_scales_stand_side_by_side() -> None:
    near, strided, far = convolutions(appended(BlockSpec.of("two_scale", 24)))
    assert (near.out_channels, near.stride) == (16, 1)
    assert [(c.out_channels, c.stride) for c in (strided, far)] == [(8, 2), (8, 1)]
    graph = appended(BlockSpec.of("two_scale", 24, growth="depth_to_space"))
    assert convolutions(graph)[-1].out_channels == 32
    assert any(isinstance(node, DepthToSpace) for node in graph.nodes)


def test_attention_without_parameters_has_those_of_three_convolutions() -> None:
    graph = appended(BlockSpec.of("parameter_free_attention", 8))
    assert params_of(graph) == 3 * (8 * 8 * 9 + 8)
    assert any(isinstance(node, Multiply) for node in graph.nodes)
    wider = convolutions(appended(BlockSpec.of("parameter_free_attention", 16)))
    assert [c.kernel for c in wider].count((1, 1)) == 1


@pytest.mark.parametrize("op", BLOCKS)
def test_features_pass_a_row_of_fresh_blocks_in_their_size(op: str) -> None:
    network = build(appended(BlockSpec.of(op, 16, 4), channels=16), seed=0)
    features = torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = network(features)
    assert isinstance(made, torch.Tensor)
    assert 0.2 < float(made.std() / features.std()) < 5.0


def test_local_attention_weighs_by_a_map_of_half_the_size() -> None:
    graph = appended(BlockSpec.of("local_attention", 16, activation="prelu"))
    heat = graph.nodes[graph.nodes[-1].inputs[1]]
    assert isinstance(heat, Resize)
    assert shapes_of(graph, 12, 20)[heat.inputs[0]] == (16, 6, 10)
    assert [c.activation for c in convolutions(graph)] == ["prelu", "none", "relu", "sigmoid"]


@pytest.mark.parametrize("op", BLOCKS)
def test_blocks_that_halve_the_size_in_between_are_told(op: str) -> None:
    assert (multiple_of(appended(BlockSpec.of(op, 16))) > 1) == (op in HALVING)

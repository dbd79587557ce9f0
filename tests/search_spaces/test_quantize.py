"""Where Q/DQ pairs stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search_spaces.fixed_kernels import phases
from search_spaces.graph import Graph
from search_spaces.primitives import (
    Activation,
    Add,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    GlobalAveragePool,
    Input,
    MaxPool,
    Multiply,
    Primitive,
    Shift,
    Slice,
    SpaceToDepth,
)
from search_spaces.quantize import (
    CPU_RULES,
    TENSORRT_RULES,
    QuantRules,
    float_rest,
    nominal_scales,
    place,
    weight_axis,
    weight_scale,
    whole_step,
)
from search_spaces.weights import random_weights

IMAGE = Input((), 8)
CHAIN = Graph((IMAGE, Conv((0,), 8, activation="relu"), Conv((1,), 8), DepthToSpace((2,), 2)))
RESIDUAL = Graph(
    (
        IMAGE,
        Conv((0,), 8, activation="relu"),
        Conv((1,), 8, activation="relu"),
        Conv((2,), 8),
        Add((3, 1)),
        Conv((4,), 8),
    )
)


def test_every_weighted_layer_reads_a_quantized_input() -> None:
    placement = place(CHAIN)
    assert placement.layers == {1, 2}
    assert set(placement.tensors) == {0, 1}
    assert placement.reads_quantized(CHAIN, 1, 0)
    assert placement.reads_quantized(CHAIN, 2, 1)


def test_the_output_is_never_quantized() -> None:
    assert CHAIN.output not in place(CHAIN).tensors
    assert RESIDUAL.output not in place(RESIDUAL).tensors


def test_a_layer_without_weights_reads_the_float_tensor() -> None:
    graph = Graph((IMAGE, Conv((0,), 8), MaxPool((1,), 2), Conv((1,), 8)))
    placement = place(graph)
    assert 1 in placement.tensors
    assert not placement.reads_quantized(graph, 2, 1)


def test_the_skip_of_a_residual_is_quantized_and_its_convolution_branch_is_not() -> None:
    placement = place(RESIDUAL)
    assert placement.reads_quantized(RESIDUAL, 4, 1)
    assert not placement.reads_quantized(RESIDUAL, 4, 3)
    assert 3 not in placement.tensors


def test_an_addition_that_no_layer_reads_stays_float() -> None:
    graph = Graph((IMAGE, Conv((0,), 8), Conv((1,), 8), Add((2, 1)), DepthToSpace((3,), 2)))
    placement = place(graph)
    assert 3 not in placement.tensors
    assert not placement.reads_quantized(graph, 3, 1)
    assert placement.reads_quantized(graph, 2, 1)


def test_an_activation_after_an_addition_belongs_to_it() -> None:
    graph = Graph((*RESIDUAL.nodes[:5], Activation((4,), "relu"), Conv((5,), 8)))
    placement = place(graph)
    assert placement.additions == {4}
    assert placement.reads_quantized(graph, 4, 1)
    assert not placement.reads_quantized(graph, 5, 4)
    assert 4 not in placement.tensors and 5 in placement.tensors


def test_a_gate_is_multiplied_in_float_and_its_product_quantized() -> None:
    graph = Graph(
        (IMAGE, Conv((0,), 8), GlobalAveragePool((1,)), Conv((2,), 8, (1, 1)), Multiply((1, 3)),
         Conv((4,), 8))
    )
    placement = place(graph)
    assert set(placement.tensors) == {0, 2, 4}
    assert not any(placement.reads_quantized(graph, 4, source) for source in (1, 3))


JOINED = Graph(
    (IMAGE, Conv((0,), 8), Conv((1,), 8), Concat((1, 2)), Conv((3,), 8), MaxPool((3,), 2),
     Slice((5,), 0, 8), Conv((6,), 8), Conv((7,), 8))
)


def test_what_is_joined_and_what_comes_of_it_without_weights_is_stored_unsigned_on_cpus() -> None:
    placement = place(JOINED)
    assert set(placement.tensors) == {0, 1, 2, 3, 6, 7}
    assert placement.zero_points == {0: 0, 1: 128, 2: 128, 3: 128, 6: 128}


def test_tensorrt_knows_no_zero_point_but_zero() -> None:
    assert place(JOINED, TENSORRT_RULES).zero_points == {}


def test_what_is_never_negative_has_twice_the_levels_on_cpus() -> None:
    graph = Graph(
        (IMAGE, Conv((0,), 8, activation="relu"), Conv((1,), 8, activation="prelu"),
         SpaceToDepth((1,), 2), Conv((2,), 8, stride=2), Conv((3,), 8), Add((4, 5)),
         Activation((6,), "relu6"), Conv((7,), 8))
    )
    placement = place(graph)
    assert placement.zero_points == {0: 0, 1: 0, 3: 0, 7: 0}
    assert {placement.levels(index) for index in placement.zero_points} == {(0, 255)}
    assert placement.levels(2) == (-128, 127)


@pytest.mark.parametrize(
    ("nodes", "rules", "step"),
    [
        ((IMAGE,), CPU_RULES, 1 / 255),
        ((IMAGE,), TENSORRT_RULES, None),
        ((IMAGE, Shift((0,), -128 / 255)), TENSORRT_RULES, 1 / 255),
        ((IMAGE, SpaceToDepth((0,), 2), Shift((1,), -128 / 255)), CPU_RULES, 1 / 255),
        ((IMAGE, Shift((0,), -0.5)), CPU_RULES, None),
        ((IMAGE, Shift((0,), -200 / 255)), CPU_RULES, None),
        ((IMAGE, Conv((0,), 8)), CPU_RULES, None),
    ],
)
def test_an_8_bit_picture_is_held_exactly_where_it_fits(
    nodes: tuple[Primitive, ...], rules: QuantRules, step: float | None
) -> None:
    last = len(nodes) - 1
    graph = Graph((*nodes, Conv((last,), 8)))
    placement = place(graph, rules)
    assert placement.exact_step(graph, last) == step


def test_a_tensor_has_one_scale_however_many_read_it() -> None:
    placement = place(RESIDUAL)
    readers = [r for r in RESIDUAL.consumers()[1] if placement.reads_quantized(RESIDUAL, r, 1)]
    assert readers == [2, 4]
    assert placement.tensors[1] == 1


def test_what_is_joined_shares_the_scale_of_the_join() -> None:
    graph = Graph(
        (IMAGE, Conv((0,), 8), Conv((0,), 8), Concat((1, 2)), Conv((3,), 8), Conv((1,), 8),
         Add((4, 5)))
    )
    placement = place(graph)
    assert {placement.tensors[i] for i in (1, 2, 3)} == {3}
    assert placement.tensors[0] == 0
    assert placement.reads_quantized(graph, 3, 1)


def test_joins_of_joins_share_one_scale() -> None:
    graph = Graph(
        (IMAGE, Conv((0,), 8), Concat((0, 1)), Conv((2,), 8), Concat((2, 3)), Conv((4,), 8))
    )
    assert set(place(graph).tensors.items()) == {(i, 4) for i in range(5)}


def test_a_tensor_in_two_joins_makes_both_share_one_scale() -> None:
    graph = Graph(
        (IMAGE, Conv((0,), 8), Conv((0,), 8), Concat((0, 1)), Concat((0, 2)), Conv((3,), 8),
         Conv((4,), 8), Add((5, 6)))
    )
    placement = place(graph)
    assert {placement.tensors[i] for i in range(5)} == {4}


def test_a_join_that_no_layer_reads_stays_float() -> None:
    graph = Graph((IMAGE, Conv((0,), 8), Concat((0, 1)), DepthToSpace((2,), 4)))
    placement = place(graph)
    assert set(placement.tensors) == {0}
    assert not placement.reads_quantized(graph, 2, 0)


@pytest.mark.parametrize(
    ("groups", "int8_on_tensorrt"), [(1, True), (2, True), (4, False), (8, False)]
)
def test_tensorrt_keeps_grouped_layers_float_unless_four_channels_stand_together(
    groups: int, int8_on_tensorrt: bool
) -> None:
    graph = Graph((IMAGE, Conv((0,), 8, groups=groups), Conv((1,), 8)))
    assert (1 in place(graph, TENSORRT_RULES).layers) == int8_on_tensorrt
    assert 1 in place(graph, CPU_RULES).layers


def test_the_input_of_a_float_layer_is_not_quantized_for_it() -> None:
    graph = Graph((IMAGE, Conv((0,), 8, groups=8), Conv((1,), 8)))
    placement = place(graph, TENSORRT_RULES)
    assert set(placement.tensors) == {1}


@pytest.mark.parametrize("transposed", [True, False])
def test_transposed_convolutions_are_quantized_where_the_rules_say_so(transposed: bool) -> None:
    graph = Graph((IMAGE, ConvTranspose((0,), 3, (9, 9), 2)))
    rules = replace(CPU_RULES, transposed=transposed)
    assert place(graph, rules).layers == (frozenset({1}) if transposed else frozenset())


def test_a_weight_has_a_scale_per_output_channel() -> None:
    weight = np.random.default_rng(0).standard_normal((6, 4, 3, 3)).astype(np.float32)
    scale = weight_scale(weight, 0, 64)
    assert scale.shape == (6,)
    assert np.abs(weight).max(axis=(1, 2, 3)) / scale == pytest.approx(np.full(6, 64.0), rel=1e-6)
    assert weight_scale(weight, 1, 127).shape == (4,)


def test_a_channel_of_zeros_has_a_positive_scale() -> None:
    assert weight_scale(np.zeros((2, 1, 1, 1), np.float32), 0, 127).min() > 0


@pytest.mark.parametrize("top", [64, 127])
@pytest.mark.parametrize(
    ("name", "factor", "parts"),
    [
        ("nearest", 3, 1),
        ("bilinear", 2, 16),
        ("bilinear", 3, 9),
        ("bilinear", 4, 64),
        ("luma_nearest", 2, 1),
        ("luma_bilinear", 2, 16),
    ],
)
def test_a_simple_fixed_kernel_has_a_scale_that_holds_it_exactly(
    name: str, factor: int, parts: int, top: int
) -> None:
    weight = phases(name, factor, 4)
    step = whole_step(Conv((0,), len(weight), fixed=name, factor=factor), weight, top)
    assert step == 1 / parts
    assert np.abs(np.rint(weight * parts)).max() <= top
    assert np.rint(weight * parts) / parts == pytest.approx(weight, abs=1e-7)


@pytest.mark.parametrize("top", [64, 127])
def test_other_kernels_have_no_such_scale(top: int) -> None:
    bicubic, ones = phases("bicubic", 2, 3), phases("nearest", 2, 3)
    assert whole_step(Conv((0,), 12, fixed="bicubic", factor=2), bicubic, top) is None
    assert whole_step(Conv((0,), 12), ones, top) is None  # learned: they will not stay ones
    bilinear = phases("bilinear", 4, 3)
    assert whole_step(Conv((0,), 48, fixed="bilinear", factor=4), bilinear, 48) is None


def test_a_transposed_layer_has_its_output_channels_second() -> None:
    graph = Graph((IMAGE, Conv((0,), 8), ConvTranspose((1,), 3, (3, 3), 2)))
    assert (weight_axis(graph, 1), weight_axis(graph, 2)) == (0, 1)
    placement, weights = place(graph), random_weights(graph)
    scales = nominal_scales(graph, placement, weights)
    assert {index: len(scale) for index, scale in scales.weights.items()} == {1: 8, 2: 3}
    assert set(scales.tensors) == set(placement.tensors)


@pytest.mark.parametrize(
    ("precision", "on_cpu", "on_tensorrt"),
    [("fp32", "fp32", "fp32"), ("fp16", "fp16", "fp16"), ("int8", "fp32", "fp16")],
)
def test_what_is_not_int8_has_the_type_that_the_engine_is_fast_in(
    precision: str, on_cpu: str, on_tensorrt: str
) -> None:
    assert float_rest(precision, CPU_RULES) == on_cpu
    assert float_rest(precision, TENSORRT_RULES) == on_tensorrt

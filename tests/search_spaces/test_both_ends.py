"""Where Q/DQ pairs stand for ONNX Runtime, which wants them at both ends of a layer."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import onnx
import pytest

from search_spaces.both_ends import before_activation, quantized_ends
from search_spaces.graph import Graph
from search_spaces.onnx_writer import write
from search_spaces.primitives import (
    Activation,
    Add,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Input,
    MaxPool,
    Primitive,
    Resize,
    Shift,
    Slice,
    SpaceToDepth,
)
from search_spaces.quantize import ONNXRUNTIME_RULES, nominal_scales, place
from search_spaces.weights import random_weights

IMAGE = Input((), 8)


def placed(*nodes: Primitive, keep_float: frozenset[int] = frozenset()) -> tuple[Graph, set[int]]:
    graph = Graph((IMAGE, *nodes))
    placement = place(graph, ONNXRUNTIME_RULES, keep_float=keep_float)
    return graph, set(placement.tensors)


def test_what_a_layer_reads_and_gives_is_quantized_the_output_too() -> None:
    graph, tensors = placed(Conv((0,), 8, activation="relu"), Conv((1,), 8))
    assert tensors == {0, 1, 2}
    placement = place(graph, ONNXRUNTIME_RULES)
    assert placement.zero_points == {0: 0, 1: 0, 2: 128}


@pytest.mark.parametrize("activation", ["relu", "relu6", "clip"])
def test_a_clip_from_zero_belongs_to_its_layer(activation: str) -> None:
    _, tensors = placed(Conv((0,), 8, activation=activation), Conv((1,), 8))
    assert tensors == {0, 1, 2}


@pytest.mark.parametrize("activation", ["prelu", "tanh", "silu", "sigmoid"])
def test_any_other_activation_has_a_quantized_tensor_before_it(activation: str) -> None:
    graph, tensors = placed(Conv((0,), 8, activation=activation), Conv((1,), 8))
    assert tensors == {0, before_activation(1), 1, 2}
    assert place(graph, ONNXRUNTIME_RULES).zero_points[before_activation(1)] == 128


def test_a_relu_after_an_addition_belongs_to_it_and_another_activation_does_not() -> None:
    body: tuple[Primitive, ...] = (Conv((0,), 8), Conv((1,), 8), Add((2, 1)))
    _, with_relu = placed(*body, Activation((3,), "relu"), Conv((4,), 8))
    assert with_relu == {0, 1, 2, 4, 5}
    _, with_tanh = placed(*body, Activation((3,), "tanh"), Conv((4,), 8))
    assert with_tanh == {0, 1, 2, 3, 4, 5}


def test_an_addition_of_two_quantized_tensors_is_quantized() -> None:
    _, tensors = placed(Conv((0,), 8), Conv((0,), 8), Add((1, 2)))
    assert tensors == {0, 1, 2, 3}


def test_an_addition_of_a_float_tensor_stays_float() -> None:
    _, tensors = placed(Conv((0,), 8), Shift((0,), 0.5), Add((1, 2)))
    assert tensors == {0, 1}


def test_both_sides_of_an_addition_that_a_layer_reads_are_quantized() -> None:
    _, tensors = placed(Conv((0,), 8, activation="prelu"), Add((1, 0)), Conv((2,), 8))
    assert tensors == {0, before_activation(1), 1, 2, 3}


MOVES: tuple[Primitive, ...] = (
    DepthToSpace((1,), 2), MaxPool((1,), 2), Slice((1,), 0, 4), Resize((1,), 2, "nearest"),
)


@pytest.mark.parametrize("move", MOVES)
def test_what_is_moved_keeps_its_scale(move: Primitive) -> None:
    graph, tensors = placed(Conv((0,), 8), move)
    assert tensors == {0, 1, 2}
    assert place(graph, ONNXRUNTIME_RULES).tensors[2] == 1


@pytest.mark.parametrize("other", [SpaceToDepth((1,), 2), Resize((1,), 2, "bilinear")])
def test_what_has_no_integer_kernel_is_left_in_float(other: Primitive) -> None:
    graph, tensors = placed(Conv((0,), 8), other, Conv((2,), 8))
    assert tensors == {0, 1, 2, 3}
    assert place(graph, ONNXRUNTIME_RULES).tensors[2] == 2


def test_what_was_moved_before_a_layer_reads_it_is_quantized_before() -> None:
    _, tensors = placed(Conv((0,), 8, activation="tanh"), Slice((1,), 0, 4), Conv((2,), 8))
    assert tensors == {0, before_activation(1), 1, 2, 3}


def test_parts_of_one_kind_share_the_scale_of_their_join() -> None:
    graph, _ = placed(Conv((0,), 8), Conv((0,), 8), Concat((1, 2)), Conv((3,), 8))
    placement = place(graph, ONNXRUNTIME_RULES)
    assert {placement.tensors[i] for i in (1, 2, 3)} == {3}
    assert {placement.zero_points[i] for i in (1, 2, 3)} == {128}


def test_parts_of_two_kinds_each_keep_their_own() -> None:
    """A ReLU is done by a quantizer from zero alone: it cannot take the scale of another."""
    graph, _ = placed(
        Conv((0,), 8, activation="relu"), Conv((0,), 8), Concat((1, 2)), Conv((3,), 8)
    )
    placement = place(graph, ONNXRUNTIME_RULES)
    assert [placement.tensors[i] for i in (1, 2, 3)] == [1, 2, 3]
    assert [placement.zero_points[i] for i in (1, 2, 3)] == [0, 128, 128]


def test_a_clip_bounds_the_scale_that_does_its_work() -> None:
    graph, _ = placed(Conv((0,), 8, activation="relu6"), MaxPool((1,), 2), Conv((2,), 8))
    placement = place(graph, ONNXRUNTIME_RULES)
    assert placement.ceilings == {1: 6.0}
    for tensor in (1, 2):
        most = placement.most_step(tensor)
        assert most is not None and 5.99 < most * 255 < 6.0
    assert placement.most_step(3) is None
    scales = nominal_scales(graph, placement, random_weights(graph))
    assert all(scales.tensors[i] <= 6.0 / 255 for i in (1, 2))


def test_clips_with_other_bounds_do_not_share() -> None:
    ends = quantized_ends(
        Graph((IMAGE, Conv((0,), 8, activation="relu6"), Conv((0,), 8, activation="clip"),
               Concat((1, 2)), Conv((3,), 8))),
        {1, 2, 4},
    )
    assert [ends.owners[i] for i in (1, 2, 3)] == [1, 2, 3]
    assert ends.ceilings == {1: 6.0, 2: 1.0} and inf not in ends.ceilings.values()


def test_a_picture_and_what_is_moved_of_it_are_held_exactly() -> None:
    graph, _ = placed(Slice((0,), 0, 4), Conv((1,), 8), Conv((0,), 8))
    placement = place(graph, ONNXRUNTIME_RULES)
    assert placement.exact_step(graph, 0) == placement.exact_step(graph, 1) == 1 / 255
    assert not placement.shifts(graph, 0) and placement.shifts(graph, 2)


@pytest.mark.parametrize(("channels", "int8"), [(3, True), (8, False)])
def test_a_transposed_convolution_is_quantized_where_it_is_written_as_one(
    channels: int, int8: bool
) -> None:
    graph = Graph((IMAGE, ConvTranspose((0,), channels, (9, 9), 2)))
    assert (1 in place(graph, ONNXRUNTIME_RULES).layers) == int8
    wide = place(graph, replace(ONNXRUNTIME_RULES, transposed=False))
    assert wide.layers == frozenset()


def written(*nodes: Primitive) -> onnx.GraphProto:
    graph = Graph((IMAGE, *nodes))
    placement, weights = place(graph, ONNXRUNTIME_RULES), random_weights(graph)
    scales = nominal_scales(graph, placement, weights)
    file = write(graph, weights, height=8, width=8, quantized=(placement, scales))
    model = onnx.load_model_from_string(file)
    onnx.checker.check_model(model, full_check=True)
    return model.graph


def test_a_bias_is_written_in_steps_of_its_layers_sums() -> None:
    graph = written(Conv((0,), 8))
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    step = stored["n1.bias.scale"]
    assert step == pytest.approx(stored["input.scale"] * stored["n1.weight.scale"], rel=1e-6)
    bias = random_weights(Graph((IMAGE, Conv((0,), 8))))["n1.bias"]
    assert stored["n1.bias.int32"].dtype == np.int32
    assert np.abs(stored["n1.bias.int32"] * step - bias).max() <= 0.51 * step.max()


@pytest.mark.parametrize("activation", ["none", "relu", "prelu"])
def test_phases_of_a_transposed_convolution_are_quantized_before_they_are_moved(
    activation: str,
) -> None:
    graph = written(ConvTranspose((0,), 3, (5, 5), 2, activation=activation))
    made_by = {out: node for node in graph.node for out in node.output}
    (shuffle,) = (node for node in graph.node if node.op_type == "DepthToSpace")
    before = made_by[made_by[made_by[shuffle.input[0]].input[0]].input[0]]
    assert before.op_type == ("Relu" if activation == "relu" else "Conv")
    (after,) = (node for node in graph.node if shuffle.output[0] in node.input)
    assert after.op_type == "QuantizeLinear"
    # An activation that no layer reads ends the network in float.
    last = "PRelu" if activation == "prelu" else "DequantizeLinear"
    assert made_by["output"].op_type == last

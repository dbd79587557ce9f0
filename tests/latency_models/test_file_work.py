"""The file's own count agrees with the count of the graph it was written from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from latency_models.file_work import work_of_file
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.work import work_of
from tests.idle_macs import idle_macs
from tests.latency_models.small_nets import finished


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_multiply_adds_are_those_of_the_graph(name: str, precision: str) -> None:
    graph = lower(reference(name, REFERENCES[name].nearest_scale(2)))
    file = untrained(graph, precision=precision, height=32, width=64, batch=2)
    macs = sum(work.macs for work in work_of(graph, 32, 64))
    assert work_of_file(file).macs == 2 * (macs + idle_macs(graph, 32, 64))


def test_half_precision_moves_about_half_the_bytes() -> None:
    graph = lower(reference("ecbsr_m4c16", 2))
    single, half = (
        work_of_file(untrained(graph, precision=p, height=32, width=32)).bytes_moved
        for p in ("fp32", "fp16")
    )
    assert half / single == pytest.approx(0.5, abs=0.05)


def test_a_matrix_product_is_counted() -> None:
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    file = finished([node], {"w": np.ones((6, 2), np.float32)}, "y", [5, 6], [5, 2])
    assert work_of_file(file).macs == 5 * 6 * 2


def test_what_cannot_be_counted_is_named() -> None:
    strange = onnx.helper.make_node("Strange", ["x"], ["y"], "odd one", domain="elsewhere")
    relu = onnx.helper.make_node("Relu", ["y"], ["z"])
    model = onnx.load_model_from_string(finished([strange, relu], {}, "z", [1, 4], [1, 4]))
    model.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    assert work_of_file(model.SerializeToString()).uncounted == ("elsewhere.Strange odd one",)


KERNEL = np.ones((8, 3, 3, 3), np.float32)
PICTURE, FEATURES = [1, 3, 64, 64], [1, 8, 64, 64]
ONE_CONV = 64 * 64 * 8 * 3 * 9


def branch(name: str, nodes: Sequence[Any]) -> Any:
    """A graph without inputs whose output is called `out`, as an If takes it."""
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, FEATURES)
    return helper.make_graph(list(nodes), name, [], [out])


def conv(source: str, result: str, *, kernel: str = "w") -> Any:
    return helper.make_node("Conv", [source, kernel], [result], pads=[1] * 4)


def either(one: Any, other: Any) -> bytes:
    """A file that runs one of two branches; which is known only when it runs."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Cast", ["top"], ["bright"], to=TensorProto.BOOL),
        helper.make_node("If", ["bright"], ["y"], "choice", then_branch=one, else_branch=other),
    ]
    return finished(nodes, {"w": KERNEL}, "y", PICTURE, FEATURES)


def test_a_branch_counts_once_where_both_do_the_same_work() -> None:
    one = branch("one", [conv("x", "c"), helper.make_node("Relu", ["c"], ["out"])])
    work = work_of_file(either(one, branch("other", [conv("x", "out")])))
    assert (work.macs, work.uncounted) == (ONE_CONV, ())


def test_branches_of_different_work_are_told_and_not_counted() -> None:
    nodes = [conv("x", "c"), helper.make_node("Add", ["c", "c"], ["out"])]
    light = branch("light", [
        helper.make_node("ConstantOfShape", ["size"], ["out"])
    ])
    one = either(branch("heavy", nodes), light)
    (told,) = work_of_file(one).uncounted
    assert told == f"If choice (its branches take {ONE_CONV} and 0 MACs)"


def test_a_branch_inside_a_branch_is_counted_too() -> None:
    inner = helper.make_node(
        "If", ["bright"], ["out"],
        then_branch=branch("a", [conv("x", "out")]), else_branch=branch("b", [conv("x", "out")]),
    )
    work = work_of_file(either(branch("outer", [inner]), branch("other", [conv("x", "out")])))
    assert (work.macs, work.uncounted) == (ONE_CONV, ())


def test_a_function_of_the_file_is_counted_as_what_it_holds() -> None:
    opset = helper.make_opsetid("", 18)
    twice = helper.make_function("mine", "Pad", ["a", "k"], ["b"], [
        helper.make_node("Conv", ["a", "k"], ["b"], pads=[1] * 4)
    ], [opset])
    call = helper.make_node("Pad", ["x", "w"], ["y"], domain="mine")
    model = onnx.load_model_from_string(
        finished([call], {"w": KERNEL}, "y", PICTURE, FEATURES)
    )
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.functions.append(twice)
    work = work_of_file(model.SerializeToString())
    assert (work.macs, work.uncounted) == (ONE_CONV, ())


def test_an_einsum_of_two_tensors_is_a_matrix_product() -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation="bij,jk->bik")
    file = finished([node], {"w": np.ones((6, 2), np.float32)}, "y", [3, 5, 6], [3, 5, 2])
    assert work_of_file(file).macs == 3 * 5 * 6 * 2
    node = helper.make_node("Einsum", ["x", "w", "w"], ["y"], equation="bij,jk,jk->bik")
    three = finished([node], {"w": np.ones((6, 2), np.float32)}, "y", [3, 5, 6], [3, 5, 2])
    assert work_of_file(three).uncounted == ("Einsum",)


def test_integer_layers_are_counted_like_their_float_ones() -> None:
    scale, zero = np.array(0.02, np.float32), np.array(0, np.uint8)
    values = {"s": scale, "z": zero, "w": KERNEL.astype(np.int8), "wz": np.array(0, np.int8)}
    quantize = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    linear = helper.make_node(
        "QLinearConv", ["q", "s", "z", "w", "s", "wz", "s", "z"], ["c"], pads=[1] * 4
    )
    add = helper.make_node(
        "QLinearAdd", ["c", "s", "z", "c", "s", "z", "s", "z"], ["a"], domain="com.microsoft"
    )
    last = helper.make_node("DequantizeLinear", ["a", "s", "z"], ["y"])
    model = onnx.load_model_from_string(
        finished([quantize, linear, add, last], values, "y", PICTURE, FEATURES)
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    work = work_of_file(model.SerializeToString())
    assert (work.macs, work.uncounted) == (ONE_CONV, ())
    whole = helper.make_node("ConvInteger", ["q", "w"], ["c"], pads=[1] * 4)
    cast = helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT)
    integer = finished([quantize, whole, cast], values, "y", PICTURE, FEATURES)
    assert work_of_file(integer).macs == ONE_CONV


def test_weights_among_the_inputs_are_weights() -> None:
    model = onnx.load_model_from_string(
        finished([conv("x", "y")], {"w": KERNEL}, "y", PICTURE, FEATURES)
    )
    listed = helper.make_tensor_value_info("w", TensorProto.FLOAT, KERNEL.shape)
    model.graph.input.insert(0, listed)
    assert work_of_file(model.SerializeToString()).macs == ONE_CONV


@pytest.mark.parametrize("kind", ["LSTM", "Loop", "Attention"])
def test_what_has_work_that_shapes_do_not_tell_is_never_taken_for_none(kind: str) -> None:
    node = helper.make_node(kind, ["x", "w"], ["y"])
    file = finished([node], {"w": np.ones((6, 2), np.float32)}, "y", [5, 6], [5, 2])
    assert work_of_file(file).uncounted == (kind,)


def test_an_open_dimension_is_told_and_not_taken_for_zero() -> None:
    file = finished([conv("x", "y")], {"w": KERNEL}, "y", [1, 3, "H", "W"], [1, 8, "H", "W"])
    work = work_of_file(file)
    assert (work.macs, work.uncounted) == (0, ("Conv",))

"""Each rule has a file that breaks it, and good files break none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checked_files import changed, errors, found, node_named, set_constant
from onnx import TensorProto, helper, numpy_helper
from trt_style_nets import Net, chain, upscaler

from latency_models.trt_compatibility import UNREADABLE, check


@pytest.mark.parametrize("net", [chain, upscaler])
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("float_type", ["fp32", "fp16"])
def test_good_files_break_no_rule(net: Any, int8: bool, float_type: str) -> None:
    assert errors(net(int8=int8, float_type=float_type)) == []


def test_a_float_weight_behind_its_own_quantizer_is_fine() -> None:
    def change(model: Any) -> None:
        weight = next(t for t in model.graph.initializer if t.name == "conv0_w")
        scale = next(t for t in model.graph.initializer if t.name == "conv0_ws")
        values = numpy_helper.to_array(weight) * numpy_helper.to_array(scale).reshape(-1, 1, 1, 1)
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float32), "conv0_w"))
        node = node_named(model, "conv0_wdq")
        node.input[0] = "conv0_wq"
        inputs = ["conv0_w", "conv0_ws", "conv0_wz"]
        quantizer = helper.make_node("QuantizeLinear", inputs, ["conv0_wq"], name="wq", axis=0)
        model.graph.node.insert(0, quantizer)

    assert errors(changed(chain(int8=True), change)) == []


def test_bytes_that_are_no_onnx_are_one_error() -> None:
    assert [finding.rule for finding in check(b"not a network")] == [UNREADABLE]
    (empty,) = check(b"")
    assert empty.message == "it is no ONNX file that can be read: no ONNX network is in it"


def test_a_size_of_minus_one_is_an_open_one() -> None:
    def change(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = -1

    assert found(changed(chain(), change), "static shape")


def test_what_the_checker_of_onnx_says_is_one_line() -> None:
    def change(model: Any) -> None:
        model.graph.node[0].input[0] = "nobody's"

    assert all("\n" not in finding.message for finding in check(changed(chain(), change)))


def test_an_opset_out_of_the_documented_range_is_advised_against() -> None:
    net = Net()
    levels = [f.level for f in found(net.file(net.node("Relu", ["x"], "y"), opset=8), "opset")]
    assert levels == ["advice"]


def test_an_open_dimension_is_found() -> None:
    def change(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].Clear()

    assert found(changed(chain(), change), "static shape")


def test_double_is_advised_against() -> None:
    net = Net()
    net.constant("c", np.ones(1, np.float64))
    doubled = net.node("Cast", ["x"], "d", to=TensorProto.DOUBLE)
    total = net.node("Add", [doubled, "c"], "sum")
    file = net.file(net.node("Cast", [total], "y", to=TensorProto.FLOAT))
    assert {finding.level for finding in found(file, "tensor type")} == {"advice"}


@pytest.mark.parametrize("op", ["Unique", "Bernoulli", "Det"])
def test_an_operator_that_is_not_in_the_table_is_found(op: str) -> None:
    net = Net()
    assert found(net.file(net.node(op, ["x"], "y")), "operator")


def test_a_custom_operator_is_found() -> None:
    def change(model: Any) -> None:
        node_named(model, "relu0").domain = "com.example"
        model.opset_import.append(helper.make_opsetid("com.example", 1))

    assert found(changed(chain(), change), "operator")


def test_integer_operators_are_found() -> None:
    net = Net()
    assert found(net.file(net.node("ConvInteger", ["x", "x"], "y")), "integer operator")


def test_a_type_that_the_operator_does_not_take_is_found() -> None:
    net = Net()
    numbers = net.node("Cast", ["x"], "i", to=TensorProto.INT32)
    assert found(net.file(net.node("Sigmoid", [numbers], "y")), "operator type")


def test_mixed_float_types_are_found() -> None:
    net = Net()
    net.constant("half", np.ones(1, np.float16))
    assert found(net.file(net.node("Mul", ["x", "half"], "y")), "one float type")


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 2]}),
        ("Resize", {"mode": "linear", "antialias": 1}),
        ("Resize", {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}),
        (
            "Resize",
            {
                "mode": "nearest",
                "coordinate_transformation_mode": "tf_half_pixel_for_nn",
                "nearest_mode": "floor",
            },
        ),
        ("LpPool", {"kernel_shape": [2, 2], "p": 3}),
    ],
)
def test_an_attribute_that_is_not_taken_is_found(op: str, attributes: dict[str, Any]) -> None:
    net = Net()
    inputs = ["x"]
    if op == "Resize":
        inputs += ["", net.constant("s", np.array([1, 1, 2, 2], np.float32))]
    assert found(net.file(net.node(op, inputs, "y", **attributes)), "attribute")


def test_indices_of_a_max_pool_are_found() -> None:
    net = Net()
    net.nodes.append(helper.make_node("MaxPool", ["x"], ["y", "where"], kernel_shape=[2, 2]))
    assert found(net.file("y"), "outputs")


def test_what_cannot_be_captured_is_advised_against() -> None:
    net = Net()
    assert found(net.file(net.node("NonZero", ["x"], "y")), "cuda graph")


def test_errors_come_before_advice() -> None:
    def change(model: Any) -> None:
        set_constant("x_s", np.array(0.0, np.float32))(model)

    levels = [finding.level for finding in check(changed(chain(int8=True), change))]
    assert levels == sorted(levels, key=lambda level: level != "error") and "advice" in levels

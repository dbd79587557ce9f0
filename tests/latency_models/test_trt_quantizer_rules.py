"""Each hard rule about Q/DQ has a file that breaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import real_tensorrt
from checked_files import changed, found, node_named, set_constant
from onnx import helper, numpy_helper
from tensorrt_files import LIBRARY
from trt_style_nets import Net, chain

ZERO = np.array(0.0, np.float32)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("symmetric", set_constant("x_z", np.array(3, np.int8))),
        ("positive scale", set_constant("x_s", ZERO)),
        ("positive scale", set_constant("x_s", np.array(-0.1, np.float32))),
        ("zero point size", set_constant("conv0_wz", np.zeros(1, np.int8))),
        ("scalar activation scale", set_constant("x_s", np.full(3, 0.1, np.float32))),
        ("scale length", set_constant("conv0_ws", np.full(5, 0.1, np.float32))),
        ("scale type", set_constant("x_s", np.array(0.1, np.float16))),
    ],
)
def test_a_quantizer_that_breaks_a_rule_is_found(rule: str, change: Any) -> None:
    assert found(changed(chain(int8=True), change), rule)


def test_a_quantizer_without_a_zero_point_is_unsigned_elsewhere() -> None:
    def change(model: Any) -> None:
        del node_named(model, "x_q").input[2]

    findings = found(changed(chain(int8=True), change), "int8 zero point")
    assert [finding.level for finding in findings] == ["advice"]


def test_a_dequantized_int32_bias_is_found() -> None:
    def change(model: Any) -> None:
        bias = numpy_helper.from_array(np.zeros(16, np.int32), "bias32")
        scale = numpy_helper.from_array(np.array(0.1, np.float32), "bias_scale")
        model.graph.initializer.extend([bias, scale])
        node = helper.make_node("DequantizeLinear", ["bias32", "bias_scale"], ["bias_dq"])
        model.graph.node.insert(0, node)
        node_named(model, "conv0").input[2] = "bias_dq"

    assert found(changed(chain(int8=True), change), "int32 bias")


def plain_input(index: int) -> Any:
    """Makes one input of the first convolution float."""

    def change(model: Any) -> None:
        plain = numpy_helper.from_array(np.ones((16, 3, 3, 3), np.float32), "plain")
        model.graph.initializer.append(plain)
        node_named(model, "conv0").input[index] = "x" if index == 0 else "plain"

    return change


def other_axis(model: Any) -> None:
    """Quantizes a weight along its inputs."""
    node_named(model, "conv1_wdq").attribute[0].i = 1


BUILT_ANYWAY = (
    ("both inputs", plain_input(0)),
    ("both inputs", plain_input(1)),
    ("weight axis", other_axis),
    ("int8 zero point", set_constant("x_z", np.array(0, np.uint8))),
    ("positive scale", set_constant("x_s", np.array(np.inf, np.float32))),
)


@pytest.mark.parametrize(("rule", "change"), BUILT_ANYWAY)
def test_what_would_be_built_into_another_network_is_an_error(rule: str, change: Any) -> None:
    findings = found(changed(chain(int8=True), change), rule)
    assert {finding.level for finding in findings} == {"error"}


@pytest.mark.slow
def test_a_real_tensorrt_builds_it_without_a_word() -> None:
    files = [changed(chain(int8=True), change) for _, change in BUILT_ANYWAY]
    assert real_tensorrt.answers(files, version=LIBRARY) == [""] * len(files)


def test_an_int8_weight_that_is_computed_is_found() -> None:
    def change(model: Any) -> None:
        node = node_named(model, "conv0_wdq")
        model.graph.node.insert(0, helper.make_node("Abs", ["conv0_w"], ["abs_w"], name="abs"))
        node.input[0] = "abs_w"

    assert found(changed(chain(int8=True), change), "constant weight")


def test_fp16_scales_need_a_newer_opset() -> None:
    def change(model: Any) -> None:
        model.opset_import[0].version = 18

    findings = found(changed(chain(int8=True, float_type="fp16"), change), "fp16 scale opset")
    assert {finding.level for finding in findings} == {"advice"}


@pytest.mark.parametrize(("groups", "width", "bad"), [(16, 16, True), (2, 16, False)])
def test_int8_groups_are_padded_to_multiples_of_four(groups: int, width: int, bad: bool) -> None:
    net = Net(int8=True)
    a = net.conv("x", "a", cin=3, cout=width)
    file = net.file(net.conv(a, "b", cin=width, cout=width, groups=groups))
    levels = [finding.level for finding in found(file, "int8 groups")]
    assert levels == (["advice"] if bad else [])

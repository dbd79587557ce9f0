"""What costs speed is advised against, and only that."""

from __future__ import annotations

from typing import Any

import numpy as np
from checked_files import changed, found, node_named
from onnx import TensorProto, helper, numpy_helper
from trt_style_nets import Net, chain


def test_channels_just_above_a_multiple_are_advised_against() -> None:
    assert found(chain(float_type="fp16", width=25), "channel alignment")
    assert not found(chain(float_type="fp16", width=24), "channel alignment")


def test_convs_without_a_fast_int8_kernel_are_advised_against() -> None:
    net = Net(int8=True)
    a = net.conv("x", "a", cin=3, cout=8)
    assert found(net.file(net.conv(a, "b", cin=8, cout=8, kernel=1)), "int8 kernel")


def test_grouped_int8_convs_are_advised_against() -> None:
    net = Net(int8=True)
    a = net.conv("x", "a", cin=3, cout=16)
    assert found(net.file(net.conv(a, "b", cin=16, cout=16, groups=2)), "int8 depthwise")


def test_quantizers_around_a_pixel_shuffle_are_advised_against() -> None:
    net = Net(int8=True)
    a = net.quantized(net.conv("x", "a", cin=3, cout=16))
    b = net.node("DepthToSpace", [a], "b", blocksize=2, mode="CRD")
    assert found(net.file(net.conv(b, "c", cin=4, cout=16)), "needless pair")


def residual(*, skip: bool, branch: bool) -> bytes:
    net = Net(int8=True)
    a = net.node("Relu", [net.conv("x", "a", cin=3, cout=16)], "a_relu")
    b = net.conv(a, "b", cin=16, cout=16)
    inputs = [net.quantized(b) if branch else b, net.quantized(a) if skip else a]
    return net.file(net.conv(net.node("Add", inputs, "add"), "c", cin=16, cout=16))


def test_a_residual_wants_its_skip_quantized_and_nothing_else() -> None:
    assert found(residual(skip=False, branch=False), "residual pair")
    assert found(residual(skip=True, branch=True), "residual pair")
    assert not found(residual(skip=True, branch=False), "residual pair")


def test_two_scales_on_one_tensor_are_advised_against() -> None:
    def change(model: Any) -> None:
        scale = numpy_helper.from_array(np.array(0.5, np.float32), "other_s")
        model.graph.initializer.append(scale)
        node = helper.make_node("QuantizeLinear", ["x", "other_s", "x_z"], ["other_q"], name="q2")
        model.graph.node.insert(0, node)

    assert found(changed(chain(int8=True), change), "one scale")


def test_an_int8_file_whose_rest_is_fp32_is_advised_against() -> None:
    assert found(chain(int8=True), "float rest")
    assert not found(chain(int8=True, float_type="fp16"), "float rest")


def test_an_fp32_island_is_advised_against() -> None:
    def change(model: Any) -> None:
        up = helper.make_node("Cast", ["relu0"], ["up"], name="up", to=TensorProto.FLOAT)
        mid = helper.make_node("Sigmoid", ["up"], ["mid"], name="mid")
        down = helper.make_node("Cast", ["mid"], ["down"], name="down", to=TensorProto.FLOAT16)
        at = [node.name for node in model.graph.node].index("relu0") + 1
        for offset, node in enumerate((up, mid, down)):
            model.graph.node.insert(at + offset, node)
        node_named(model, "relu0_q").input[0] = "down"

    assert found(changed(chain(int8=True, float_type="fp16"), change), "fp32 island")

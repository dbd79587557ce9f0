"""Small ONNX files for the engine tests, in TensorRT's style of quantization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TYPES: dict[str, Any] = {"fp32": np.float32, "fp16": np.float16}


@dataclass
class Net:
    """Collects nodes; each method returns the name of its output."""

    float_type: str = "fp32"
    int8: bool = False
    nodes: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)
    seed: int = 0

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, inputs: Sequence[str], out: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attributes))
        return out

    def quantized(self, x: str, scale: float = 0.02) -> str:
        """Q and DQ on an activation; nothing in a float net."""
        if not self.int8:
            return x
        if f"{x}_dq" in {node.output[0] for node in self.nodes}:
            return f"{x}_dq"
        s = self.constant(f"{x}_s", np.array(scale, TYPES[self.float_type]))
        z = self.constant(f"{x}_z", np.array(0, np.int8))
        self.node("QuantizeLinear", [x, s, z], f"{x}_q")
        return self.node("DequantizeLinear", [f"{x}_q", s, z], f"{x}_dq")

    def conv(
        self, x: str, out: str, *, cin: int, cout: int, kernel: int = 3, groups: int = 1
    ) -> str:
        self.seed += 1
        rng = np.random.default_rng(self.seed)
        dtype = TYPES[self.float_type]
        shape = (cout, cin // groups, kernel, kernel)
        weight = (rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32)
        bias = self.constant(f"{out}_b", rng.uniform(-0.1, 0.1, cout).astype(dtype))
        if self.int8:
            x = self.quantized(x)
            scale = np.abs(weight).max(axis=(1, 2, 3)) / 127
            steps = np.rint(weight / scale.reshape(-1, 1, 1, 1)).astype(np.int8)
            s = self.constant(f"{out}_ws", scale.astype(dtype))
            z = self.constant(f"{out}_wz", np.zeros(cout, np.int8))
            w = self.constant(f"{out}_w", steps)
            w = self.node("DequantizeLinear", [w, s, z], f"{out}_wdq", axis=0)
        else:
            w = self.constant(f"{out}_w", weight.astype(dtype))
        pad = kernel // 2
        return self.node("Conv", [x, w, bias], out, pads=[pad] * 4, group=groups)

    def file(self, out: str, *, opset: int = 20, size: int = 16, channels: int = 3) -> bytes:
        element = TensorProto.FLOAT16 if self.float_type == "fp16" else TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", element, [1, channels, size, size])],
            [helper.make_tensor_value_info(out, element, None)],
            self.initializers,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
        )
        return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


def upscaler(*, float_type: str = "fp32", int8: bool = False, width: int = 16) -> bytes:
    """Four convs, residual Add, pixel shuffle, nearest skip: (1,3,16,16) to (1,3,32,32)."""
    net = Net(float_type, int8)
    a = net.node("Relu", [net.conv("x", "head", cin=3, cout=width)], "head_relu")
    b = net.node("Relu", [net.conv(a, "body", cin=width, cout=width)], "body_relu")
    c = net.conv(b, "body2", cin=width, cout=width)
    d = net.node("Add", [c, net.quantized(a)], "add")
    e = net.conv(d, "tail", cin=width, cout=12)
    f = net.node("DepthToSpace", [e], "shuffle", blocksize=2, mode="CRD")
    scales = net.constant("resize_scales", np.array([1, 1, 2, 2], np.float32))
    g = net.node(
        "Resize",
        ["x", "", scales],
        "upscaled",
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return net.file(net.node("Add", [f, g], "y"))


def chain(
    *, float_type: str = "fp32", int8: bool = False, width: int = 16, depth: int = 2
) -> bytes:
    """A plain chain of convs with ReLU between them: (1,3,16,16) to (1,16,16,16)."""
    net = Net(float_type, int8)
    x, cin = "x", 3
    for index in range(depth):
        x = net.conv(x, f"conv{index}", cin=cin, cout=width)
        cin = width
        if index < depth - 1:
            x = net.node("Relu", [x], f"relu{index}")
    return net.file(x)

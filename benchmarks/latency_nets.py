"""Networks for the latency benchmarks: random mixes of the usual layers, and a family in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

KINDS = ("conv", "depthwise", "pointwise", "factorized", "residual")


class _Net:
    """Collects nodes and weights while a chain of layers is written."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.size = size
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.value, self.channels = "input", 3

    def conv(
        self, out: int, kernel: tuple[int, int], *, groups: int = 1, relu: bool = True
    ) -> str:
        fan_in = self.channels // groups
        shape = (out, fan_in, *kernel)
        values = self.random.standard_normal(shape) * (2 / (fan_in * kernel[0] * kernel[1])) ** 0.5
        name = f"conv{len(self.nodes)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}_w"))
        self.weights.append(numpy_helper.from_array(np.full(out, 0.1, np.float32), f"{name}_b"))
        pads = [kernel[0] // 2, kernel[1] // 2] * 2
        inputs = [self.value, f"{name}_w", f"{name}_b"]
        self._node("Conv", inputs, name, kernel_shape=list(kernel), pads=pads, group=groups)
        if relu:
            self._node("Relu", [self.value], f"{name}_relu")
        self.channels = out
        return self.value

    def layer(self, kind: str, width: int) -> None:
        if kind == "conv":
            self.conv(width, (3, 3))
        elif kind == "pointwise":
            self.conv(width, (1, 1))
        elif kind == "depthwise":
            self.conv(self.channels, (3, 3), groups=self.channels)
            self.conv(width, (1, 1))
        elif kind == "factorized":
            self.conv(width, (1, 5))
            self.conv(width, (5, 1))
        else:
            skip = self.conv(width, (1, 1))
            self.conv(width, (3, 3))
            self._node("Add", [self.value, skip], f"add{len(self.nodes)}")

    def _node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        self.value = output

    def finish(self) -> bytes:
        height, width = self.size
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width])],
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, [1, 3, height, width])],
            self.weights,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
        )
        return bytes(model.SerializeToString())


def mixed_net(seed: int, *, size: tuple[int, int] = (90, 160)) -> bytes:
    """A random chain of three to eight layers, 8 to 48 channels wide, back to three channels."""
    random = np.random.default_rng(seed)
    net = _Net(size, seed)
    for _ in range(int(random.integers(3, 9))):
        net.layer(str(random.choice(KINDS)), 8 * int(random.integers(1, 7)))
    net.conv(3, (3, 3), relu=False)
    return net.finish()


def stepped_net(width: int, *, seed: int = 0, size: tuple[int, int] = (90, 160)) -> bytes:
    """One network whose middle layer is `width` channels wide: a latency in fine steps."""
    net = _Net(size, seed)
    net.layer("conv", 24)
    net.layer("conv", width)
    net.layer("depthwise", 24)
    net.conv(3, (3, 3), relu=False)
    return net.finish()

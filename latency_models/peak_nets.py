"""Two kinds of network that meet a roof: dense convolutions, and a sum over large tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency_models.base import Precision

_LAYERS = 6
_COPY_SHAPE = (1, 8, 2048, 2048)
COPY_BYTES = 2**27
"""Of the tensor that is copied: more than the caches of today's processors and GPUs."""
_SCALE = 0.02


def dense_net(
    precision: Precision, *, channels: int, side: int, weight_max: int = 127
) -> bytes:
    """Six 3x3 convolutions with ReLU on (1, channels, side, side), int8 by Q/DQ pairs."""
    return _Dense(precision, channels, side, weight_max).finish()


class _Dense:
    """One such file in the making."""

    def __init__(self, precision: Precision, channels: int, side: int, weight_max: int) -> None:
        self._precision = precision
        self._channels = channels
        self._shape = (1, channels, side, side)
        self._float: Any = np.float16 if precision == "fp16" else np.float32
        self._top = weight_max
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def finish(self) -> bytes:
        from onnx import TensorProto

        random = np.random.default_rng(0)
        shape = (self._channels, self._channels, 3, 3)
        name = "input"
        if self._precision == "fp16":
            name = self._op("Cast", [name], "half", to=TensorProto.FLOAT16)
        for layer in range(_LAYERS):
            weight = random.standard_normal(shape, dtype=np.float32) / (9 * self._channels) ** 0.5
            name = self._layer(layer, name, weight)
        if self._precision == "fp16":
            name = self._op("Cast", [name], "output", to=TensorProto.FLOAT)
        return _file(self._nodes, self._constants, self._shape, name)

    def _layer(self, layer: int, source: str, weight: NDArray[np.float32]) -> str:
        bias = self._constant(f"bias{layer}", np.full(self._channels, 0.1, self._float))
        if self._precision == "int8":
            source, kernel = self._quantized(layer, source, weight)
        else:
            kernel = self._constant(f"weight{layer}", weight.astype(self._float))
        out = self._op(
            "Conv", [source, kernel, bias], f"conv{layer}", kernel_shape=[3, 3], pads=[1] * 4
        )
        return self._op("Relu", [out], f"relu{layer}")

    def _quantized(
        self, layer: int, source: str, weight: NDArray[np.float32]
    ) -> tuple[str, str]:
        scale = self._constant(f"scale{layer}", np.asarray(_SCALE, np.float32))
        zero = self._constant(f"zero{layer}", np.zeros((), np.int8))
        steps = np.abs(weight).max(axis=(1, 2, 3)) / self._top
        integers = np.rint(weight / steps[:, None, None, None]).astype(np.int8)
        kernel = [
            self._constant(f"int8{layer}", integers),
            self._constant(f"steps{layer}", steps.astype(np.float32)),
            self._constant(f"zeros{layer}", np.zeros(len(steps), np.int8)),
        ]
        self._op("QuantizeLinear", [source, scale, zero], f"q{layer}")
        data = self._op("DequantizeLinear", [f"q{layer}", scale, zero], f"dq{layer}")
        return data, self._op("DequantizeLinear", kernel, f"weight{layer}", axis=0)

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(value, name))
        return name


def copy_net() -> bytes:
    """One addition of a constant: each value is read and written once, and nothing else is done.

    Counted as STREAM does, without the line that a processor may fetch before it writes one
    (J. D. McCalpin, "Memory bandwidth and machine balance in current high performance
    computers", IEEE TCCA Newsletter, 1995).
    """
    from onnx import helper, numpy_helper

    one = numpy_helper.from_array(np.ones((), np.float32), "one")
    node = helper.make_node("Add", ["input", "one"], ["output"], "add")
    return _file([node], [one], _COPY_SHAPE, "output")


def _file(
    nodes: list[Any], constants: list[Any], shape: tuple[int, ...], output: str
) -> bytes:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, producer_name="freeway"
    )
    return bytes(model.SerializeToString())

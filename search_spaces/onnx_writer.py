"""The second reading of a Graph: an ONNX file, written node by node in about a millisecond."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from search_spaces.fixed_kernels import phases
from search_spaces.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Graph,
    Input,
    MaxPool,
    Primitive,
    Resize,
    Shift,
    SpaceToDepth,
    channels_of,
    shapes_of,
)
from search_spaces.quantize import FloatType, Placement, Scales, weight_axis

OPSET = 20
"""19 is the first with fp16 Q/DQ; both TensorRT majors and the CPU engines read 20."""
IR_VERSION = 10

Weights = Mapping[str, NDArray[np.float32]]

ACTIVATION_OPS = {
    "relu": "Relu",
    "clip": "Clip",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "hardswish": "HardSwish",
    "prelu": "PRelu",
}


def random_weights(graph: Graph, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Kaiming-scaled weights and non-zero biases: nothing that a compiler could fold away."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}
    channels = channels_of(graph.nodes)
    for index, node in enumerate(graph.nodes):
        if not isinstance(node, Conv | ConvTranspose):
            continue
        shape = weight_shape(node, channels[node.inputs[0]])
        if isinstance(node, Conv) and node.fixed:
            weights |= fixed_weights(index, node, channels[node.inputs[0]])
            continue
        fan_in = shape[1] * shape[2] * shape[3]
        scale = np.float32((2.0 / fan_in) ** 0.5)
        weights[f"n{index}.weight"] = rng.standard_normal(shape, dtype=np.float32) * scale
        if node.bias:
            weights[f"n{index}.bias"] = rng.uniform(0.01, 0.1, node.out_channels).astype("f4")
        if node.activation == "prelu":
            weights[f"n{index}.slope"] = rng.uniform(0.1, 0.3, node.out_channels).astype("f4")
    return weights


def weight_shape(node: Conv | ConvTranspose, in_channels: int) -> tuple[int, int, int, int]:
    """Weight shape in ONNX's and torch's layout: (C_out, C_in/g, kh, kw), transposed in Deconv."""
    if isinstance(node, ConvTranspose):
        return (in_channels, node.out_channels, *node.kernel)
    return (node.out_channels, in_channels // node.groups, *node.kernel)


def fixed_weights(index: int, node: Conv, in_channels: int) -> dict[str, NDArray[np.float32]]:
    """The constants of a fixed upsampling convolution."""
    weight = phases(node.fixed, node.factor, in_channels, node.groups)
    bias = np.full(node.out_channels, node.offset, np.float32)
    return {f"n{index}.weight": weight, f"n{index}.bias": bias}


def write(
    graph: Graph,
    weights: Weights,
    *,
    height: int,
    width: int,
    batch: int = 1,
    float_type: FloatType = "fp32",
    quantized: tuple[Placement, Scales] | None = None,
) -> bytes:
    """Serialize the network at one static shape.

    Args:
        weights: by `n<index>.weight`, `.bias`, `.slope`, as `modules.weights_of` gives them.
        float_type: the type of everything that is not int8. The interface stays fp32.
        quantized: Q/DQ pairs with these scales; int8 weights are stored as int8.
    """
    return _Writer(graph, weights, batch, height, width, float_type, quantized).finish()


class _Writer:
    """One file in the making."""

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        batch: int,
        height: int,
        width: int,
        float_type: FloatType,
        quantized: tuple[Placement, Scales] | None,
    ) -> None:
        self._graph = graph
        self._weights = weights
        self._dtype: Any = np.float16 if float_type == "fp16" else np.float32
        self._placement: Placement | None = quantized[0] if quantized else None
        self._scales: Scales | None = quantized[1] if quantized else None
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._channels = channels_of(graph.nodes)
        shapes = shapes_of(graph, height, width)
        self._input = helper.make_tensor_value_info(
            "input", TensorProto.FLOAT, (batch, *shapes[0])
        )
        self._output = helper.make_tensor_value_info(
            "output", TensorProto.FLOAT, (batch, *shapes[-1])
        )

    def finish(self) -> bytes:
        for index, node in enumerate(self._graph.nodes):
            self._write_node(index, node)
            if self._placement and index in self._placement.tensors:
                self._write_qdq(index, self._placement.tensors[index])
        if self._dtype is np.float16:
            self._op("Cast", [self._name(self._graph.output)], "output", to=TensorProto.FLOAT)
        body = helper.make_graph(
            self._nodes, "freeway", [self._input], [self._output], self._constants
        )
        model = helper.make_model(
            body,
            producer_name="freeway-nas",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        return bytes(model.SerializeToString())

    def _name(self, index: int) -> str:
        """Name of a node's tensor; with fp16 inside, casts stand at the fp32 interface."""
        if self._dtype is np.float32 and index == 0:
            return "input"
        if self._dtype is np.float32 and index == self._graph.output:
            return "output"
        return f"t{index}"

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes)
        )

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def _float(self, name: str, value: Any) -> str:
        return self._constant(name, np.asarray(value, dtype=self._dtype))

    def _step(self, scale: Any) -> NDArray[Any]:
        """A step size in the file's float type; never zero, which engines refuse."""
        least = np.finfo(self._dtype).smallest_subnormal
        return np.asarray(np.maximum(np.asarray(scale).astype(self._dtype), least))

    def _source(self, reader: int, source: int) -> str:
        name = self._name(source)
        if self._placement and self._placement.reads_quantized(self._graph, reader, source):
            return f"{name}.dq"
        return name

    def _write_qdq(self, index: int, owner: int) -> None:
        assert self._scales is not None
        name = self._name(index)
        scale = self._constant(f"{name}.scale", self._step(self._scales.tensors[owner]))
        zero = self._constant(f"{name}.zero", np.zeros((), np.int8))
        self._op("QuantizeLinear", [name, scale, zero], f"{name}.q")
        self._op("DequantizeLinear", [f"{name}.q", scale, zero], f"{name}.dq")

    def _write_node(self, index: int, node: Primitive) -> None:
        out = self._name(index)
        sources = [self._source(index, source) for source in node.inputs]
        match node:
            case Input():
                if self._dtype is np.float16:
                    self._op("Cast", ["input"], out, to=TensorProto.FLOAT16)
            case Shift(value=value):
                self._op("Add", [*sources, self._float(f"{out}.shift", value)], out)
            case Conv() | ConvTranspose():
                self._write_conv(index, node, sources[0])
            case DepthToSpace(factor=f):
                self._op("DepthToSpace", sources, out, blocksize=f, mode="CRD")
            case SpaceToDepth(factor=f):
                self._op("SpaceToDepth", sources, out, blocksize=f)
            case MaxPool(factor=f):
                self._op("MaxPool", sources, out, kernel_shape=[f, f], strides=[f, f])
            case AveragePool(factor=f):
                self._op("AveragePool", sources, out, kernel_shape=[f, f], strides=[f, f])
            case Resize():
                self._write_resize(out, node, sources[0])
            case Add():
                self._op("Add", sources, out)
            case Concat():
                self._op("Concat", sources, out, axis=1)

    def _write_resize(self, out: str, node: Resize, source: str) -> None:
        factors = np.array([1, 1, node.factor, node.factor], np.float32)
        scales = self._constant(f"{out}.scales", factors)
        if node.mode == "nearest":
            mode = {"mode": "nearest", "nearest_mode": "floor"}
            where = "asymmetric"
        else:
            mode, where = {"mode": "linear"}, "half_pixel"
        self._op("Resize", [source, "", scales], out,
                 coordinate_transformation_mode=where, **mode)

    def _write_conv(self, index: int, node: Conv | ConvTranspose, source: str) -> None:
        out = self._name(index)
        inner = out if node.activation == "none" else f"{out}.linear"
        inputs = [source, self._weight(index)]
        if f"n{index}.bias" in self._weights:
            inputs.append(self._float(f"n{index}.bias", self._weights[f"n{index}.bias"]))
        (kh, kw), stride = node.kernel, node.stride
        attributes: dict[str, Any] = {"kernel_shape": [kh, kw], "strides": [stride, stride]}
        if isinstance(node, Conv):
            attributes |= {"group": node.groups, "pads": [kh // 2, kw // 2] * 2}
            self._op("Conv", inputs, inner, **attributes)
        else:
            attributes |= transposed_padding(node)
            self._op("ConvTranspose", inputs, inner, **attributes)
        if node.activation != "none":
            self._write_activation(index, node.activation, inner, out)

    def _write_activation(self, index: int, activation: str, inner: str, out: str) -> None:
        inputs = [inner]
        if activation == "prelu":
            slope = self._weights[f"n{index}.slope"].reshape(-1, 1, 1)
            inputs.append(self._float(f"n{index}.slope", slope))
        if activation == "clip":
            inputs += [self._float(f"{out}.low", 0.0), self._float(f"{out}.high", 1.0)]
        self._op(ACTIVATION_OPS[activation], inputs, out)

    def _weight(self, index: int) -> str:
        name = f"n{index}.weight"
        if self._placement is None or index not in self._placement.layers:
            return self._float(name, self._weights[name])
        assert self._scales is not None
        axis = weight_axis(self._graph, index)
        values = self._weights[name]
        scale = self._step(self._scales.weights[index])
        shape = [1] * values.ndim
        shape[axis] = -1
        steps = values / scale.astype(np.float32).reshape(shape)
        top = self._placement.weight_max
        integers = np.clip(np.rint(steps), -top, top).astype(np.int8)
        inputs = [
            self._constant(f"{name}.int8", integers),
            self._constant(f"{name}.scale", scale),
            self._constant(f"{name}.zero", np.zeros(scale.shape, np.int8)),
        ]
        self._op("DequantizeLinear", inputs, f"{name}.dq", axis=axis)
        return f"{name}.dq"


def transposed_padding(node: ConvTranspose) -> dict[str, list[int]]:
    """Padding by which a transposed convolution gives exactly stride times its input's size."""
    begin = [max(0, (k - node.stride + 1) // 2) for k in node.kernel]
    extra = [node.stride + 2 * b - k for b, k in zip(begin, node.kernel, strict=True)]
    return {"pads": begin * 2, "output_padding": extra}

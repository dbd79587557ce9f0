"""The ONNX reading of every primitive that has no weights, and of the activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from search_spaces.graph import Shape
from search_spaces.primitives import (
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    DepthToSpace,
    Flatten,
    GlobalAveragePool,
    GroupReduce,
    GroupSoftmax,
    MaxPool,
    Multiply,
    Primitive,
    Resize,
    ResizeLike,
    Scale,
    Shift,
    Slice,
    SoftPool,
    SpaceToDepth,
)
from search_spaces.quantize import PReLUForm

ACTIVATION_OPS = {
    "relu": "Relu",
    "prelu": "PRelu",
    "leaky_relu": "LeakyRelu",
    "relu6": "Clip",
    "clip": "Clip",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "hardsigmoid": "HardSigmoid",
    "hardswish": "HardSwish",
    "gelu": "Gelu",
}


class NodeList:
    """The nodes and constants of one file in the making, in one float type."""

    def __init__(self, float_type: Any, prelu: PReLUForm = "operator") -> None:
        """Begin an empty one.

        Args:
            prelu: how a PReLU is written, see `QuantRules`.
        """
        self.float_type = float_type
        self.prelu = prelu
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append one node and return the name of its output."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Store an array as it is and return its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def real(self, name: str, value: Any) -> str:
        """Store numbers in the file's float type."""
        return self.constant(name, np.asarray(value, dtype=self.float_type))

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Store 64-bit integers, as shapes and axes are given."""
        return self.constant(name, np.array(values, np.int64))


def write_activation(
    file: NodeList, name: str, source: str, out: str, slope: float | NDArray[np.float32]
) -> None:
    """Append an activation by its name.

    Args:
        slope: the constant of a `leaky_relu`, or the C learned ones of a `prelu`.
    """
    if name == "silu":
        file.op("Mul", [source, file.op("Sigmoid", [source], f"{out}.gate")], out)
        return
    inputs, attributes = [source], {}
    if name == "prelu" and file.prelu == "arithmetic":
        _write_prelu_as_arithmetic(file, source, out, np.asarray(slope).reshape(-1, 1, 1))
        return
    if name == "prelu":
        inputs.append(file.real(f"{out}.slope", np.asarray(slope).reshape(-1, 1, 1)))
    if name == "leaky_relu":
        attributes = {"alpha": float(np.asarray(slope))}
    if name == "hardsigmoid":
        attributes = {"alpha": 1.0 / 6.0, "beta": 0.5}
    if name in ("clip", "relu6"):
        top = 1.0 if name == "clip" else 6.0
        inputs += [file.real(f"{out}.low", 0.0), file.real(f"{out}.high", top)]
    file.op(ACTIVATION_OPS[name], inputs, out, **attributes)


def _write_prelu_as_arithmetic(
    file: NodeList, source: str, out: str, slope: NDArray[np.float32]
) -> None:
    """max(x, ax) where no slope is above 1, else relu(x) - a relu(-x): both are PReLU(x)."""
    slopes = file.real(f"{out}.slope", slope)
    if float(slope.max()) <= 1.0:
        file.op("Max", [source, file.op("Mul", [source, slopes], f"{out}.sloped")], out)
        return
    below = file.op("Relu", [file.op("Neg", [source], f"{out}.neg")], f"{out}.below")
    above = file.op("Relu", [source], f"{out}.above")
    file.op("Sub", [above, file.op("Mul", [below, slopes], f"{out}.sloped")], out)


def write_plain(
    file: NodeList, node: Primitive, sources: list[str], out: str, *, given: Shape, result: Shape
) -> None:
    """Append the nodes of a primitive without weights.

    Args:
        given: shape of its first input, (N, C, H, W).
        result: shape of its output.
    """
    match node:
        case Shift(value=value):
            file.op("Add", [*sources, file.real(f"{out}.shift", value)], out)
        case Scale(value=value):
            file.op("Mul", [*sources, file.real(f"{out}.factor", value)], out)
        case Activation(activation=name, slope=slope):
            write_activation(file, name, sources[0], out, slope)
        case Add():
            file.op("Add", sources, out)
        case Multiply():
            file.op("Mul", sources, out)
        case Concat():
            file.op("Concat", sources, out, axis=1)
        case Slice(start=start, stop=stop):
            parts = {"start": start, "stop": stop, "axis": 1}
            limits = [file.integers(f"{out}.{key}", [at]) for key, at in parts.items()]
            file.op("Slice", [*sources, *limits], out)
        case Flatten():
            file.op("Flatten", sources, out, axis=1)
        case GroupReduce() | GroupSoftmax() | ChannelShuffle():
            _write_grouped(file, node, sources[0], out, given, result)
        case _:
            _write_resampling(file, node, sources, out, result)


def _write_grouped(
    file: NodeList, node: GroupReduce | GroupSoftmax | ChannelShuffle, source: str, out: str,
    given: Shape, result: Shape,
) -> None:
    """Write what works on groups of channels, on tensors of four dimensions throughout."""
    batch, channels, height, width = given
    parts = [batch, node.groups, channels // node.groups, height * width]
    apart = file.op("Reshape", [source, file.integers(f"{out}.parts", parts)], f"{out}.apart")
    if isinstance(node, GroupReduce):
        kind = "ReduceMax" if node.mode == "max" else "ReduceSum"
        axis = file.integers(f"{out}.axis", [1])
        done = file.op(kind, [apart, axis], f"{out}.reduced", keepdims=0)
    elif isinstance(node, GroupSoftmax):
        done = file.op("Softmax", [apart], f"{out}.weighted", axis=1)
    else:
        done = file.op("Transpose", [apart], f"{out}.turned", perm=[0, 2, 1, 3])
    whole = file.integers(f"{out}.whole", result)
    file.op("Reshape", [done, whole], out)


def _write_resampling(
    file: NodeList, node: Primitive, sources: list[str], out: str, result: Shape
) -> None:
    """Write what changes the height and width."""
    match node:
        case DepthToSpace(factor=f):
            file.op("DepthToSpace", sources, out, blocksize=f, mode="CRD")
        case SpaceToDepth(factor=f):
            file.op("SpaceToDepth", sources, out, blocksize=f)
        case MaxPool(factor=f, side=k):
            file.op("MaxPool", sources, out, kernel_shape=[k, k], strides=[f, f])
        case AveragePool(factor=f, side=k):
            file.op("AveragePool", sources, out, kernel_shape=[k, k], strides=[f, f])
        case SoftPool(factor=f, side=k):
            window = {"kernel_shape": [k, k], "strides": [f, f]}
            weight = file.op("Exp", sources, f"{out}.exp")
            product = file.op("Mul", [*sources, weight], f"{out}.product")
            above = file.op("AveragePool", [product], f"{out}.above", **window)
            below = file.op("AveragePool", [weight], f"{out}.below", **window)
            file.op("Div", [above, below], out)
        case GlobalAveragePool():
            file.op("GlobalAveragePool", sources, out)
        case Resize(factor=f, mode=mode):
            factors = np.array([1, 1, f, f], np.float32)
            scales = file.constant(f"{out}.scales", factors)
            _write_resize(file, [sources[0], "", scales], out, mode)
        case ResizeLike():
            sizes = file.integers(f"{out}.sizes", result)
            _write_resize(file, [sources[0], "", "", sizes], out, "bilinear")
        case _:
            raise TypeError(f"{type(node).__name__} has no ONNX reading")


def _write_resize(file: NodeList, inputs: list[str], out: str, mode: str) -> None:
    if mode == "nearest":
        how = {"mode": "nearest", "nearest_mode": "floor"}
        where = "asymmetric"
    else:
        how, where = {"mode": "linear"}, "half_pixel"
    file.op("Resize", inputs, out, coordinate_transformation_mode=where, **how)


def float_value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    """An input or output of a file: fp32, of one static shape."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

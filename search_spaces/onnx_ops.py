"""The ONNX reading of every primitive that has no weights, and of the activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
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
    Pool,
    Primitive,
    Resize,
    ResizeLike,
    Scale,
    Shift,
    Slice,
    SoftPool,
    SpaceToDepth,
    Warp,
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


@dataclass(frozen=True)
class Written:
    """What a primitive's ONNX reading is told beside the primitive.

    Attributes:
        file: where its nodes go.
        sources: names of the tensors that it reads.
        out: the name of what it gives.
        given: shape of its first input, (N, C, H, W).
        result: shape of its output.
    """

    file: NodeList
    sources: Sequence[str]
    out: str
    given: Shape
    result: Shape

    def op(self, kind: str, *constants: str, **attributes: Any) -> None:
        """The one node that it takes: its sources, then these constants."""
        self.file.op(kind, [*self.sources, *constants], self.out, **attributes)


@singledispatch
def write_plain(node: Primitive, to: Written) -> None:
    """Append the nodes of a primitive without weights.

    Raises:
        TypeError: nothing is registered for it.
    """
    raise TypeError(f"{type(node).__name__} has no ONNX reading")


@write_plain.register
def _(node: Shift, to: Written) -> None:
    to.op("Add", to.file.real(f"{to.out}.shift", node.value))


@write_plain.register
def _(node: Scale, to: Written) -> None:
    to.op("Mul", to.file.real(f"{to.out}.factor", node.value))


@write_plain.register
def _(node: Activation, to: Written) -> None:
    write_activation(to.file, node.activation, to.sources[0], to.out, node.slope)


@write_plain.register
def _(node: Add, to: Written) -> None:
    to.op("Add")


@write_plain.register
def _(node: Multiply, to: Written) -> None:
    to.op("Mul")


@write_plain.register
def _(node: Concat, to: Written) -> None:
    to.op("Concat", axis=1)


@write_plain.register
def _(node: Slice, to: Written) -> None:
    parts = {"start": node.start, "stop": node.stop, "axis": 1}
    to.op("Slice", *(to.file.integers(f"{to.out}.{key}", [at]) for key, at in parts.items()))


@write_plain.register
def _(node: Flatten, to: Written) -> None:
    to.op("Flatten", axis=1)


@write_plain.register
def _(node: GroupReduce, to: Written) -> None:
    apart = _apart(node.groups, to)
    axis = to.file.integers(f"{to.out}.axis", [1])
    kind = "ReduceMax" if node.mode == "max" else "ReduceSum"
    _whole(to.file.op(kind, [apart, axis], f"{to.out}.reduced", keepdims=0), to)


@write_plain.register
def _(node: GroupSoftmax, to: Written) -> None:
    _whole(to.file.op("Softmax", [_apart(node.groups, to)], f"{to.out}.weighted", axis=1), to)


@write_plain.register
def _(node: ChannelShuffle, to: Written) -> None:
    apart = _apart(node.groups, to)
    _whole(to.file.op("Transpose", [apart], f"{to.out}.turned", perm=[0, 2, 1, 3]), to)


def _apart(groups: int, to: Written) -> str:
    """Groups of channels as an axis of their own, on tensors of four dimensions throughout."""
    batch, channels, height, width = to.given
    parts = to.file.integers(
        f"{to.out}.parts", [batch, groups, channels // groups, height * width]
    )
    return to.file.op("Reshape", [*to.sources, parts], f"{to.out}.apart")


def _whole(done: str, to: Written) -> None:
    to.file.op("Reshape", [done, to.file.integers(f"{to.out}.whole", to.result)], to.out)


@write_plain.register
def _(node: DepthToSpace, to: Written) -> None:
    to.op("DepthToSpace", blocksize=node.factor, mode="CRD")


@write_plain.register
def _(node: SpaceToDepth, to: Written) -> None:
    to.op("SpaceToDepth", blocksize=node.factor)


@write_plain.register
def _(node: MaxPool, to: Written) -> None:
    to.op("MaxPool", **_window(node))


@write_plain.register
def _(node: AveragePool, to: Written) -> None:
    to.op("AveragePool", **_window(node))


@write_plain.register
def _(node: SoftPool, to: Written) -> None:
    file, out = to.file, to.out
    weight = file.op("Exp", to.sources, f"{out}.exp")
    product = file.op("Mul", [*to.sources, weight], f"{out}.product")
    above = file.op("AveragePool", [product], f"{out}.above", **_window(node))
    below = file.op("AveragePool", [weight], f"{out}.below", **_window(node))
    file.op("Div", [above, below], out)


def _window(node: Pool) -> dict[str, list[int]]:
    return {"kernel_shape": [node.side, node.side], "strides": [node.factor, node.factor]}


@write_plain.register
def _(node: GlobalAveragePool, to: Written) -> None:
    to.op("GlobalAveragePool")


@write_plain.register
def _(node: Resize, to: Written) -> None:
    factors = np.array([1, 1, node.factor, node.factor], np.float32)
    scales = to.file.constant(f"{to.out}.scales", factors)
    _write_resize(to.file, [to.sources[0], "", scales], to.out, node.mode)


@write_plain.register
def _(node: ResizeLike, to: Written) -> None:
    sizes = to.file.integers(f"{to.out}.sizes", to.result)
    _write_resize(to.file, [to.sources[0], "", "", sizes], to.out, "bilinear")


@write_plain.register
def _(node: Warp, to: Written) -> None:
    """GridSample on coordinates from -1 in the first pixel to 1 in the last one, all in fp32."""
    file, out, (_, _, height, width) = to.file, to.out, to.result
    half = file.float_type is np.float16
    x, motion = (
        file.op("Cast", [name], f"{out}.{label}", to=TensorProto.FLOAT) if half else name
        for label, name in zip(("seen", "motion"), to.sources, strict=True)
    )
    # Constants a line long each, not a map: x moves along the columns, y along the rows.
    steps = np.array([2.0 / max(side - 1, 1) for side in (width, height)], np.float32)
    columns, rows = np.zeros((1, 2, 1, width), "f4"), np.zeros((1, 2, height, 1), "f4")
    columns[0, 0, 0] = np.arange(width) * steps[0] - 1.0
    rows[0, 1, :, 0] = np.arange(height) * steps[1] - 1.0
    there = motion
    for kind, label, value in (
        ("Mul", "moved", steps.reshape(1, 2, 1, 1)), ("Add", "x", columns), ("Add", "y", rows)
    ):
        constant = file.constant(f"{out}.{label}.of", value)
        there = file.op(kind, [there, constant], f"{out}.{label}")
    turned = file.op("Transpose", [there], f"{out}.grid", perm=[0, 2, 3, 1])
    how = {"mode": "linear", "padding_mode": "border", "align_corners": 1}
    found = f"{out}.fp32" if half else out
    file.op("GridSample", [x, turned], found, **how)
    if half:
        file.op("Cast", [found], out, to=TensorProto.FLOAT16)


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

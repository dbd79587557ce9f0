"""The second reading of a Graph: an ONNX file, written node by node in about a millisecond."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from runtime.pictures import IO
from search_spaces.both_ends import before_activation
from search_spaces.byte_ends import ByteEnds
from search_spaces.graph import Graph, Shape, shapes_of
from search_spaces.input_ends import joined_heads
from search_spaces.onnx_ops import (
    NodeList,
    Written,
    float_value,
    write_activation,
    write_plain,
)
from search_spaces.primitives import (
    Activation,
    Conv,
    ConvTranspose,
    GroupSoftmax,
    Input,
    Primitive,
)
from search_spaces.quantize import (
    LARGEST_BIAS,
    UINT8_MAX,
    FloatType,
    Placement,
    PReLUForm,
    Scales,
    weight_axis,
)
from search_spaces.signs import CEILINGS
from search_spaces.transposed import runs_as_convolution, taps, transposed_padding
from search_spaces.weights import Weights

OPSET = 20
"""19 is the first with fp16 Q/DQ; both TensorRT majors and the CPU engines read 20."""
IR_VERSION = 10

_Step = Callable[[str, str], str]
"""Writes nodes from the tensor of one name to another, and returns the latter."""


def write(
    graph: Graph,
    weights: Weights,
    *,
    height: int,
    width: int,
    batch: int = 1,
    float_type: FloatType = "fp32",
    quantized: tuple[Placement, Scales] | None = None,
    prelu: PReLUForm = "operator",
    io: IO = "float_nchw",
    byte_quantizers: bool = True,
) -> bytes:
    """Serialize the network at one static shape.

    Args:
        weights: by `n<index>.weight`, `.bias`, `.slope`, as `modules.weights_of` gives them.
        float_type: the type of everything that is not int8. The interface stays fp32.
        quantized: Q/DQ pairs with these scales; int8 weights are stored as int8.
        prelu: how a PReLU is written, see `QuantRules`.
        io: how pictures enter and leave, see `QuantRules`.
        byte_quantizers: whether the engine knows uint8 quantizers.
    """
    kind = np.float16 if float_type == "fp16" else np.float32
    shapes = [(batch, *shape) for shape in shapes_of(graph, height, width)]
    file = NodeList(kind, prelu)
    # A float file holds no quantizer: its precision is told by what is in it.
    quantizers = byte_quantizers and quantized is not None
    ends = ByteEnds(graph, shapes, file, io=io, quantizers=quantizers)
    return _Writer(graph, weights, shapes, file, quantized, ends).finish()


class _Writer:
    """One file in the making."""

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        shapes: list[Shape],
        file: NodeList,
        quantized: tuple[Placement, Scales] | None,
        ends: ByteEnds,
    ) -> None:
        self._graph = graph
        self._weights = weights
        self._shapes = shapes
        self._file = file
        self._half = file.float_type is np.float16
        self._placement: Placement | None = quantized[0] if quantized else None
        self._scales: Scales | None = quantized[1] if quantized else None
        self._ends = ends

    def finish(self) -> bytes:
        for index, node in enumerate(self._graph.nodes):
            self._write_node(index, node)
            if self._is_quantized(index):
                self._write_qdq(index, self._name(index), self._dequantized(index))
        for name, index in self._graph.outputs.items():
            self._write_output(name, index)
        body = helper.make_graph(
            self._file.nodes,
            "freeway",
            [self._interface(name, i) for name, i in self._graph.inputs.items()],
            [self._interface(name, i) for name, i in self._graph.outputs.items()],
            self._file.constants,
        )
        model = helper.make_model(
            body,
            producer_name="freeway-nas",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        return bytes(model.SerializeToString())

    def _write_output(self, name: str, index: int) -> None:
        given = self._dequantized(index) if self._is_quantized(index) else self._name(index)
        if self._ends.shows(name, index):
            self._ends.write_output(name, index, given)
        elif self._half:
            self._file.op("Cast", [given], name, to=TensorProto.FLOAT)
        elif given != name:
            self._file.op("Identity", [given], name)

    def _interface(self, name: str, index: int) -> onnx.ValueInfoProto:
        """An input or output as the outside sees it."""
        node, shape = self._graph.nodes[index], self._shapes[index]
        entering = isinstance(node, Input) and name == node.name
        if self._ends.enters(index) if entering else self._ends.shows(name, index):
            return self._ends.interface(name, index)
        return float_value(name, shape[:2] if entering and _is_vector(node) else shape)

    def _name(self, index: int) -> str:
        """Name of a node's tensor; with fp16 inside, casts stand at the fp32 interface."""
        node = self._graph.nodes[index]
        if isinstance(node, Input):
            inside = self._half or _is_vector(node) or self._ends.enters(index)
            return f"t{index}" if inside else node.name
        return self._own_output(index, quantized=False) or f"t{index}"

    def _own_output(self, index: int, *, quantized: bool) -> str:
        """The output that a node's tensor is, as it is or behind its quantizer; else empty."""
        if self._half or self._is_quantized(index) != quantized:
            return ""
        names = (name for name, i in self._graph.outputs.items() if i == index)
        return next((name for name in names if not self._ends.shows(name, index)), "")

    def _is_quantized(self, tensor: int) -> bool:
        """Whether a quantizer is to be written behind it."""
        placement = self._placement
        if placement is None or tensor not in placement.tensors or self._ends.leaves(tensor):
            return False
        return not (self._enters(tensor) or self._is_whole(tensor))

    def _is_whole(self, tensor: int) -> bool:
        """Whether a Concat before a head joins levels, whose scale it has already.

        A quantizer behind it would change nothing, and OpenVINO would run it all the same.
        """
        placement = self._placement
        assert placement is not None
        joins = self._ends.quantizers and placement.ends == "input"
        return joins and tensor in joined_heads(self._graph)

    def _enters(self, tensor: int) -> bool:
        """Whether it is read as the levels that came in, where its quantizer would find them."""
        placement = self._placement
        if placement is None or tensor not in placement.tensors:
            return False
        levels = self._ends.quantizers and self._ends.enters(tensor)
        return levels and placement.exact_step(self._graph, tensor) is not None

    def _dequantized(self, index: int) -> str:
        """Name of a node's tensor behind its Q/DQ pair."""
        return self._own_output(index, quantized=True) or f"{self._name(index)}.dq"

    def _step(self, scale: Any) -> NDArray[Any]:
        """A step size in the file's float type; never zero, which engines refuse."""
        kind = self._file.float_type
        least = np.finfo(kind).smallest_subnormal
        return np.asarray(np.maximum(np.asarray(scale).astype(kind), least))

    def _source(self, reader: int, source: int) -> str:
        if not self._placement or not self._placement.reads_quantized(self._graph, reader, source):
            return self._name(source)
        name = self._dequantized(source) if self._is_quantized(source) else self._name(source)
        if self._placement.ends == "input" or not self._stays_float(reader):
            return name
        # ONNX Runtime would round the weights of a float layer that reads a DequantizeLinear, to
        # one scale, and has another softmax there. The lowest value changes nothing.
        out = f"{name}.{reader}"
        lowest = self._file.real(f"{out}.lowest", self._lowest(source))
        return self._file.op("Max", [name, lowest], out)

    def _stays_float(self, reader: int) -> bool:
        node = self._graph.nodes[reader]
        weighted = isinstance(node, Conv | ConvTranspose)
        return isinstance(node, GroupSoftmax) or (weighted and not self._has_both_ends(reader))

    def _zero_point(self, tensor: int) -> int | None:
        """Of uint8; None where a tensor is int8."""
        assert self._placement is not None and self._scales is not None
        own = self._placement.zero_points.get(tensor)
        return self._scales.zero_points.get(tensor, own)

    def _lowest(self, tensor: int) -> np.float32:
        """The least value that a uint8 tensor holds."""
        assert self._scales is not None
        return self._tensor_step(tensor) * np.float32(-(self._zero_point(tensor) or 0))

    def _tensor_step(self, tensor: int) -> np.float32:
        assert self._scales is not None
        exact = 1.0 / UINT8_MAX if self._enters(tensor) else self._scales.tensors[tensor]
        return np.float32(exact)

    def _write_qdq(self, tensor: int, name: str, out: str) -> str:
        """A Q/DQ pair with this tensor's scale behind the tensor of this name."""
        assert self._placement is not None and self._scales is not None
        file, zero_point = self._file, self._zero_point(tensor)
        scale = file.constant(f"{name}.scale", self._step(self._scales.tensors[tensor]))
        kind = np.int8 if zero_point is None else np.uint8
        zero = file.constant(f"{name}.zero", np.array(zero_point or 0, kind))
        file.op("QuantizeLinear", [name, scale, zero], f"{name}.q")
        return file.op("DequantizeLinear", [f"{name}.q", scale, zero], out)

    def _write_node(self, index: int, node: Primitive) -> None:
        out = self._name(index)
        if self._ends.enters(index):
            self._ends.write_entering(index, out)
            return
        sources = [self._source(index, source) for source in node.inputs]
        if self._ends.leaves(index):
            self._ends.write_leaving(index, sources[0])
            return
        match node:
            case Input():
                self._write_input(node, out, self._shapes[index])
            case Conv() | ConvTranspose():
                self._write_layer(index, node, sources[0])
            case Activation(activation="prelu"):
                slope = self._weights[f"n{index}.slope"]
                write_activation(self._file, "prelu", sources[0], out, slope)
            case _:
                given, result = self._shapes[node.inputs[0]], self._shapes[index]
                write_plain(node, Written(self._file, sources, out, given, result))

    def _write_input(self, node: Input, out: str, inside: Shape) -> None:
        """What stands between an input of the file and the tensor that it is inside."""
        name = node.name
        if _is_vector(node):
            shaped = f"{name}.shaped" if self._half else out
            shape = self._file.integers(f"{name}.shape", inside)
            name = self._file.op("Reshape", [name, shape], shaped)
        if self._half:
            self._file.op("Cast", [name], out, to=TensorProto.FLOAT16)

    def _write_layer(self, index: int, node: Conv | ConvTranspose, source: str) -> None:
        """A convolution, its activation, and the quantizers that stand between them."""
        out = self._name(index)
        steps = self._steps(index, node)
        for label, step in steps[:-1]:
            source = step(source, f"{out}.{label}")
        steps[-1][1](source, out)

    def _steps(self, index: int, node: Conv | ConvTranspose) -> list[tuple[str, _Step]]:
        """What is written one after the other, with the names of the results in between."""
        steps: list[tuple[str, _Step]] = []
        activate, inner = partial(self._activate, index, node), before_activation(index)
        rest, both = node.activation != "none", self._has_both_ends(index)
        if isinstance(node, ConvTranspose) and runs_as_convolution(node):
            steps.append(("phases", partial(self._write_phases, index, node)))
            if both and node.activation in CEILINGS:
                # No engine looks for it behind the shuffle, and it may as well be before.
                steps.append(("activated", activate))
                rest = False
            if both:
                own = inner if self._is_quantized(inner) else index
                steps.append(("moved", partial(self._write_qdq, own)))
            steps.append(("linear", partial(self._shuffle, node.stride)))
        else:
            steps.append(("linear", partial(self._write_linear, index, node)))
        if self._is_quantized(inner):
            steps.append(("linear.dq", partial(self._write_qdq, inner)))
        return [*steps, ("", activate)] if rest else steps

    def _has_both_ends(self, index: int) -> bool:
        """Whether quantizers stand at both ends of this layer."""
        placement = self._placement
        return placement is not None and placement.ends == "both" and index in placement.layers

    def _activate(
        self, index: int, node: Conv | ConvTranspose, source: str, out: str
    ) -> str:
        slope = self._weights.get(f"n{index}.slope", node.slope)
        write_activation(self._file, node.activation, source, out, slope)
        return out

    def _write_linear(
        self, index: int, node: Conv | ConvTranspose, source: str, out: str
    ) -> str:
        axis = weight_axis(self._graph, index)
        weight = self._weight(index, self._weights[f"n{index}.weight"], axis)
        inputs = [source, weight, *self._bias(index)]
        (kh, kw), stride = node.kernel, node.stride
        attributes: dict[str, Any] = {"kernel_shape": [kh, kw], "strides": [stride, stride]}
        if isinstance(node, ConvTranspose):
            attributes |= transposed_padding(node)
            return self._file.op("ConvTranspose", inputs, out, **attributes)
        attributes |= {"group": node.groups, "pads": list(node.margins) * 2}
        if node.dilation > 1:
            attributes["dilations"] = [node.dilation, node.dilation]
        return self._file.op("Conv", inputs, out, **attributes)

    def _write_phases(self, index: int, node: ConvTranspose, source: str, out: str) -> str:
        """A transposed convolution as one that gives all phases as channels."""
        weight = self._weights[f"n{index}.weight"]
        places = taps(node, len(weight))
        spread = np.append(weight.ravel(), np.float32(0))[places]
        kernel = list(places.shape[2:])
        inputs = [source, self._weight(index, spread, 0, repeat=node.stride**2)]
        inputs += self._bias(index, repeat=node.stride**2)
        attributes = {"kernel_shape": kernel, "pads": [side // 2 for side in kernel] * 2}
        return self._file.op("Conv", inputs, out, **attributes)

    def _shuffle(self, factor: int, source: str, out: str) -> str:
        return self._file.op("DepthToSpace", [source], out, blocksize=factor, mode="CRD")

    def _bias(self, index: int, *, repeat: int = 1) -> list[str]:
        name = f"n{index}.bias"
        if name not in self._weights:
            return []
        if not self._has_both_ends(index):
            return [self._file.real(name, self._weights[name].repeat(repeat))]
        assert self._scales is not None
        # With a float bias ONNX Runtime makes these integers itself, and of those that do not
        # fit into 32 bits others: channels without any weight then give anything.
        source = self._tensor_step(self._graph.nodes[index].inputs[0])
        scale = (source * self._scales.weights[index]).astype(np.float32)
        steps = np.rint(self._weights[name] / scale.astype(np.float64))
        integers = np.clip(steps, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
        inputs = [
            self._file.constant(f"{name}.int32", integers.repeat(repeat)),
            self._file.constant(f"{name}.scale", scale.repeat(repeat)),
        ]
        return [self._file.op("DequantizeLinear", inputs, f"{name}.dq", axis=0)]

    def _weight(
        self, index: int, values: NDArray[np.float32], axis: int, *, repeat: int = 1
    ) -> str:
        """A layer's weight as it is stored, outputs on `axis`, each scale `repeat` times."""
        name = f"n{index}.weight"
        if self._placement is None or index not in self._placement.layers:
            return self._file.real(name, values)
        assert self._scales is not None
        scale = self._step(np.repeat(self._scales.weights[index], repeat))
        shape = [1] * values.ndim
        shape[axis] = -1
        steps = values / scale.astype(np.float32).reshape(shape)
        top = self._placement.weight_max
        integers = np.clip(np.rint(steps), -top, top).astype(np.int8)
        inputs = [
            self._file.constant(f"{name}.int8", integers),
            self._file.constant(f"{name}.scale", scale),
            self._file.constant(f"{name}.zero", np.zeros(scale.shape, np.int8)),
        ]
        return self._file.op("DequantizeLinear", inputs, f"{name}.dq", axis=axis)


def _is_vector(node: Primitive) -> bool:
    return isinstance(node, Input) and node.scale is None

"""ncnn's two files: `.param`, a line for each layer, and `.bin`, the numbers in their order.

Layers and their parameters are those of ncnn's documentation (operators.md, "param and model file
structure"). Written from the Graph, for the way by ONNX loses something: pnnx (20261020) reads
ONNX's SpaceToDepth as torch's pixel_unshuffle, whose channels are in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.formats.base import Files, FloatPrecision, Source, refused, require_half
from search_spaces.primitives import (
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    Conv,
    DepthToSpace,
    GlobalAveragePool,
    Input,
    MaxPool,
    Multiply,
    Pool,
    Primitive,
    Resize,
    Scale,
    Shift,
    Slice,
    SpaceToDepth,
)

INPUT, OUTPUT = "data", "output"
"""Names of the two ends: those that Upscayl and realesrgan-ncnn-vulkan ask for."""
_MAGIC, _HALF = 7767517, 0x01306B47
_ADD, _MULTIPLY = 0, 2
_FUSED = {
    "relu": (1, ()), "relu6": (3, (0.0, 6.0)), "clip": (3, (0.0, 1.0)), "sigmoid": (4, ()),
    "hardswish": (6, (1 / 6, 0.5)),
}  # fmt: skip
"""What a convolution does itself: the number of the activation, and its own numbers."""
_ALONE: dict[str, tuple[str, dict[int, Any]]] = {
    "relu": ("ReLU", {}), "relu6": ("Clip", {0: 0.0, 1: 6.0}), "clip": ("Clip", {0: 0.0, 1: 1.0}),
    "sigmoid": ("Sigmoid", {}), "hardswish": ("HardSwish", {0: 1 / 6, 1: 0.5}),
    "hardsigmoid": ("HardSigmoid", {0: 1 / 6, 1: 0.5}), "tanh": ("TanH", {}),
    "silu": ("Swish", {}), "gelu": ("GELU", {}),
}  # fmt: skip
_ARRAY = -23300
"""Parameter i that is an array has the number _ARRAY - i, and its length first."""


def write(source: Source, precision: FloatPrecision = "fp32") -> Files:
    """`NAME.param` and `NAME.bin`.

    Args:
        precision: in which kernels are stored; how it computes is the program's to choose.

    Raises:
        Unwritable: ncnn has no such layer.
    """
    if precision == "fp16":
        require_half(source)
    file = _Text(precision == "fp16")
    readers = source.graph.consumers()
    uses = [len(found) + (index == source.graph.output) for index, found in enumerate(readers)]
    for index, node in enumerate(source.graph.nodes):
        before = [file.take(inner) for inner in node.inputs]
        made = OUTPUT if index == source.graph.output else f"t{index}"
        made = INPUT if isinstance(node, Input) else made
        _Layers(source, file, index, before, made).write(node)
        file.share(index, made, uses[index])
    return {f"{source.name}.param": file.text().encode(), f"{source.name}.bin": b"".join(file.bin)}


@dataclass
class _Text:
    """The two files in the making.

    Attributes:
        half: whether kernels are stored in fp16.
        blobs: names under which a node's tensor can still be read, each once.
    """

    half: bool
    lines: list[str] = field(default_factory=list)
    bin: list[bytes] = field(default_factory=list)
    blobs: dict[int, list[str]] = field(default_factory=dict)
    made: int = 0

    def layer(
        self, kind: str, before: Sequence[str], after: Sequence[str], params: dict[int, Any]
    ) -> None:
        """Append one line."""
        said = " ".join(f"{_key(k, value)}={_value(value)}" for k, value in params.items())
        words = [kind, f"{kind.lower()}_{len(self.lines)}", str(len(before)), str(len(after))]
        self.lines.append(" ".join([*words, *before, *after, said]).rstrip())
        self.made += len(after)

    def take(self, index: int) -> str:
        """A name that nobody has read yet."""
        return self.blobs[index].pop()

    def share(self, index: int, name: str, uses: int) -> None:
        """Let so many layers read what a node made."""
        names = [name]
        if uses > 1:
            names = [f"{name}_{copy}" for copy in range(uses)]
            self.layer("Split", [name], names, {})
        self.blobs[index] = names

    def kernel(self, values: NDArray[np.float32]) -> None:
        """Append numbers behind the flag that tells their type."""
        self.bin.append(np.uint32(_HALF if self.half else 0).tobytes())
        content = values.astype("<f2" if self.half else "<f4").tobytes()
        self.bin.append(content + bytes(-len(content) % 4))

    def plain(self, values: NDArray[np.float32]) -> None:
        """Append numbers in fp32, without a flag."""
        self.bin.append(values.astype("<f4").tobytes())

    def text(self) -> str:
        """The whole of `.param`."""
        return "\n".join([str(_MAGIC), f"{len(self.lines)} {self.made}", *self.lines, ""])


@dataclass(frozen=True)
class _Layers:
    """The lines of one node."""

    source: Source
    file: _Text
    index: int
    before: Sequence[str]
    made: str

    def write(self, node: Primitive) -> None:
        """Append them.

        Raises:
            Unwritable: there is no such layer.
        """
        match node:
            case Conv():
                self._convolution(node)
            case Activation():
                self._activation(node.activation, node.slope, self.before[0])
            case _:
                kind, params = self._plain(node)
                self.file.layer(kind, self.before, [self.made], params)

    def _plain(self, node: Primitive) -> tuple[str, dict[int, Any]]:
        """The one layer of a node without numbers of its own, and its parameters."""
        match node:
            case Input():
                return "Input", {}
            case Shift() | Scale():
                kind = _ADD if isinstance(node, Shift) else _MULTIPLY
                return "BinaryOp", {0: kind, 1: 1, 2: node.value}
            case Add():
                return "BinaryOp", {0: _ADD}
            case Multiply():
                return "BinaryOp", {0: _MULTIPLY}
            case Concat():
                return "Concat", {0: 0}
            case Slice():
                return "Crop", {9: [node.start], 10: [node.stop], 11: [0]}
            case ChannelShuffle():
                return "ShuffleChannel", {0: node.groups}
            case DepthToSpace():
                return "PixelShuffle", {0: node.factor}
            case SpaceToDepth():
                return "Reorg", {0: node.factor, 1: 1}
            case MaxPool() | AveragePool():
                return "Pooling", _window(node)
            case GlobalAveragePool():
                return "Pooling", {0: 1, 4: 1}
            case Resize():
                mode = 1 if node.mode == "nearest" else 2
                return "Interp", {0: mode, 1: float(node.factor), 2: float(node.factor)}
        raise refused(self.source, self.index, "has no counterpart in ncnn: use another format")

    def _convolution(self, node: Conv) -> None:
        weight = self.source.weights[f"n{self.index}.weight"]
        bias = self.source.weights.get(f"n{self.index}.bias")
        (high, wide), (top, left) = node.kernel, node.margins
        params: dict[int, Any] = {
            0: node.out_channels, 1: wide, 11: high, 2: node.dilation, 3: node.stride, 4: left,
            14: top, 5: int(bias is not None), 6: weight.size,
        }  # fmt: skip
        if node.groups > 1:
            params[7] = node.groups
        number, own = (2, (node.slope,)) if node.activation == "leaky_relu" else _FUSED.get(
            node.activation, (0, ())
        )  # fmt: skip
        if number:
            params |= {9: number} | ({10: list(own)} if own else {})
        rest = node.activation != "none" and not number
        made = f"{self.made}_linear" if rest else self.made
        kind = "ConvolutionDepthWise" if node.groups > 1 else "Convolution"
        self.file.layer(kind, self.before, [made], params)
        self.file.kernel(weight)
        if bias is not None:
            self.file.plain(bias)
        if rest:
            self._activation(node.activation, node.slope, made)

    def _activation(self, name: str, slope: float, before: str) -> None:
        if name == "leaky_relu":
            self.file.layer("ReLU", [before], [self.made], {0: slope})
        elif name == "prelu":
            slopes = self.source.weights[f"n{self.index}.slope"]
            self.file.layer("PReLU", [before], [self.made], {0: slopes.size})
            self.file.plain(slopes)
        else:
            kind, params = _ALONE[name]
            self.file.layer(kind, [before], [self.made], params)


def _window(node: Pool) -> dict[int, Any]:
    """Of a pooling without padding, which leaves out what fills no window."""
    return {0: int(isinstance(node, AveragePool)), 1: node.side, 2: node.factor, 5: 1}


def _key(number: int, value: Any) -> int:
    return _ARRAY - number if isinstance(value, list) else number


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ",".join([str(len(value)), *map(_value, value)])
    # A number is a float where it has a point or an exponent.
    return f"{value:.9e}" if isinstance(value, float) else str(value)

"""The Graph: a network as a list of primitives, and everything that is computed from it.

A primitive has exactly two readings, the torch module (`modules.py`) and the ONNX nodes
(`onnx_writer.py`). Shapes, work, traffic and identity are read here, without either library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from search_spaces.base import InvalidArchitecture, UnknownName

Shape = tuple[int, int, int]
"""(channels, height, width) of one tensor; the batch is left out."""

ACTIVATIONS = ("none", "relu", "prelu", "clip", "tanh", "sigmoid", "hardswish")
FIXED_KERNELS = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class Primitive:
    """What every primitive has: the indices of the nodes it reads."""

    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Input(Primitive):
    """The network's input, values in [0, 1]."""

    channels: int


@dataclass(frozen=True)
class Shift(Primitive):
    """Adds a constant; centres the data about zero inside the network."""

    value: float


@dataclass(frozen=True)
class Conv(Primitive):
    """A convolution with zero "same" padding and an optional activation.

    Attributes:
        fixed: empty for learned weights; else a fixed upsampling kernel, by which this
            convolution gives the `factor * factor` phases of each input channel, in the order
            that DepthToSpace (CRD) expects.
        offset: what the bias starts at (learned weights) or is (fixed ones).
    """

    out_channels: int
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    groups: int = 1
    bias: bool = True
    activation: str = "none"
    fixed: str = ""
    factor: int = 1
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what the two readings would understand differently.

        Raises:
            UnknownName: no such activation.
            InvalidArchitecture: a side of the kernel is even, which no "same" padding fits.
        """
        _check_activation(self.activation)
        if any(side % 2 == 0 for side in self.kernel):
            raise InvalidArchitecture(f"a {self.kernel} kernel: both sides must be odd")


@dataclass(frozen=True)
class ConvTranspose(Primitive):
    """A transposed convolution whose output is exactly `stride` times its input."""

    out_channels: int
    kernel: tuple[int, int]
    stride: int
    bias: bool = True
    activation: str = "none"

    def __post_init__(self) -> None:
        """Refuse an unknown activation.

        Raises:
            UnknownName: no such activation.
        """
        _check_activation(self.activation)


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise UnknownName("activation", name, ACTIVATIONS)


@dataclass(frozen=True)
class DepthToSpace(Primitive):
    """Pixel shuffle: channels c*f*f + i*f + j become the pixels (i, j) of channel c (CRD)."""

    factor: int


@dataclass(frozen=True)
class SpaceToDepth(Primitive):
    """The inverse in size: pixel (i, j) of channel c becomes channel (i*f + j)*C + c (ONNX)."""

    factor: int


@dataclass(frozen=True)
class MaxPool(Primitive):
    """Maximum over factor x factor windows, stride = factor."""

    factor: int


@dataclass(frozen=True)
class AveragePool(Primitive):
    """Mean over factor x factor windows, stride = factor."""

    factor: int


@dataclass(frozen=True)
class Resize(Primitive):
    """Enlarges by an integer factor: `nearest` or `bilinear` (half-pixel centres)."""

    factor: int
    mode: str


@dataclass(frozen=True)
class Add(Primitive):
    """Sum of two tensors of one shape; the second is the skip connection."""


@dataclass(frozen=True)
class Concat(Primitive):
    """Joins tensors along the channels."""


@dataclass(frozen=True)
class Graph:
    """A network: primitives in order of execution; the last one is the output."""

    nodes: tuple[Primitive, ...]

    @property
    def output(self) -> int:
        """Index of the output node."""
        return len(self.nodes) - 1

    def consumers(self) -> list[list[int]]:
        """For each node the nodes that read it."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                readers[source].append(index)
        return readers

    def canonical_hash(self) -> str:
        """sha256 of the network up to the order in which independent nodes are written.

        All nodes are counted, not only what the output is made of: one layer that is read twice
        is another network than two equal layers with weights of their own.
        """
        digests: list[str] = []
        for node in self.nodes:
            sources = [digests[i] for i in node.inputs]
            text = repr((type(node).__name__, replace(node, inputs=()), sources))
            digests.append(hashlib.sha256(text.encode()).hexdigest())
        return hashlib.sha256(" ".join([digests[-1], *sorted(digests)]).encode()).hexdigest()


class GraphBuilder:
    """Appends primitives and hands out their indices; drops what the output does not need."""

    def __init__(self, channels: int) -> None:
        self._nodes: list[Primitive] = [Input((), channels)]

    def add(self, make: Callable[..., Primitive], *inputs: int, **fields: Any) -> int:
        """Append one primitive and return its index."""
        self._nodes.append(make(inputs, **fields))
        return len(self._nodes) - 1

    def channels(self, index: int) -> int:
        """Feature count of a node."""
        return channels_of(self._nodes)[index]

    def finish(self, output: int) -> Graph:
        """Return the Graph that ends in `output`, without unused nodes."""
        needed = {output}
        for index in range(output, -1, -1):
            if index in needed:
                needed.update(self._nodes[index].inputs)
        order = sorted(needed | {0})
        place = {old: new for new, old in enumerate(order)}
        return Graph(
            tuple(
                replace(self._nodes[i], inputs=tuple(place[s] for s in self._nodes[i].inputs))
                for i in order
            )
        )


def channels_of(nodes: tuple[Primitive, ...] | list[Primitive]) -> list[int]:
    """Feature count of every node's output."""
    out: list[int] = []
    for node in nodes:
        source = out[node.inputs[0]] if node.inputs else 0
        match node:
            case Input(channels=c) | Conv(out_channels=c) | ConvTranspose(out_channels=c):
                out.append(c)
            case DepthToSpace(factor=f):
                out.append(source // (f * f))
            case SpaceToDepth(factor=f):
                out.append(source * f * f)
            case Concat():
                out.append(sum(out[i] for i in node.inputs))
            case _:
                out.append(source)
    return out


def shapes_of(graph: Graph, height: int, width: int) -> list[Shape]:
    """Output shape (C, H, W) of every node for an input of this size.

    Raises:
        InvalidArchitecture: sizes or channels do not fit together.
    """
    shapes: list[Shape] = []
    for index, (node, c) in enumerate(zip(graph.nodes, channels_of(graph.nodes), strict=True)):
        h, w = shapes[node.inputs[0]][1:] if node.inputs else (height, width)
        _check(index, node, [shapes[i] for i in node.inputs])
        match node:
            case Conv(stride=s):
                h, w = -(-h // s), -(-w // s)
            case ConvTranspose(stride=f) | DepthToSpace(factor=f) | Resize(factor=f):
                h, w = h * f, w * f
            case SpaceToDepth(factor=f) | MaxPool(factor=f) | AveragePool(factor=f):
                h, w = h // f, w // f
        shapes.append((c, h, w))
    return shapes


def _check(index: int, node: Primitive, sources: list[Shape]) -> None:
    where = f"node {index} ({type(node).__name__})"
    match node:
        case Conv(groups=g, out_channels=c) if sources[0][0] % g or c % g:
            raise InvalidArchitecture(f"{where}: {sources[0][0]} > {c} channels in {g} groups")
        case Conv(stride=f) | SpaceToDepth(factor=f) | MaxPool(factor=f) | AveragePool(factor=f):
            if sources[0][1] % f or sources[0][2] % f:
                raise InvalidArchitecture(
                    f"{where}: a {sources[0][1]}x{sources[0][2]} tensor does not divide by {f}"
                )
        case DepthToSpace(factor=f) if sources[0][0] % (f * f):
            raise InvalidArchitecture(f"{where}: {sources[0][0]} channels, factor {f}")
        case Add() if len(set(sources)) != 1:
            raise InvalidArchitecture(f"{where}: cannot add {sources}")
        case Concat() if len({s[1:] for s in sources}) != 1:
            raise InvalidArchitecture(f"{where}: cannot join {sources}")


@dataclass(frozen=True)
class Work:
    """What one node costs, counted, not timed.

    Attributes:
        macs: multiply-adds.
        params: learned numbers.
        elements: tensor elements read and written (weights included).
    """

    macs: int
    params: int
    elements: int


def work_of(graph: Graph, height: int, width: int) -> list[Work]:
    """Work of every node for an input of this size. MACs count convolutions only.

    A transposed convolution counts kernel area per *input* pixel (each input pixel is
    spread once), which is half to a quarter of what some published tables print.
    """
    shapes = shapes_of(graph, height, width)
    result: list[Work] = []
    for node, shape in zip(graph.nodes, shapes, strict=True):
        sources = [shapes[i] for i in node.inputs]
        macs = params = weights = 0
        match node:
            case Conv(kernel=k, groups=g, bias=b, out_channels=c):
                weights = c * (sources[0][0] // g) * k[0] * k[1]
                macs = weights * shape[1] * shape[2]
                params = 0 if node.fixed else weights + c * b
            case ConvTranspose(kernel=k, bias=b, out_channels=c):
                weights = c * sources[0][0] * k[0] * k[1]
                macs = weights * sources[0][1] * sources[0][2]
                params = weights + c * b
        if getattr(node, "activation", "") == "prelu":
            params += shape[0]
        traffic = sum(prod(s) for s in sources) + prod(shape) + weights
        result.append(Work(macs, params, traffic))
    return result


def gmacs(graph: Graph, height: int, width: int) -> float:
    """Multiply-adds of the whole network in billions."""
    return sum(w.macs for w in work_of(graph, height, width)) / 1e9


def params_of(graph: Graph) -> int:
    """Learned numbers of the whole network."""
    return sum(w.params for w in work_of(graph, 16, 16))

"""The Graph: a network as a list of primitives, its shapes and its identity.

Shapes and identity are read here without torch or ONNX; what a network costs is in `work.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from search_spaces.base import InvalidArchitecture
from search_spaces.primitives import (
    ACTIVATIONS,
    FIXED_KERNELS,
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Flatten,
    GlobalAveragePool,
    GroupReduce,
    GroupSoftmax,
    Input,
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
)

__all__ = [
    "ACTIVATIONS", "FIXED_KERNELS", "Activation", "Add", "AveragePool", "ChannelShuffle",
    "Concat", "Conv", "ConvTranspose", "DepthToSpace", "Flatten", "GlobalAveragePool", "Graph",
    "GraphBuilder", "GroupReduce", "GroupSoftmax", "Input", "MaxPool", "Multiply", "Pool",
    "Primitive", "Resize", "ResizeLike", "Scale", "Shape", "Shift", "Slice", "SoftPool",
    "SpaceToDepth", "channels_of", "shapes_of",
]

Shape = tuple[int, ...]
"""(channels, height, width) of one tensor, (channels,) after Flatten; the batch is left out."""


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
        is another network than two equal layers with weights of their own. A field that has its
        default is left out, so that a primitive may grow one without new hashes.
        """
        digests: list[str] = []
        for node in self.nodes:
            sources = [digests[i] for i in node.inputs]
            text = repr((type(node).__name__, _own_fields(node), sources))
            digests.append(hashlib.sha256(text.encode()).hexdigest())
        return hashlib.sha256(" ".join([digests[-1], *sorted(digests)]).encode()).hexdigest()


def _own_fields(node: Primitive) -> list[tuple[str, Any]]:
    values = [(f.name, getattr(node, f.name), f.default) for f in fields(node)]
    return [
        (name, value)
        for name, value, default in values
        if name != "inputs" and (default is MISSING or value != default)
    ]


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
            case Slice(start=start, stop=stop):
                out.append(stop - start)
            case GroupReduce(groups=g):
                out.append(source // g)
            case _:
                out.append(source)
    return out


def shapes_of(graph: Graph, height: int, width: int) -> list[Shape]:
    """Output shape of every node, (C, H, W), for an input of this size.

    Raises:
        InvalidArchitecture: sizes or channels do not fit together.
    """
    shapes: list[Shape] = []
    for index, (node, c) in enumerate(zip(graph.nodes, channels_of(graph.nodes), strict=True)):
        sources = [shapes[i] for i in node.inputs]
        where = f"node {index} ({type(node).__name__})"
        if any(len(source) != 3 for source in sources):
            raise InvalidArchitecture(f"{where}: nothing may follow a Flatten")
        _check(where, node, sources)
        if isinstance(node, Flatten):
            shapes.append((c,))
            continue
        size = _size(node, sources) if sources else (height, width)
        if min(size) < 1:
            raise InvalidArchitecture(f"{where}: a {_by(sources[0])} tensor is too small for it")
        shapes.append((c, *size))
    return shapes


def _size(node: Primitive, sources: list[Shape]) -> tuple[int, int]:
    """Height and width of a node's output."""
    _, h, w = sources[0]
    match node:
        case Conv(stride=s, padding="valid", kernel=(rows, columns), dilation=d):
            return ((h - d * (rows - 1) - 1) // s + 1, (w - d * (columns - 1) - 1) // s + 1)
        case Conv(stride=s):
            return (-(-h // s), -(-w // s))
        case ConvTranspose(stride=f) | DepthToSpace(factor=f) | Resize(factor=f):
            return (h * f, w * f)
        case Pool(factor=f, side=k):
            return ((h - k) // f + 1, (w - k) // f + 1)
        case SpaceToDepth(factor=f):
            return (h // f, w // f)
        case GlobalAveragePool():
            return (1, 1)
        case ResizeLike():
            return (sources[1][1], sources[1][2])
    return (h, w)


def _check(where: str, node: Primitive, sources: list[Shape]) -> None:
    first = sources[0] if sources else ()
    match node:
        case Conv(groups=g, out_channels=c) if first[0] % g or c % g:
            raise InvalidArchitecture(f"{where}: {first[0]} > {c} channels in {g} groups")
        case DepthToSpace(factor=f) if first[0] % (f * f):
            raise InvalidArchitecture(f"{where}: {first[0]} channels, factor {f}")
        case Add() if len(set(sources)) != 1:
            raise InvalidArchitecture(f"{where}: cannot add {sources}")
        case Multiply() if any(b not in (1, a) for a, b in zip(first, sources[1], strict=True)):
            raise InvalidArchitecture(f"{where}: cannot multiply {sources}")
        case Concat() if len({s[1:] for s in sources}) != 1:
            raise InvalidArchitecture(f"{where}: cannot join {sources}")
        case Slice(start=a, stop=b) if not 0 <= a < b <= first[0]:
            raise InvalidArchitecture(f"{where}: channels {a} to {b} of {first[0]}")
        case Flatten() if first[1:] != (1, 1):
            raise InvalidArchitecture(f"{where}: a {_by(first)} tensor, pool it to 1x1 first")
        case GroupReduce(groups=g) | GroupSoftmax(groups=g) | ChannelShuffle(groups=g):
            if first[0] % g:
                raise InvalidArchitecture(f"{where}: {first[0]} channels in {g} groups")
        case _:
            step = _divisor(node)
            if step > 1 and (first[1] % step or first[2] % step):
                raise InvalidArchitecture(
                    f"{where}: a {_by(first)} tensor does not divide by {step}"
                )


def _divisor(node: Primitive) -> int:
    """What the height and width of a node's input must divide by."""
    match node:
        case Conv(stride=f, padding="same") | SpaceToDepth(factor=f) | Pool(factor=f, kernel=0):
            return f
    return 1


def _by(shape: Shape) -> str:
    return f"{shape[1]}x{shape[2]}"

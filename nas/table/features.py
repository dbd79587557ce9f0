"""What a network is like, as a row of numbers: counted on its Graph, whatever space it is from.

These are not the features by which policies decide (`search_spaces.features`): who is judged by a
fit must not be judged by their own view of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from search_spaces.graph import Graph, shapes_of
from search_spaces.primitives import (
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    GlobalAveragePool,
    MaxPool,
    Multiply,
    Pool,
    Primitive,
    SpaceToDepth,
)
from search_spaces.work import work_of

Row = NDArray[np.float64]
_ACTIVATIONS = ("relu", "prelu", "clip", "hardswish")
_BASES = ("nearest", "bicubic")
_JOINS = (Add, Concat, Multiply, GlobalAveragePool)
_HALVINGS = (MaxPool, AveragePool, SpaceToDepth)
NAMES: tuple[str, ...] = (
    "work", "parameters", "traffic", "largest", "smallest", "depth", "shortest_way", "layers",
    "narrowest", "widest",
    "reach", "work_at_half_size", "work_in_groups", "work_in_points", "work_in_lines",
    "work_in_large", "strided", *(kind.__name__ for kind in _HALVINGS),
    *_ACTIVATIONS, *_BASES, *(kind.__name__ for kind in _JOINS),
)  # fmt: skip


def features(graph: Graph, height: int, width: int) -> Row:
    """Counts of work, sizes and kinds of layers, one number for each of `NAMES`."""
    shapes, works = shapes_of(graph, height, width), work_of(graph, height, width)
    nodes = graph.nodes
    learned = [i for i, node in enumerate(nodes) if _learns(node)]
    macs = [works[i].macs for i in learned]
    whole = max(1, sum(macs))

    def share(chosen: Sequence[bool]) -> float:
        return sum(m for m, yes in zip(macs, chosen, strict=True) if yes) / whole

    convs = [nodes[i] for i in learned]
    kernels = [c.kernel for c in convs if isinstance(c, Conv | ConvTranspose)]
    # The last layer is as wide as the output asks for.
    widths = [shapes[i][0] for i in learned[:-1]] or [shapes[learned[-1]][0] if learned else 1]
    values = [
        log(whole),
        log(max(1, sum(w.params for w in works))),
        log(sum(w.elements for w in works)),
        log(max(np.prod(shape) for shape in shapes)),
        # What the picture is squeezed through; the last layer is as large as the output asks.
        log(min((np.prod(shapes[i]) for i in learned[:-1]), default=1.0)),
        log(1 + _depth(graph)),
        log(1 + _shortest_way(graph)),
        log(1 + len(learned)),
        log(min(widths)),
        log(max(widths)),
        log(receptive_field(graph)),
        share([shapes[i][1] < height for i in learned]),
        share([isinstance(c, Conv) and c.groups > 1 for c in convs]),
        share([k == (1, 1) for k in kernels]),
        share([k[0] != k[1] for k in kernels]),
        share([min(k) > 3 for k in kernels]),
        float(any(isinstance(n, Conv) and n.stride > 1 for n in nodes)),
        *(float(any(isinstance(n, kind) for n in nodes)) for kind in _HALVINGS),
        *(float(any(getattr(n, "activation", "") == a for n in nodes)) for a in _ACTIVATIONS),
        *(float(any(getattr(n, "fixed", "") == base for n in nodes)) for base in _BASES),
        *(log(1 + sum(isinstance(n, kind) for n in nodes)) for kind in _JOINS),
    ]
    return np.array(values)


def _learns(node: Primitive) -> bool:
    return isinstance(node, ConvTranspose) or (isinstance(node, Conv) and not node.fixed)


def _depth(graph: Graph) -> int:
    """Learned layers on the longest way from the input to the output."""
    depth: list[int] = []
    for node in graph.nodes:
        depth.append(max((depth[i] for i in node.inputs), default=0) + _learns(node))
    return depth[-1]


def _shortest_way(graph: Graph) -> int:
    """Learned layers on the shortest way to the output that goes through any: skips cut it."""
    ways: list[int] = []
    for node in graph.nodes:
        learned = [ways[i] for i in node.inputs if ways[i]]
        ways.append(min(learned, default=0) + _learns(node))
    return ways[-1]


def receptive_field(graph: Graph) -> float:
    """Rows of the input that one row of the output can depend on, by convolutions and pools."""
    reach: list[float] = []
    pixel: list[float] = []
    for node in graph.nodes:
        sources = list(node.inputs)
        size = max((pixel[i] for i in sources), default=1.0)
        field = max((reach[i] for i in sources), default=1.0)
        match node:
            case Conv(kernel=(rows, _), dilation=dilation, stride=stride):
                field, size = field + (rows - 1) * dilation * size, size * stride
            case Pool(factor=factor):
                field, size = field + (node.side - 1) * size, size * factor
            case SpaceToDepth(factor=factor):
                field, size = field + (factor - 1) * size, size * factor
            case DepthToSpace(factor=factor) | ConvTranspose(stride=factor):
                size = size / factor
        reach.append(field)
        pixel.append(size)
    return reach[-1]

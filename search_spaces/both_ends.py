"""Which tensors are quantized where an engine fuses a layer with quantizers at both of its ends.

ONNX Runtime's CPU provider runs a convolution in int8 only between a DequantizeLinear and a
QuantizeLinear (its optimized graph then has a QLinearConv), and so an addition, a join or a
product. Found by compiling small graphs with version 1.32:

- between convolution and quantizer a ReLU or a clip from 0 may stand, if the quantizer is uint8
  with zero point 0 and ends at the clip or below; any other activation reads and gives quantized
  tensors of its own;
- DepthToSpace, MaxPool, Slice, the nearest Resize and a channel shuffle move integers where both
  sides have the same scale and zero point; SpaceToDepth and the bilinear Resize never do;
- activations are uint8: with int8 additions stay in float.

Pure data, no torch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from search_spaces.graph import Graph
from search_spaces.primitives import (
    Activation,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    DepthToSpace,
    MaxPool,
    Primitive,
    Resize,
    Slice,
)
from search_spaces.signs import CEILINGS, not_negative

_MIDDLE = 128
_MOVES = (DepthToSpace, MaxPool, Slice, ChannelShuffle)


@dataclass(frozen=True)
class Ends:
    """The quantized tensors of a graph; keys are nodes, or `before_activation(node)`.

    Attributes:
        owners: each tensor with the one whose scale it takes.
        zero_points: of each; all are uint8.
        ceilings: of owners that a clip ends, its upper bound.
    """

    owners: dict[int, int]
    zero_points: dict[int, int]
    ceilings: dict[int, float]


@dataclass(frozen=True)
class _Kind:
    """What tensors have to have in common to take one scale."""

    zero_point: int
    ceiling: float = inf


def before_activation(node: int) -> int:
    """The key of what a layer gives before its activation, where that is quantized by itself."""
    return ~node


def quantized_ends(graph: Graph, layers: Collection[int]) -> Ends:
    """Quantize what these layers read and give, and what is moved, added or joined of it."""
    tensors = _tensors(graph, layers)
    positive = not_negative(graph)
    owners = {key: key for key in sorted(tensors) if key < 0}
    kinds = dict.fromkeys(owners, _Kind(_MIDDLE))
    for index, node in enumerate(graph.nodes):
        if index not in tensors:
            continue
        owners[index], kinds[index] = index, _kind(node, index in positive)
        if _moves(node) and node.inputs[0] in tensors:
            owners[index], kinds[index] = owners[node.inputs[0]], kinds[node.inputs[0]]
        elif isinstance(node, Concat) and len({kinds[i] for i in node.inputs}) == 1:
            kinds[index] = kinds[node.inputs[0]]
            joined = {owners[i] for i in (index, *node.inputs)}
            owners = {i: index if o in joined else o for i, o in owners.items()}
    ceilings = {owners[i]: kind.ceiling for i, kind in kinds.items() if kind.ceiling < inf}
    return Ends(owners, {i: kind.zero_point for i, kind in kinds.items()}, ceilings)


def _kind(node: Primitive, positive: bool) -> _Kind:
    if not positive:
        return _Kind(_MIDDLE)
    return _Kind(0, CEILINGS.get(getattr(node, "activation", "none"), inf))


def _tensors(graph: Graph, layers: Collection[int]) -> set[int]:
    """Keys of all quantized tensors: what is found adds to what there is until nothing does."""
    readers = graph.consumers()
    found = {graph.nodes[index].inputs[0] for index in layers}
    found |= {_result(graph, index, readers) for index in layers}
    before = 0
    while len(found) > before:
        before = len(found)
        for index, node in enumerate(graph.nodes):
            whole = bool(node.inputs) and found.issuperset(node.inputs)
            if whole and (_moves(node) or isinstance(node, Add | Concat)):
                found.add(_result(graph, index, readers))
        for index, node in reversed(list(enumerate(graph.nodes))):
            passes_on = _moves(node) or isinstance(node, Add | Concat)
            if passes_on and _result(graph, index, readers) in found:
                found.update(node.inputs)
    return found


def _result(graph: Graph, index: int, readers: list[list[int]]) -> int:
    """The key of the tensor that is quantized for what a node gives."""
    node = graph.nodes[index]
    activation = getattr(node, "activation", "none")
    if activation != "none":
        return index if activation in CEILINGS else before_activation(index)
    if isinstance(node, Conv | Add) and len(readers[index]) == 1:
        reader = graph.nodes[readers[index][0]]
        if isinstance(reader, Activation) and reader.activation in CEILINGS:
            return readers[index][0]
    return index


def _moves(node: Primitive) -> bool:
    nearest = isinstance(node, Resize) and node.mode == "nearest"
    return nearest or isinstance(node, _MOVES)

"""A file whose height and width are left open, and back: the same file for any size of picture.

Files are written for one size, which engines compile best and receipts are of. Nothing else in
most of them depends on it: only what is told of the inputs and outputs is changed here, so the
precision, the scales and the way of pictures stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx

from search_spaces.graph import Graph, shapes_of
from search_spaces.onnx_writer import write
from search_spaces.primitives import Input
from search_spaces.reach import multiple_of
from search_spaces.weights import random_weights

_SIDES = ("height", "width")
_CHANNELS, _PICTURE_AXES = "DATA_CHANNEL", 4


class HoldsSize(ValueError):
    """A layer of this network depends on the size of the picture; the message names it."""


def any_size(file: bytes, graph: Graph) -> bytes:
    """Leave the height and width of a network's file open.

    Sides are called `height` and `width` where a port has the deployment's size, and
    `<port>_height` and `<port>_width` elsewhere.

    Args:
        file: of this graph, at whatever precision, for one size.

    Raises:
        HoldsSize: it cannot be run at another one.
    """
    holder = _holder(graph)
    if holder is not None:
        kind = type(graph.nodes[holder]).__name__
        raise HoldsSize(f"layer {holder}, a {kind}, holds the size of the picture")
    model = onnx.load_model_from_string(file)
    for value, index in _ends(model, graph):
        node = graph.nodes[index]
        whole = isinstance(node, Input) and node.name == value.name and node.scale == 1
        for dim, side in zip(_sides(value), _SIDES, strict=True):
            dim.dim_param = side if whole else f"{value.name}_{side}"
    return bytes(model.SerializeToString())


def of_size(file: bytes, graph: Graph, *, height: int, width: int) -> bytes:
    """The file for one size: byte for byte what `any_size` was given, if that was its size."""
    model = onnx.load_model_from_string(file)
    shapes = shapes_of(graph, height, width)
    for value, index in _ends(model, graph):
        for dim, side in zip(_sides(value), shapes[index][1:], strict=True):
            dim.dim_value = side
    return bytes(model.SerializeToString())


def is_any_size(file: bytes) -> bool:
    """Whether a side of one of the file's inputs is open."""
    model = onnx.load_model_from_string(file)
    return any(
        dim.HasField("dim_param") for value in model.graph.input
        for dim in value.type.tensor_type.shape.dim
    )


def _holder(graph: Graph) -> int | None:
    """The first layer that is written otherwise for another size, by whatever it stores."""
    multiple, weights = multiple_of(graph), random_weights(graph)
    one, other = (
        onnx.load_model_from_string(
            write(graph, weights, height=side * multiple, width=(side + 1) * multiple)
        )
        for side in (32, 48)
    )
    for mine, theirs in zip(one.graph.initializer, other.graph.initializer, strict=True):
        if mine != theirs:
            found = re.match(r"t(\d+)\.", mine.name)
            return int(found[1]) if found else graph.output
    return None


def _ends(
    model: onnx.ModelProto, graph: Graph
) -> Iterator[tuple[onnx.ValueInfoProto, int]]:
    """The inputs and outputs that have a height and width, with their nodes."""
    for values, nodes in ((model.graph.input, graph.inputs), (model.graph.output, graph.outputs)):
        for value in values:
            if len(value.type.tensor_type.shape.dim) == _PICTURE_AXES:
                yield value, nodes[value.name]


def _sides(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    """Height and width, wherever its channels are."""
    dims = value.type.tensor_type.shape.dim
    return list(dims[1:3] if dims[-1].denotation == _CHANNELS else dims[2:])

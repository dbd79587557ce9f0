"""ONNX as vs-mlrt (VapourSynth) and most other programs want a network of pictures.

One input and one output, (1, C, H, W) of float32 in [0, 1], height and width left open, in the
oldest opset that has every operator of it as it is. The files of a bundle hold one size and
bytes, which is what is fastest and what few programs take.
"""

from __future__ import annotations

import re

import onnx
from onnx import helper, numpy_helper

from nas.formats.base import Files, FloatPrecision, Source, refused, require_half
from search_spaces.onnx_writer import OPSET
from search_spaces.onnx_writer import write as onnx_file
from search_spaces.primitives import ChannelShuffle, GroupReduce, GroupSoftmax

_SIDES = ("height", "width")
_SMALL, _LARGE = 32, 48
"""Sizes, over the multiple, whose files are held against each other."""


def write(source: Source, precision: FloatPrecision = "fp32") -> Files:
    """`NAME.onnx`.

    Args:
        precision: of what is between input and output, which are float32 always.

    Raises:
        Unwritable: a layer holds the size of the picture.
    """
    if precision == "fp16":
        require_half(source)
    model, other = (_at(source, precision, side) for side in (_SMALL, _LARGE))
    pairs = zip(model.graph.initializer, other.graph.initializer, strict=True)
    for one, another in pairs:
        if one != another:
            index = re.match(r"\D*(\d+)\.", one.name)
            why = "holds the size of the picture in ONNX, and a vsmlrt file is for any size"
            raise refused(source, int(index[1]) if index else source.graph.output, why)
    for end, prefix in ((model.graph.input[0], ""), (model.graph.output[0], "made_")):
        for dim, name in zip(end.type.tensor_type.shape.dim[2:], _SIDES, strict=True):
            dim.dim_param = f"{prefix}{name}"
    return {f"{source.name}.onnx": bytes(model.SerializeToString())}


def _at(source: Source, precision: FloatPrecision, side: int) -> onnx.ModelProto:
    """The file where a picture has this side, over the multiple; its width is another one."""
    height, width = side * source.multiple, (side + 1) * source.multiple
    file = onnx_file(
        source.graph, source.weights, height=height, width=width, float_type=precision
    )
    model = onnx.load_model_from_string(file)
    _leave_sizes_open(source, model.graph)
    since = (onnx.defs.get_schema(node.op_type, OPSET).since_version for node in model.graph.node)
    model.opset_import[0].version = max(since)
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    return model


def _leave_sizes_open(source: Source, graph: onnx.GraphProto) -> None:
    """Let groups of channels become an axis of their own, and channels again, at any size.

    A Gather would do for a shuffle, and OpenVINO 2026.4 computes one between convolutions wrongly.
    """
    stored = {one.name: one for one in graph.initializer}
    for index, node in enumerate(source.graph.nodes):
        if not isinstance(node, ChannelShuffle | GroupReduce | GroupSoftmax):
            continue
        parts, whole = stored[f"t{index}.parts"], stored[f"t{index}.whole"]
        shape = numpy_helper.to_array(parts).copy()
        shape[-1] = -1
        parts.CopyFrom(numpy_helper.from_array(shape, parts.name))
        channels = numpy_helper.to_array(whole)[:2]
        first, sides, name = f"{whole.name}.channels", f"{whole.name}.sides", whole.name
        whole.CopyFrom(numpy_helper.from_array(channels, first))
        place, apart = next(
            (at, one) for at, one in enumerate(graph.node) if parts.name in one.input
        )
        graph.node.insert(place, helper.make_node("Concat", [first, sides], [name], axis=0))
        graph.node.insert(place, helper.make_node("Shape", apart.input[:1], [sides], start=2))

"""ONNX as vs-mlrt (VapourSynth) and most other programs want a network of pictures.

One input and one output, (1, C, H, W) of float32 in [0, 1], height and width left open, in the
oldest opset that has every operator of it as it is. The files of a bundle hold one size and
bytes, which is what is fastest and what few programs take.
"""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import helper, numpy_helper

from nas.formats.base import Files, FloatPrecision, Source, refused
from search_spaces.graph import channels_of
from search_spaces.onnx_writer import OPSET
from search_spaces.onnx_writer import write as onnx_file
from search_spaces.primitives import ChannelShuffle

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
    _gather_shuffles(source, model.graph)
    since = (onnx.defs.get_schema(node.op_type, OPSET).since_version for node in model.graph.node)
    model.opset_import[0].version = max(since)
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    return model


def _gather_shuffles(source: Source, graph: onnx.GraphProto) -> None:
    """Channel shuffles as one Gather, which needs no size."""
    channels = channels_of(source.graph.nodes)
    for index, node in enumerate(source.graph.nodes):
        if not isinstance(node, ChannelShuffle):
            continue
        apart, turned = f"t{index}.apart", f"t{index}.turned"
        found = [one for one in graph.node if {apart, turned} & {*one.input, *one.output}]
        place = list(graph.node).index(found[0])
        order = np.arange(channels[index]).reshape(node.groups, -1).T.ravel()
        order_name = f"t{index}.order"
        gathered = helper.make_node(
            "Gather", [found[0].input[0], order_name], found[-1].output, f"Gather_t{index}", axis=1
        )
        for one in found:
            graph.node.remove(one)
        graph.node.insert(place, gathered)
        for name in (f"t{index}.parts", f"t{index}.whole"):
            graph.initializer.remove(next(one for one in graph.initializer if one.name == name))
        graph.initializer.append(numpy_helper.from_array(order.astype(np.int64), order_name))

"""ONNX as vs-mlrt (VapourSynth) and most other programs want a network of pictures.

One input and one output, (1, C, H, W) of float32 in [0, 1], height and width left open. The files
of a bundle hold one size and bytes, which is what is fastest and what few programs take.
"""

from __future__ import annotations

import re

import onnx

from nas.formats.base import Files, FloatPrecision, Source, refused
from search_spaces.onnx_writer import write as onnx_file

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
            why = "whose ONNX holds the size of the picture: vsmlrt has files for any size"
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
    return onnx.load_model_from_string(file)

"""The layers of a network, one line each: what it is, what it costs, what a device allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from search_spaces.graph import Graph, Shape, shapes_of
from search_spaces.primitives import Primitive
from search_spaces.work import work_of

Look = Literal["interface", "learned", "grouped", "fixed", "join"]
"""Input and output, a layer with weights, one with groups, one without weights, and what only
joins tensors."""

_JOINS = {"Add": "+", "Multiply": "×"}


@dataclass(frozen=True)
class LayerLine:
    """One primitive of a network, to be printed.

    Attributes:
        index: its place in the Graph.
        name: of its tensor in the ONNX file, `t3` as in `Conv_t3`.
        kind: such as `depthwise conv`.
        detail: kernel, stride, groups, activation and whatever else was chosen.
        sign: of what combines its inputs point by point, as `+`; else empty.
        shape: of its output, (C, H, W) or (C,).
        macs: multiply-adds of convolutions.
    """

    index: int
    name: str
    kind: str
    detail: str
    look: Look
    sign: str
    shape: Shape
    macs: int
    params: int

    @property
    def size(self) -> str:
        """The output's shape in words."""
        return " x ".join(map(str, self.shape))

    @property
    def title(self) -> str:
        """Kind and detail."""
        return f"{self.kind} {self.detail}".strip()


def layer_lines(graph: Graph, *, height: int, width: int) -> list[LayerLine]:
    """Every primitive of the network, its input first, for an input of this size.

    Raises:
        InvalidArchitecture: the size does not fit the network.
    """
    shapes = shapes_of(graph, height, width)
    lines = []
    for index, (node, cost) in enumerate(zip(graph.nodes, work_of(graph, height, width),
                                             strict=True)):
        in_channels = shapes[node.inputs[0]][0] if node.inputs else 0
        groups = int(getattr(node, "groups", 1)) if cost.macs else 1
        look: Look = "grouped" if groups > 1 else "learned"
        if not cost.params:
            look = "join" if len(node.inputs) > 1 else "fixed" if node.inputs else "interface"
        lines.append(LayerLine(
            index,
            f"t{index}",
            _kind(node, groups, in_channels),
            _detail(node, groups, in_channels),
            look,
            _JOINS.get(type(node).__name__, ""),
            shapes[index],
            cost.macs,
            cost.params,
        ))
    return lines


def _kind(node: Primitive, groups: int, in_channels: int) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()
    if words == "conv transpose":
        words = "transposed conv"
    if getattr(node, "fixed", ""):
        return f"fixed {words}"
    if groups > 1:
        return f"{'depthwise' if groups == in_channels else 'grouped'} {words}"
    return words


def _detail(node: Primitive, groups: int, in_channels: int) -> str:
    """All choices that are worth a word, in the order of the primitive's fields."""
    parts = []
    if hasattr(node, "start") and hasattr(node, "stop"):
        last = node.stop - 1
        several = f"channels {node.start} to {last}"
        parts.append(several if last > node.start else f"channel {last}")
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name in _SILENT or (field.name == "groups" and groups == in_channels):
            continue
        if field.name in _WORDS:
            parts.append(_WORDS[field.name](value))
        elif field.default is MISSING or value != field.default:
            parts.append(f"{field.name} {value}")
    return ", ".join(part for part in parts if part).replace("relu, slope", "relu")


def _sides(kernel: int | tuple[int, int]) -> str:
    rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return f"{rows}x{columns}" if rows else ""


_SILENT = ("inputs", "out_channels", "channels", "offset", "start", "stop")
_WORDS: Mapping[str, Callable[[Any], str]] = {
    "kernel": _sides,
    "stride": lambda stride: f"stride {stride}" if stride > 1 else "",
    "groups": lambda groups: f"{groups} groups" if groups > 1 else "",
    "bias": lambda bias: "" if bias else "no bias",
    "activation": lambda name: "" if name == "none" else name.replace("_", " "),
    "slope": lambda slope: f"slope {slope:g}" if slope else "",
    "fixed": str,
    "mode": str,
    "factor": lambda factor: f"by {factor}" if factor > 1 else "",
    "dilation": lambda dilation: f"dilation {dilation}" if dilation > 1 else "",
    "padding": lambda padding: "no padding" if padding == "valid" else "",
    "value": lambda value: f"{value:+.4g}",
}

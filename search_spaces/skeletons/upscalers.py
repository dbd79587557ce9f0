"""Skeletons of upscalers: a body at low resolution, enlarged at the very end."""

from __future__ import annotations

from search_spaces.base import Architecture, UnknownName
from search_spaces.blocks import activation_fields, append
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    Add,
    AveragePool,
    Conv,
    ConvTranspose,
    MaxPool,
    Shift,
    SpaceToDepth,
)
from search_spaces.skeletons.heads import enlarge
from search_spaces.skeletons.registry import CENTRE, skeleton


@skeleton("upscaler")
def upscaler(architecture: Architecture) -> Graph:
    """Everything at low resolution, then one depth-to-space; residual over a fixed upsampler.

    Arguments: `centre` subtracts mid-grey from the input; `reduction` (none, strided, max_pool,
    average_pool, space_to_depth) halves the size of the body, whose first entry in `blocks` is
    the stem; `head_kernel`; `skip` adds the stem's output to the body's; `base`, `colour`,
    `planes` and `chroma` as `heads.enlarge` reads them.
    """
    graph = GraphBuilder(architecture.in_channels)
    offset = CENTRE if architecture.arg("centre", False) else 0.0
    image = graph.add(Shift, 0, value=-offset) if offset else 0
    reduction = str(architecture.arg("reduction", "none"))
    stem = _stem(graph, image, architecture, reduction)
    body = stem
    for spec in architecture.blocks[1:]:
        body = append(graph, body, spec)
    if architecture.arg("skip", False):
        body = graph.add(Add, body, stem)
    shrunk = 1 if reduction == "none" else 2
    return graph.finish(
        enlarge(graph, architecture, body, image, shrunk=shrunk, offset=offset)
    )


def _stem(graph: GraphBuilder, image: int, architecture: Architecture, reduction: str) -> int:
    first = architecture.blocks[0]
    k = int(first.arg("kernel", 3))
    stride = 2 if reduction == "strided" else 1
    source = graph.add(SpaceToDepth, image, factor=2) if reduction == "space_to_depth" else image
    stem = graph.add(
        Conv,
        source,
        out_channels=first.channels,
        kernel=(k, k),
        stride=stride,
        **activation_fields(first),
    )
    pools = {"max_pool": MaxPool, "average_pool": AveragePool}
    known = ("none", "strided", "space_to_depth", *pools)
    if reduction not in known:
        raise UnknownName("reduction", reduction, known)
    return graph.add(pools[reduction], stem, factor=2) if reduction in pools else stem


@skeleton("transposed_upscaler")
def transposed_upscaler(architecture: Architecture) -> Graph:
    """A body at low resolution and one transposed convolution at the end, as in FSRCNN.

    Arguments: `head_kernel`; `head_margin`, where it is not the transposed convolution's own.
    """
    graph = GraphBuilder(architecture.in_channels)
    body = 0
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    k = int(architecture.arg("head_kernel", 9))
    margin = int(architecture.arg("head_margin", -1))
    return graph.finish(
        graph.add(
            ConvTranspose,
            body,
            out_channels=architecture.out_channels,
            kernel=(k, k),
            stride=architecture.scale,
            margin=None if margin < 0 else margin,
        )
    )

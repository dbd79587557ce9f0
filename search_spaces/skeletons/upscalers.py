"""Skeletons of upscalers: a body at low resolution, enlarged at the very end."""

from __future__ import annotations

from search_spaces.base import Architecture, UnknownName
from search_spaces.blocks import append
from search_spaces.fixed_kernels import kernel_size
from search_spaces.graph import (
    Add,
    AveragePool,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Graph,
    GraphBuilder,
    MaxPool,
    Shift,
    SpaceToDepth,
)
from search_spaces.skeletons.registry import CENTRE, skeleton


@skeleton("upscaler")
def upscaler(architecture: Architecture) -> Graph:
    """Everything at low resolution, then one depth-to-space; residual over a fixed upsampler.

    Arguments: `centre` subtracts mid-grey from the input; `reduction` (none, strided, max_pool,
    average_pool, space_to_depth) halves the size of the body, whose first entry in `blocks` is
    the stem; `stem_kernel`, `head_kernel`; `base` is the fixed upsampler under the learned
    residual, or none; `skip` adds the stem's output to the body's.
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
    factor = architecture.scale * (1 if reduction == "none" else 2)
    features = architecture.out_channels * factor * factor
    alone = architecture.arg("base", "none") == "none"
    k = int(architecture.arg("head_kernel", 3))
    head = graph.add(
        Conv,
        body,
        out_channels=features,
        kernel=(k, k),
        activation=str(architecture.arg("head_activation", "none")),
        offset=offset if alone else 0.0,
    )
    return graph.finish(_shuffle_over_base(graph, architecture, head, image, factor, offset))


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
        activation=str(first.arg("activation", "relu")),
    )
    pools = {"max_pool": MaxPool, "average_pool": AveragePool}
    known = ("none", "strided", "space_to_depth", *pools)
    if reduction not in known:
        raise UnknownName("reduction", reduction, known)
    return graph.add(pools[reduction], stem, factor=2) if reduction in pools else stem


def _shuffle_over_base(
    graph: GraphBuilder, architecture: Architecture, head: int, image: int, factor: int,
    offset: float,
) -> int:
    """Add the fixed upsampling where its phases have the head's size, then shuffle."""
    scale, base = architecture.scale, str(architecture.arg("base", "none"))
    if factor > scale and base != "none":
        head = graph.add(DepthToSpace, head, factor=factor // scale)
        factor = scale
    if base != "none":
        k = kernel_size(base)
        phases = graph.add(
            Conv,
            image,
            out_channels=architecture.out_channels * scale * scale,
            kernel=(k, k),
            fixed=base,
            factor=scale,
            offset=offset,
        )
        head = graph.add(Add, head, phases)
    return graph.add(DepthToSpace, head, factor=factor)


@skeleton("transposed_upscaler")
def transposed_upscaler(architecture: Architecture) -> Graph:
    """A body at low resolution and one transposed convolution at the end, as in FSRCNN."""
    graph = GraphBuilder(architecture.in_channels)
    body = 0
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    k = int(architecture.arg("head_kernel", 9))
    return graph.finish(
        graph.add(
            ConvTranspose,
            body,
            out_channels=architecture.out_channels,
            kernel=(k, k),
            stride=architecture.scale,
        )
    )

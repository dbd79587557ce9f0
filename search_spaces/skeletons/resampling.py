"""Halving and doubling the size of features, each in the ways that engines run well."""

from __future__ import annotations

from search_spaces.base import BlockSpec, UnknownName
from search_spaces.blocks import activation_fields
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import (
    AveragePool,
    Conv,
    ConvTranspose,
    DepthToSpace,
    MaxPool,
    Resize,
    SpaceToDepth,
)

REDUCTIONS = ("strided", "max_pool", "average_pool", "space_to_depth")
GROWTHS = ("depth_to_space", "transposed", "nearest", "bilinear")


def halve(graph: GraphBuilder, source: int, *, how: str, into: BlockSpec) -> int:
    """Features (C, H, W) -> (C', H/2, W/2).

    A 3x3 convolution of stride 2, or four phases and a 1x1 one, have the width and activation of
    `into`, the block that follows; a pool keeps C, so that the block changes the width.

    Raises:
        UnknownName: no such reduction.
    """
    match how:
        case "strided":
            return graph.add(
                Conv,
                source,
                out_channels=into.channels,
                kernel=(3, 3),
                stride=2,
                **activation_fields(into),
            )
        case "space_to_depth":
            phases = graph.add(SpaceToDepth, source, factor=2)
            return graph.add(
                Conv,
                phases,
                out_channels=into.channels,
                kernel=(1, 1),
                **activation_fields(into),
            )
        case "max_pool":
            return graph.add(MaxPool, source, factor=2)
        case "average_pool":
            return graph.add(AveragePool, source, factor=2)
    raise UnknownName("reduction", how, REDUCTIONS)


def double(graph: GraphBuilder, source: int, *, how: str, channels: int) -> int:
    """Features (C, H, W) -> (channels, 2H, 2W), all arithmetic before the size has grown.

    A 1x1 convolution and an interpolation give the same in either order, because the weights of
    the interpolation sum to one at every pixel; before it there is a quarter of the work. The
    transposed convolution has a 2x2 kernel: no pixel is written twice, hence no checkerboard
    (Odena et al., "Deconvolution and Checkerboard Artifacts", 2016).

    Raises:
        UnknownName: no such growth.
    """
    if how not in GROWTHS:
        raise UnknownName("growth", how, GROWTHS)
    if how == "transposed":
        return graph.add(ConvTranspose, source, out_channels=channels, kernel=(2, 2), stride=2)
    width = 4 * channels if how == "depth_to_space" else channels
    mixed = graph.add(Conv, source, out_channels=width, kernel=(1, 1))
    if how == "depth_to_space":
        return graph.add(DepthToSpace, mixed, factor=2)
    return graph.add(Resize, mixed, factor=2, mode=how)

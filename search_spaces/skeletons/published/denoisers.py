"""How published denoisers are wired."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture
from search_spaces.blocks import append
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    Add,
    AveragePool,
    Concat,
    Conv,
    DepthToSpace,
    MaxPool,
    Resize,
    Slice,
    SpaceToDepth,
)
from search_spaces.skeletons.registry import skeleton

OIDN_CONVOLUTIONS = 16


@skeleton("residual_stack")
def residual_stack(architecture: Architecture) -> Graph:
    """A stack whose output is added to the image, as in DnCNN.

    DnCNN's stack gives the noise, which is subtracted; the sign is the last layer's here.
    """
    graph = GraphBuilder(architecture.in_channels)
    body = 0
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    noise = graph.add(Conv, body, out_channels=architecture.out_channels)
    return graph.finish(graph.add(Add, noise, 0))


@skeleton("ffdnet")
def ffdnet(architecture: Architecture) -> Graph:
    """A stack at half the size, beside it a plane with the strength of the noise.

    The last input channel is that plane, at full size; (C + 1, H, W) -> (C, H, W).
    """
    graph = GraphBuilder(architecture.in_channels)
    colours = architecture.in_channels - 1
    if colours != architecture.out_channels:
        raise InvalidArchitecture(
            f"an ffdnet of {architecture.in_channels} > {architecture.out_channels} channels: "
            "the input is the image and one plane of noise strength"
        )
    image = graph.add(SpaceToDepth, graph.add(Slice, 0, start=0, stop=colours), factor=2)
    plane = graph.add(Slice, 0, start=colours, stop=colours + 1)
    body = graph.add(Concat, image, graph.add(AveragePool, plane, factor=2))
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    head = graph.add(Conv, body, out_channels=4 * colours)
    return graph.finish(graph.add(DepthToSpace, head, factor=2))


@skeleton("oidn_unet")
def oidn_unet(architecture: Architecture) -> Graph:
    """Open Image Denoise's U-Net: 16 convolutions on five sizes, joined with pooled features.

    Blocks are the 3x3 convolutions but the last, in order: two at full size, four going down
    (the last of them before the fourth pooling), two at 1/16, and the decoder's eight.
    """
    specs = architecture.blocks
    if len(specs) != OIDN_CONVOLUTIONS - 1 or any(spec.repeat != 1 for spec in specs):
        raise InvalidArchitecture(f"an oidn_unet has {OIDN_CONVOLUTIONS - 1} blocks, once each")
    graph = GraphBuilder(architecture.in_channels)
    queue = iter(specs)
    conv = partial(_next_block, graph, queue)
    skips, body = [0], conv(0)
    for level in range(4):
        body = graph.add(MaxPool, conv(body), factor=2)
        skips += [body] * (level < 3)
    body = conv(conv(body))
    for skip in reversed(skips):
        enlarged = graph.add(Resize, body, factor=2, mode="nearest")
        body = conv(conv(graph.add(Concat, enlarged, skip)))
    return graph.finish(graph.add(Conv, body, out_channels=architecture.out_channels))


def _next_block(graph: GraphBuilder, queue: Iterator[BlockSpec], source: int) -> int:
    return append(graph, source, next(queue))

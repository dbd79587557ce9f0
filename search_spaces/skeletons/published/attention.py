"""How published upscalers with splits, distillation and local attention are wired."""

from __future__ import annotations

from functools import partial

from search_spaces.base import Architecture, BlockSpec
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    Activation,
    Add,
    Concat,
    Conv,
    DepthToSpace,
    MaxPool,
    Multiply,
    ResizeLike,
    Scale,
    Shift,
    Slice,
    SoftPool,
)
from search_spaces.skeletons.registry import skeleton

LEAK = 0.05
"""Negative slope in all networks of this file."""
POOL, POOL_STEP = 7, 3
"""Windows of the attention's pooling and their distance."""
LEVELS = 255.0
_LEAKY = {"activation": "leaky_relu", "slope": LEAK}


@skeleton("imdn_rtc")
def imdn_rtc(architecture: Architecture) -> Graph:
    """Blocks that distil a quarter of their features at each step (argument `kept`)."""
    graph = GraphBuilder(architecture.in_channels)
    (spec,) = architecture.blocks
    stem = body = graph.add(Conv, 0, out_channels=spec.channels)
    for _ in range(spec.repeat):
        body = _distilling(graph, body, spec)
    body = graph.add(Conv, body, out_channels=spec.channels, kernel=(1, 1))
    return _head(graph, architecture, graph.add(Add, body, stem))


def _distilling(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    width, kept = spec.channels, int(spec.arg("kept", spec.channels // 4))
    parts, rest = [], source
    for _ in range(3):
        step = graph.add(Conv, rest, out_channels=width, **_LEAKY)
        parts.append(graph.add(Slice, step, start=0, stop=kept))
        rest = graph.add(Slice, step, start=kept, stop=width)
    parts.append(graph.add(Conv, rest, out_channels=kept))
    fused = graph.add(Conv, graph.add(Concat, *parts), out_channels=width, kernel=(1, 1))
    return graph.add(Add, fused, source)


@skeleton("plainusr")
def plainusr(architecture: Architecture) -> Graph:
    """Blocks on the first channels only; the others, the image among them, pass by.

    Blocks give the number of channels each works on; `gate` is what stands at a block's end:
    `none`, `full` (at full size) or `pooled` (with `squeezed` features, below it).
    """
    graph = GraphBuilder(architecture.in_channels)
    wide = max(spec.channels for spec in architecture.blocks) + architecture.in_channels
    body = graph.add(Conv, 0, out_channels=wide)
    for spec in architecture.blocks:
        body = _beside(graph, body, spec, wide)
    return _head(graph, architecture, body)


def _beside(graph: GraphBuilder, source: int, spec: BlockSpec, wide: int) -> int:
    """One block on the first `spec.channels` of the features."""
    width, gate = spec.channels, str(spec.arg("gate", "none"))
    conv = partial(graph.add, Conv, out_channels=width)
    inner = graph.add(Slice, source, start=0, stop=width)
    inner = conv(conv(inner, **_LEAKY))
    if gate != "none":
        if gate == "full":
            heat = conv(inner, activation="sigmoid")
        else:
            heat = _pooled_heat(graph, inner, width, squeezed=int(spec.arg("squeezed", 4)))
        inner = _gated(graph, inner, heat)
    return graph.add(Concat, inner, graph.add(Slice, source, start=width, stop=wide))


def _pooled_heat(graph: GraphBuilder, source: int, width: int, *, squeezed: int) -> int:
    """A map of importance, made far below full size and enlarged."""
    thin = graph.add(Conv, source, out_channels=squeezed, kernel=(1, 1))
    small = graph.add(SoftPool, thin, factor=POOL_STEP, kernel=POOL)
    small = graph.add(Conv, small, out_channels=squeezed, stride=2, padding="loose")
    small = graph.add(Conv, small, out_channels=width, activation="sigmoid")
    return graph.add(ResizeLike, small, source)


def _gated(graph: GraphBuilder, source: int, heat: int) -> int:
    """Times the map of importance, times the sigmoid of the first channel."""
    first = graph.add(Slice, source, start=0, stop=1)
    gate = graph.add(Activation, first, activation="sigmoid")
    return graph.add(Multiply, graph.add(Multiply, source, heat), gate)


@skeleton("span")
def span(architecture: Architecture) -> Graph:
    """Blocks whose last layer weighs their output; the ends of the row are read together.

    Features are as large as values of 0 to 255 make them: of small ones the weights, sigmoid less
    a half, are nearly nothing, and after six blocks nothing is left to learn from.
    The head reads the stem, the first block, the last one after one convolution more, and what
    stands after the last block's first layer.
    """
    graph = GraphBuilder(architecture.in_channels)
    (spec,) = architecture.blocks
    conv = partial(graph.add, Conv, out_channels=spec.channels)
    stem = body = conv(graph.add(Scale, 0, value=LEVELS))
    blocks, inside = [], stem
    for _ in range(spec.repeat):
        inside = conv(body, activation="silu")
        last = conv(conv(inside, activation="silu"))
        heat = graph.add(Activation, last, activation="sigmoid")
        gate = graph.add(Shift, heat, value=-0.5)
        body = graph.add(Multiply, graph.add(Add, last, body), gate)
        blocks.append(body)
    read = graph.add(Concat, stem, conv(body), blocks[0], inside)
    return _head(graph, architecture, conv(read, kernel=(1, 1)))


@skeleton("rlfn")
def rlfn(architecture: Architecture) -> Graph:
    """Residual blocks of three convolutions, each with enhanced spatial attention at its end."""
    graph = GraphBuilder(architecture.in_channels)
    (spec,) = architecture.blocks
    stem = body = graph.add(Conv, 0, out_channels=spec.channels)
    for _ in range(spec.repeat):
        body = _residual_local(graph, body, spec)
    body = graph.add(Conv, body, out_channels=spec.channels)
    return _head(graph, architecture, graph.add(Add, body, stem))


def _residual_local(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    inner = source
    for _ in range(3):
        inner = graph.add(Conv, inner, out_channels=spec.channels, **_LEAKY)
    inner = graph.add(Add, inner, source)
    inner = graph.add(Conv, inner, out_channels=spec.channels, kernel=(1, 1))
    return _spatial_attention(graph, inner, spec.channels, int(spec.arg("squeezed", 16)))


def _spatial_attention(graph: GraphBuilder, source: int, width: int, squeezed: int) -> int:
    """ESA as RLFN has it: strided, pooled, one convolution, enlarged; added to a 1x1 branch."""
    thin = graph.add(Conv, source, out_channels=squeezed, kernel=(1, 1))
    beside = graph.add(Conv, thin, out_channels=squeezed, kernel=(1, 1))
    small = graph.add(Conv, thin, out_channels=squeezed, stride=2, padding="valid")
    small = graph.add(MaxPool, small, factor=POOL_STEP, kernel=POOL)
    small = graph.add(Conv, small, out_channels=squeezed)
    both = graph.add(Add, graph.add(ResizeLike, small, thin), beside)
    heat = graph.add(Conv, both, out_channels=width, kernel=(1, 1), activation="sigmoid")
    return graph.add(Multiply, source, heat)


def _head(graph: GraphBuilder, architecture: Architecture, body: int) -> Graph:
    features = architecture.out_channels * architecture.scale**2
    head = graph.add(Conv, body, out_channels=features)
    return graph.finish(graph.add(DepthToSpace, head, factor=architecture.scale))

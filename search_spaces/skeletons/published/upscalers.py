"""How published upscalers are wired where that is more than a stack of convolutions."""

from __future__ import annotations

from search_spaces.base import Architecture, BlockSpec, UnknownName
from search_spaces.blocks import append
from search_spaces.fixed_kernels import kernel_size
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    Activation,
    Add,
    Concat,
    Conv,
    DepthToSpace,
    GroupReduce,
    GroupSoftmax,
    Multiply,
    Slice,
)
from search_spaces.skeletons.registry import skeleton
from search_spaces.skeletons.upscalers import upscaler

LEAK = 0.1
"""Negative slope in Bicubic++."""


@skeleton("clipped_upscaler")
def clipped_upscaler(architecture: Architecture) -> Graph:
    """The upscaler, its output clipped to [0, 1] as the last operation of the network."""
    nodes = upscaler(architecture).nodes
    return Graph((*nodes, Activation((len(nodes) - 1,), "clip")))


@skeleton("pre_upsampled")
def pre_upsampled(architecture: Architecture) -> Graph:
    """Enlarge by a fixed upsampler first; every layer works at the output's size.

    Arguments: `base` is the fixed upsampler; `head_kernel`; `residual` adds the enlarged image
    to what the layers give.
    """
    graph = GraphBuilder(architecture.in_channels)
    scale, base = architecture.scale, str(architecture.arg("base", "bicubic"))
    side = kernel_size(base)
    phases = graph.add(
        Conv,
        0,
        out_channels=architecture.in_channels * scale * scale,
        kernel=(side, side),
        fixed=base,
        factor=scale,
    )
    enlarged = graph.add(DepthToSpace, phases, factor=scale)
    body = enlarged
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    k = int(architecture.arg("head_kernel", 3))
    head = graph.add(Conv, body, out_channels=architecture.out_channels, kernel=(k, k))
    if architecture.arg("residual", False):
        head = graph.add(Add, head, enlarged)
    return graph.finish(head)


@skeleton("quicksrnet_large")
def quicksrnet_large(architecture: Architecture) -> Graph:
    """A stack; a learned 1x1 convolution of the input is added before the last clip."""
    graph = GraphBuilder(architecture.in_channels)
    body = 0
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    features = architecture.out_channels * architecture.scale**2
    head = graph.add(Conv, body, out_channels=features)
    skip = graph.add(Conv, 0, out_channels=features, kernel=(1, 1))
    both = graph.add(Add, head, skip)
    clipped = graph.add(Activation, both, activation="clip")
    return graph.finish(graph.add(DepthToSpace, clipped, factor=architecture.scale))


@skeleton("bicubic_plus_plus")
def bicubic_plus_plus(architecture: Architecture) -> Graph:
    """Halved size, leaky ReLU, no biases, the stem added to the body's last layer."""
    graph = GraphBuilder(architecture.in_channels)
    (spec,) = architecture.blocks
    leaky = {"bias": False, "activation": "leaky_relu", "slope": LEAK}
    stem = graph.add(Conv, 0, out_channels=spec.channels, stride=2, **leaky)
    body = stem
    for _ in range(spec.repeat):
        body = graph.add(Conv, body, out_channels=spec.channels, **leaky)
    both = graph.add(Add, body, stem)
    factor = 2 * architecture.scale
    features = architecture.out_channels * factor * factor
    head = graph.add(Conv, both, out_channels=features, bias=False)
    return graph.finish(graph.add(DepthToSpace, head, factor=factor))


@skeleton("edge_sr")
def edge_sr(architecture: Architecture) -> Graph:
    """One layer of filters; a maximum or an attention over `candidates` says which one counts.

    Blocks are layers before it, none but the filters themselves in the one-layer forms: the last
    block is the filters, whose channels are the candidates. Argument `choice`: `max` takes the
    largest candidate; `template` weighs values by softmax(key), `self` by softmax(key * key),
    `attention` by softmax(query * key).
    """
    choice = str(architecture.arg("choice", "max"))
    parts = {"max": 1, "template": 2, "self": 2, "attention": 3}
    if choice not in parts:
        raise UnknownName("choice of an edge_sr", choice, list(parts))
    graph = GraphBuilder(architecture.in_channels)
    body = 0
    for spec in architecture.blocks[:-1]:
        body = append(graph, body, spec)
    filters = architecture.blocks[-1]
    k, count = int(filters.arg("kernel", 3)), filters.channels
    size = count * architecture.out_channels * architecture.scale**2
    every = graph.add(
        Conv, body, out_channels=parts[choice] * size, kernel=(k, k), bias=False
    )
    if choice == "max":
        chosen = graph.add(GroupReduce, every, groups=count, mode="max")
    else:
        chosen = _attended(graph, every, size, choice=choice, count=count)
    return graph.finish(graph.add(DepthToSpace, chosen, factor=architecture.scale))


def _attended(graph: GraphBuilder, every: int, size: int, *, choice: str, count: int) -> int:
    """The values' mean, weighted by the softmax over the candidates."""
    value = graph.add(Slice, every, start=0, stop=size)
    score = key = graph.add(Slice, every, start=size, stop=2 * size)
    if choice == "attention":
        last = graph.add(Slice, every, start=2 * size, stop=3 * size)
        score = graph.add(Multiply, key, last)
    elif choice == "self":
        score = graph.add(Multiply, key, key)
    weight = graph.add(GroupSoftmax, score, groups=count)
    weighted = graph.add(Multiply, value, weight)
    return graph.add(GroupReduce, weighted, groups=count, mode="sum")


@skeleton("xlsr")
def xlsr(architecture: Architecture) -> Graph:
    """Grouped blocks beside a thin convolution of the input, joined; clipped before the shuffle.

    The stem's four parallel convolutions are one here, which is the same network. Blocks: the
    stem, the grouped blocks (argument `groups`), the thin convolution beside them.
    """
    graph = GraphBuilder(architecture.in_channels)
    stem, grouped, beside = architecture.blocks
    width = stem.channels
    body = graph.add(Conv, 0, out_channels=width, activation="relu")
    body = graph.add(Conv, body, out_channels=width, kernel=(1, 1))
    for _ in range(grouped.repeat):
        body = _grouped(graph, body, grouped)
    thin = graph.add(Conv, 0, out_channels=beside.channels)
    joined = graph.add(Concat, body, thin)
    mixed = graph.add(Conv, joined, out_channels=width, kernel=(1, 1), activation="relu")
    features = architecture.out_channels * architecture.scale**2
    head = graph.add(Conv, mixed, out_channels=features, activation="clip")
    return graph.finish(graph.add(DepthToSpace, head, factor=architecture.scale))


def _grouped(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    inner = graph.add(
        Conv,
        source,
        out_channels=spec.channels,
        groups=int(spec.arg("groups", 4)),
        activation="relu",
    )
    return graph.add(Conv, inner, out_channels=spec.channels, kernel=(1, 1))

"""How published image classifiers are wired: (C, H, W) -> (classes,)."""

from __future__ import annotations

from search_spaces.base import Architecture, BlockSpec
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Add, Conv, Flatten, GlobalAveragePool
from search_spaces.skeletons.registry import skeleton


@skeleton("mobilenet_v1")
def mobilenet_v1(architecture: Architecture) -> Graph:
    """A strided stem and depthwise-separable blocks, ReLU after each of their two convolutions.

    Blocks: the stem, then the others; argument `stride` is of the first of equal ones.
    """
    graph = GraphBuilder(architecture.in_channels)
    stem, *others = architecture.blocks
    body = _stem(graph, stem, activation="relu")
    for spec in others:
        for stride in _strides(spec):
            width = graph.channels(body)
            body = _depthwise(graph, body, width, stride, activation="relu")
            body = graph.add(
                Conv, body, out_channels=spec.channels, kernel=(1, 1), activation="relu"
            )
    return _classes(graph, architecture, body)


@skeleton("mobilenet_v2")
def mobilenet_v2(architecture: Architecture) -> Graph:
    """Inverted residual blocks between a strided stem and a last 1x1 convolution, ReLU6.

    Blocks: the stem, the inverted residuals (`expand`, and `stride` of the first of equal ones),
    the last convolution.
    """
    graph = GraphBuilder(architecture.in_channels)
    stem, *others, last = architecture.blocks
    body = _stem(graph, stem, activation="relu6")
    for spec in others:
        for stride in _strides(spec):
            body = _inverted(graph, body, spec, stride)
    body = graph.add(Conv, body, out_channels=last.channels, kernel=(1, 1), activation="relu6")
    return _classes(graph, architecture, body)


def _stem(graph: GraphBuilder, spec: BlockSpec, *, activation: str) -> int:
    return graph.add(
        Conv, 0, out_channels=spec.channels, stride=2, padding="loose", activation=activation
    )


def _depthwise(
    graph: GraphBuilder, source: int, width: int, stride: int, *, activation: str
) -> int:
    return graph.add(
        Conv, source, out_channels=width, groups=width, stride=stride, padding="loose",
        activation=activation,
    )


def _strides(spec: BlockSpec) -> list[int]:
    return [int(spec.arg("stride", 1)), *[1] * (spec.repeat - 1)]


def _inverted(graph: GraphBuilder, source: int, spec: BlockSpec, stride: int) -> int:
    """Widen, depthwise, narrow without an activation; added to the input where shapes allow."""
    before = graph.channels(source)
    wide = before * int(spec.arg("expand", 6))
    body = source
    if wide != before:
        body = graph.add(Conv, body, out_channels=wide, kernel=(1, 1), activation="relu6")
    body = _depthwise(graph, body, wide, stride, activation="relu6")
    body = graph.add(Conv, body, out_channels=spec.channels, kernel=(1, 1))
    return graph.add(Add, body, source) if stride == 1 and spec.channels == before else body


def _classes(graph: GraphBuilder, architecture: Architecture, body: int) -> Graph:
    pooled = graph.add(GlobalAveragePool, body)
    scores = graph.add(Conv, pooled, out_channels=architecture.out_channels, kernel=(1, 1))
    return graph.finish(graph.add(Flatten, scores))

"""What a Graph costs, counted and not timed: multiply-adds, learned numbers, traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from search_spaces.graph import Graph, Shape, channels_of, shapes_of


@dataclass(frozen=True)
class Work:
    """What one node costs, counted, not timed.

    Attributes:
        macs: multiply-adds.
        params: learned numbers.
        elements: tensor elements read and written (weights included).
    """

    macs: int
    params: int
    elements: int


def work_of(graph: Graph, height: int, width: int) -> list[Work]:
    """Work of every node for an input of this size. MACs count convolutions only.

    A transposed convolution counts kernel area per *input* pixel (each input pixel is
    spread once), which is half to a quarter of what some published tables print. Taps that are
    zero where it runs as a convolution (`transposed.py`) are not work that was asked for.
    """
    return work_at(graph, shapes_of(graph, height, width))


def work_at(graph: Graph, shapes: Sequence[Shape]) -> list[Work]:
    """The same where the shapes are known, as `shapes_of` gives them."""
    result: list[Work] = []
    for node, shape in zip(graph.nodes, shapes, strict=True):
        sources = [shapes[i] for i in node.inputs]
        in_channels = sources[0][0] if sources else 0
        traffic = sum(prod(s) for s in sources) + prod(shape) + node.weights(in_channels)
        result.append(Work(node.macs(sources, shape), node.params(in_channels), traffic))
    return result


def gmacs(graph: Graph, height: int, width: int) -> float:
    """Multiply-adds of the whole network in billions."""
    return sum(w.macs for w in work_of(graph, height, width)) / 1e9


def params_of(graph: Graph) -> int:
    """Learned numbers of the whole network."""
    channels = channels_of(graph.nodes)
    return sum(
        node.params(channels[node.inputs[0]] if node.inputs else 0) for node in graph.nodes
    )

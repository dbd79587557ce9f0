"""What a file counts beyond its Graph: the zero taps of transposed heads."""

from __future__ import annotations

from math import prod

from search_spaces.graph import Graph, shapes_of
from search_spaces.primitives import ConvTranspose
from search_spaces.transposed import runs_as_convolution, taps


def idle_macs(graph: Graph, height: int, width: int) -> int:
    """Multiply-adds with the zeros of these forms, which a file has beyond its Graph's own."""
    shapes = shapes_of(graph, height, width)
    found = 0
    for node in graph.nodes:
        if isinstance(node, ConvTranspose) and runs_as_convolution(node):
            channels, *pixels = shapes[node.inputs[0]]
            found += prod(pixels) * int((taps(node, channels) < 0).sum())
    return found

"""How far a network sees: what a tile has to bring along so that it is as the whole would be."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from search_spaces.base import InvalidArchitecture
from search_spaces.graph import Graph, shapes_of

_PRIME = 997
"""So many times a side divides by what that side divides by, and by no small number more."""
_MOST = 64


def multiple_of(graph: Graph) -> int:
    """The least number by whose multiples both sides of the deployment have to divide.

    Raises:
        InvalidArchitecture: there is none up to 64.
    """
    for multiple in range(1, _MOST):
        try:
            shapes_of(graph, _PRIME * multiple, _PRIME * multiple)
        except InvalidArchitecture:
            continue
        return multiple
    shapes_of(graph, _PRIME * _MOST, _PRIME * _MOST)
    return _MOST


def margin_of(graph: Graph) -> int | None:
    """Pixels of the deployment that an output reads on each side beyond its own place.

    It is a multiple of `multiple_of`, so that a tile that begins so much earlier begins where the
    strides of the whole picture begin.

    Returns:
        None where an output depends on the whole picture, or on its size.

    Raises:
        InvalidArchitecture: the network fits no size.
    """
    multiple = multiple_of(graph)
    side = _PRIME * multiple
    shapes = shapes_of(graph, side, side)
    margins: list[Fraction] = []
    for node, shape in zip(graph.nodes, shapes, strict=True):
        if node.reach is None:
            return None
        margin = Fraction(0)
        for source in node.inputs:
            # Sides of pixels in pixels of the deployment; () is behind a pooling of everything.
            before = Fraction(side, max(shapes[source][1:], default=1))
            after = Fraction(side, max(shape[1:], default=1))
            # A pixel that is enlarged is read by all that it becomes.
            inside = max(Fraction(0), before - max(after, Fraction(1)))
            margin = max(margin, margins[source] + node.reach * before + inside)
        margins.append(margin)
    furthest = max(margins[index] for index in graph.outputs.values())
    return ceil(furthest / multiple) * multiple

"""What is known of a tensor's values without running the network. Pure data, no torch."""

from __future__ import annotations

from math import inf

from search_spaces.graph import Graph
from search_spaces.primitives import DepthToSpace, Input, MaxPool, SpaceToDepth

CEILINGS = {"relu": inf, "relu6": 6.0, "clip": 1.0}
"""Activations from zero to this value: a quantizer of 0..255 that ends there or below clips as
they do."""
_WITHOUT_NEGATIVES = (*CEILINGS, "sigmoid", "hardsigmoid")
_KEEP_SIGNS = (DepthToSpace, SpaceToDepth, MaxPool)


def not_negative(graph: Graph) -> set[int]:
    """Nodes whose values cannot be negative, as far as activations and moves tell.

    Means and sums are left out: means of levels lie on halves, which engines round to either side.
    """
    found: set[int] = set()
    for index, node in enumerate(graph.nodes):
        activation = getattr(node, "activation", "none")
        kept = isinstance(node, _KEEP_SIGNS) and found.issuperset(node.inputs)
        picture = isinstance(node, Input) and node.kind == "image"
        if picture or activation in _WITHOUT_NEGATIVES or kept:
            found.add(index)
    return found

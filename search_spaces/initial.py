"""How a network begins: near what is known already.

A layer with as many outputs as inputs begins as the identity plus a little noise. A layer that is
added to something begins small. What carries a picture where no fixed base does is in
`picture_path.py`.
"""

from __future__ import annotations

from search_spaces.graph import Graph
from search_spaces.primitives import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Input,
    Scale,
    Shift,
    Slice,
    SpaceToDepth,
    Warp,
)

HEAD_GAIN = 0.01
"""Of a layer over a fixed base. With 0.1 the first steps go into silencing it, which kills the
features: after 200 steps +0.05 dB instead of +0.71 (16 features, 4 body layers, ReLU)."""
BRANCH_GAIN = 0.25
IDENTITY_NOISE = 0.25
"""Beside an identity start. The network above then gains 1.01 dB in 200 steps, not 0.71."""


def added_layers(graph: Graph) -> dict[int, float]:
    """Layers whose output is a residual, with their initial gain."""
    gains: dict[int, float] = {}
    for node in graph.nodes:
        if not isinstance(node, Add):
            continue
        over_base = is_base(graph, node.inputs[1])
        for source in _made_by(graph, node.inputs[0], joined=over_base):
            if over_base or isinstance(graph.nodes[source], Conv):
                gains[source] = HEAD_GAIN if over_base else BRANCH_GAIN
    return gains


def last_layers(graph: Graph) -> set[int]:
    """Layers whose output reaches the network's without passing another one."""
    found: set[int] = set()
    ahead = list(graph.outputs.values())
    seen = set(ahead)
    while ahead:
        index = ahead.pop()
        node = graph.nodes[index]
        if isinstance(node, Conv | ConvTranspose):
            found.add(index)
            continue
        new = set(node.inputs) - seen
        seen |= new
        ahead += new
    return found


def is_base(graph: Graph, index: int) -> bool:
    """Whether a tensor is what came in: as it was, moved, or enlarged by a fixed kernel."""
    node = graph.nodes[index]
    if isinstance(node, Shift | Scale | Slice | SpaceToDepth | DepthToSpace | Warp):
        return is_base(graph, node.inputs[0])
    return isinstance(node, Input) or (isinstance(node, Conv) and node.fixed != "")


def _made_by(graph: Graph, index: int, *, joined: bool) -> list[int]:
    """The nodes whose values a tensor holds, looking through what only moves them.

    Args:
        joined: whether to look through Concat too.
    """
    node = graph.nodes[index]
    if isinstance(node, DepthToSpace) or (joined and isinstance(node, Concat)):
        return [m for i in node.inputs for m in _made_by(graph, i, joined=joined)]
    return [index]

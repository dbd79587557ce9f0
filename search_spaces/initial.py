"""How a network begins: near what is known already.

A layer with as many outputs as inputs begins as the identity plus a little noise. A layer that is
added to something begins small. What carries a picture where no fixed base does is in
`picture_path.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search_spaces.fixed_kernels import packed_phases
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


def base_within(graph: Graph, index: int) -> NDArray[np.float32] | None:
    """What a head that reads features and picture begins as on the picture, its last inputs.

    Returns:
        (C_out, C of the picture as it is read, kh, kw); None for any other layer.
    """
    node = graph.nodes[index]
    if not (isinstance(node, Conv) and node.start):
        return None
    picture = graph.nodes[graph.nodes[node.inputs[0]].inputs[-1]]
    packed = picture.factor if isinstance(picture, SpaceToDepth) else 1
    channels = node.out_channels // (node.factor * packed) ** 2
    filters = packed_phases(node.start, node.factor, channels, packed=packed)
    margins = [((side - filters.shape[2]) // 2,) * 2 for side in node.kernel]
    return np.pad(filters, [(0, 0), (0, 0), *margins])


def uncentred_layers(graph: Graph) -> set[int]:
    """Layers that read the picture as it came in a network whose head reads it, too.

    Their biases begin as if the picture were centred. Centring it in the network would keep
    OpenVINO from running them in int8: it reads one tensor of bytes with one zero point.
    """
    if not any(isinstance(node, Conv) and node.start for node in graph.nodes):
        return set()
    return {
        index
        for index, node in enumerate(graph.nodes)
        if isinstance(node, Conv) and node.bias and not node.start
        and _is_picture(graph, node.inputs[0])
    }


def _is_picture(graph: Graph, index: int) -> bool:
    node = graph.nodes[index]
    if isinstance(node, SpaceToDepth | Slice):
        return _is_picture(graph, node.inputs[0])
    return isinstance(node, Input) and node.kind == "image"


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

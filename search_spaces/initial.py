"""How a network begins: near what is known already.

A layer with as many outputs as inputs begins as the identity plus a little noise. A layer that is
added to something begins small. And where no fixed base carries the picture to the output, the
first channels of a plain stack do: they begin as the identity, and the last layer as the
upsampler that its kernel has room for, so that such a network begins as bicubic enlargement too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.fixed_kernels import phases
from search_spaces.graph import Graph, channels_of
from search_spaces.layers import WeightedLayer
from search_spaces.primitives import (
    Activation,
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
)
from search_spaces.transposed import taps

HEAD_GAIN = 0.01
"""Of a layer over a fixed base. With 0.1 the first steps go into silencing it, which kills the
features: after 200 steps +0.05 dB instead of +0.71 (16 features, 4 body layers, ReLU)."""
BRANCH_GAIN = 0.25
IDENTITY_NOISE = 0.25
"""Beside an identity start. The network above then gains 1.01 dB in 200 steps, not 0.71."""
PASSED_GAIN = 0.1
"""Of the last layer's weights beside a picture that is passed through."""
_PASSING = ("none", "relu", "prelu")
_NEARLY_LINEAR = 0.25
"""Tanh of a picture in [0, 1] times this differs from it by 2 % at most."""
_MIDDLE = 0.5
_COPY_EVERY = 6
"""Outputs of a layer for one copy of each of the picture's channels. FSRCNN on luma (9 copies in
56 channels, 2 in 12) after 700 steps: fp32 35.69 instead of 35.82 dB, int8 35.67 instead of 35.60;
the longer the training, the more int8 takes off a picture that is carried once."""
_QUIETEST = 0.75


def added_layers(graph: Graph) -> dict[int, float]:
    """Layers whose output is a residual, with their initial gain."""
    gains: dict[int, float] = {}
    for node in graph.nodes:
        if not isinstance(node, Add):
            continue
        over_base = _is_base(graph, node.inputs[1])
        for source in _made_by(graph, node.inputs[0], joined=over_base):
            if over_base or isinstance(graph.nodes[source], Conv):
                gains[source] = HEAD_GAIN if over_base else BRANCH_GAIN
    return gains


def last_layers(graph: Graph) -> set[int]:
    """Layers whose output reaches the network's without passing another one."""
    found: set[int] = set()
    seen, ahead = {graph.output}, [graph.output]
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


@dataclass(frozen=True)
class PicturePath:
    """A plain stack from the picture to the output.

    A wide layer carries the picture several times over, each copy a little quieter than the one
    before: what int8 rounds off one of them differs from what it rounds off the next, and the
    layers that read them take the mean.

    Attributes:
        layers: its convolutions, first to last.
        channels: of the picture.
        factor: output size over the picture's size.
        amplitude: of the picture on its way.
        centred: whether it travels about zero, where zero padding is grey and int8 has levels on
            both sides: the first layer's biases take half of white off, the
            last one's give it back, and a PReLU lets it pass both ways.
    """

    layers: tuple[int, ...]
    channels: int
    factor: int
    amplitude: float
    centred: bool

    def start(self, network_layers: Mapping[int, WeightedLayer]) -> None:
        """Let the first channels of these layers carry the picture, and the last enlarge it."""
        *body, head = (network_layers[index] for index in self.layers)
        identity = torch.eye(self.channels)
        before = torch.ones(1)
        with torch.no_grad():
            for layer in body:
                gains = self._gains(layer.node.out_channels)
                rows, columns = layer.weight.shape[2:]
                passed = torch.kron(gains[:, None] * _mean_of(before), identity)
                layer.weight[: len(passed)] = 0.0
                layer.weight[: len(passed), : passed.shape[1], rows // 2, columns // 2] = passed
                if self.centred and layer.slope is not None:
                    layer.slope[: len(passed)] = 1.0
                before = gains
            enlarger = torch.from_numpy(_enlarger(head.node, self.channels, self.factor))
            head.weight.mul_(PASSED_GAIN)
            axis = 0 if isinstance(head.node, ConvTranspose) else 1
            copies = torch.cat([enlarger * share for share in _mean_of(before)], axis)
            head.weight.narrow(axis, 0, copies.shape[axis]).copy_(copies)
            first = body[0].bias if body else None
            if self.centred and first is not None and head.bias is not None:
                gains = self._gains(len(first)).repeat_interleave(self.channels)
                first[: len(gains)] = -_MIDDLE * gains
                head.bias += _MIDDLE

    def _gains(self, width: int) -> Tensor:
        """Of the copies in a layer with so many outputs."""
        count = max(1, width // (self.channels * _COPY_EVERY))
        return self.amplitude * torch.linspace(1.0, _QUIETEST, count)


def _mean_of(gains: Tensor) -> Tensor:
    """Weights (copies,) that make the picture of its copies."""
    return 1.0 / (gains * len(gains))


def picture_path(graph: Graph) -> PicturePath | None:
    """The way of the picture through a network that is one plain stack; None for any other."""
    node = graph.nodes[graph.output]
    factor = 1
    index = graph.output
    if isinstance(node, DepthToSpace):
        factor, index = node.factor, node.inputs[0]
    layers: list[tuple[int, Conv | ConvTranspose]] = []
    curved, centred = False, True
    while not _is_base(graph, index):
        node = graph.nodes[index]
        activation = getattr(node, "activation", "none")
        if activation == "tanh":
            curved = True
        elif activation not in _PASSING:
            return None
        centred &= activation in ("none", "prelu") and not isinstance(node, Activation)
        if isinstance(node, Conv | ConvTranspose):
            layers.insert(0, (index, node))
        elif not isinstance(node, Activation):
            return None
        index = node.inputs[0]
    channels = channels_of(graph.nodes)[index]
    indices, nodes = [index for index, _ in layers], [node for _, node in layers]
    if not nodes or not _is_whole(graph, index) or not _carries(nodes, channels, factor):
        return None
    head = nodes[-1]
    factor *= head.stride if isinstance(head, ConvTranspose) else 1
    amplitude = _NEARLY_LINEAR if curved else 1.0
    return PicturePath(tuple(indices), channels, factor, amplitude, centred)


def _carries(nodes: Sequence[Conv | ConvTranspose], channels: int, factor: int) -> bool:
    """Whether each layer has room for the picture and keeps its size, up to the last."""
    *body, head = nodes
    if not all(_keeps(node) and node.out_channels >= channels for node in body):
        return False
    if isinstance(head, ConvTranspose):
        return factor == 1 and head.out_channels == channels
    return _keeps(head) and head.out_channels == channels * factor**2


def _keeps(node: Conv | ConvTranspose) -> bool:
    """Whether it is an ordinary convolution that leaves the size as it is."""
    if isinstance(node, ConvTranspose):
        return False
    return node.stride == node.groups == 1 and not node.fixed


def _is_whole(graph: Graph, index: int) -> bool:
    """Whether a base is the picture from 0 to 1 with all its channels, at one size or another."""
    node = graph.nodes[index]
    if isinstance(node, Input):
        return True
    enlarged = isinstance(node, DepthToSpace) and isinstance(graph.nodes[node.inputs[0]], Conv)
    return enlarged and _is_whole(graph, graph.nodes[node.inputs[0]].inputs[0])


def _enlarger(node: Conv | ConvTranspose, channels: int, factor: int) -> NDArray[np.float32]:
    """The smoothest upsampler that this layer's kernel holds, in the layout of its weight."""
    for name in ("bicubic", "bilinear"):
        if factor > 1:
            made = _laid_out(node, name, channels, factor)
            if np.allclose(made.sum(), channels * factor**2, atol=1e-3):
                return made
    return _laid_out(node, "nearest", channels, factor)


def _laid_out(
    node: Conv | ConvTranspose, name: str, channels: int, factor: int
) -> NDArray[np.float32]:
    """One upsampler's filters in the middle of the kernel; those outside it are left out."""
    if isinstance(node, Conv):
        return _cropped(phases(name, factor, channels), node.kernel)
    places = taps(node, channels)
    made = np.zeros(channels * channels * node.kernel[0] * node.kernel[1] + 1, np.float32)
    made[places] = _cropped(phases(name, factor, channels), places.shape[2:])
    return made[:-1].reshape(channels, channels, *node.kernel)


def _cropped(filters: NDArray[np.float32], size: Sequence[int]) -> NDArray[np.float32]:
    """Filters (out, in, k, k) about the same middle at another odd size."""
    side = filters.shape[2]
    spread = np.pad(filters, [(0, 0), (0, 0), *((max(0, s - side) // 2,) * 2 for s in size)])
    top, left = ((spread.shape[2 + axis] - size[axis]) // 2 for axis in range(2))
    return spread[..., top : top + size[0], left : left + size[1]]


def _is_base(graph: Graph, index: int) -> bool:
    """Whether a tensor is the image, or the image enlarged by a fixed kernel."""
    node = graph.nodes[index]
    if isinstance(node, Shift | Scale | Slice | SpaceToDepth | DepthToSpace):
        return _is_base(graph, node.inputs[0])
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

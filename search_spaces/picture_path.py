"""The way of a picture through a plain stack that has no base to carry it.

The first channels begin as the picture and the last layer as the upsampler that its kernel has
room for, so that such a network begins as bicubic enlargement and need not learn what that is.
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
from search_spaces.initial import is_base
from search_spaces.layers import WeightedLayer
from search_spaces.primitives import Activation, Conv, ConvTranspose, DepthToSpace, Input
from search_spaces.transposed import taps

PASSED_GAIN = 0.1
"""Of the last layer's weights beside a picture that is passed through."""
_PASSING = ("none", "relu", "prelu")
_MIDDLE = 0.5
_COPY_EVERY = 6
"""Outputs of a layer for one copy of each of the picture's channels. FSRCNN on luma (9 copies in
56 channels, 2 in 12) after 700 steps: fp32 35.69 instead of 35.82 dB, int8 35.67 instead of 35.60;
the longer the training, the more int8 takes off a picture that is carried once."""
_QUIETEST = 0.75
_LOUDEST, _GAIN_PER_COPY, _REACH, _RIDGE = 2.0, 0.3, 0.8, 1e-5
"""Through tanh: the gain, which few copies cannot have without the sum becoming a staircase; the
darkest and the brightest grey, from the middle; what keeps the weights small."""
_CONTRAST, _DEEPER_CONTRAST = 4.0, 2.0
"""Gains of the filters beside the picture before a tanh, in the first layer and after. Contrasts
between neighbours are small: drawn as usual these filters are nearly linear, and learn slowly not
to be (ESPCN on luma after 600 steps: 36.22 dB instead of 35.75)."""


@dataclass(frozen=True)
class PicturePath:
    """A plain stack from the picture to the output.

    A wide layer carries the picture several times over. Each copy differs from the one before:
    so does what int8 rounds off it, and the layers that read them take the mean. Copies are a
    little quieter each, where tanh does not stand in the way. Where it does they are loud and
    about different greys, and a weighted sum of them is the picture again: as the values of a
    population of neurons are.

    Attributes:
        layers: its convolutions, first to last.
        channels: of the picture.
        factor: output size over the picture's size.
        curved: whether it passes a tanh after each layer.
        centred: whether it travels about zero, where zero padding is grey and int8 has levels on
            both sides: the first layer's biases take half of white off, the
            last one's give it back, and a PReLU lets it pass both ways.
    """

    layers: tuple[int, ...]
    channels: int
    factor: int
    curved: bool
    centred: bool

    def start(self, network_layers: Mapping[int, WeightedLayer], *, int8: bool) -> None:
        """Let the first channels of these layers carry the picture, and the last enlarge it.

        Args:
            network_layers: by node.
            int8: whether what they carry will be rounded. Else copies that are all alike only
                take the place of other features (FSRCNN: 0.1 dB after 14,000 steps).
        """
        *body, head = (network_layers[index] for index in self.layers)
        identity = torch.eye(self.channels)
        before, middle = _Copies.of_picture(), _MIDDLE if self.centred else 0.0
        with torch.no_grad():
            for layer in body:
                copies = self._copies(layer.node.out_channels, int8)
                rows, columns = layer.weight.shape[2:]
                passed = torch.kron(copies.gains[:, None] * before.weights, identity)
                if self.curved:
                    _see_contrasts(layer.weight[len(passed) :], first=layer is body[0])
                layer.weight[: len(passed)] = 0.0
                layer.weight[: len(passed), : passed.shape[1], rows // 2, columns // 2] = passed
                if self.centred and layer.bias is not None:
                    biases = copies.gains * (before.rest - middle - copies.greys)
                    layer.bias[: len(passed)] = biases.repeat_interleave(self.channels)
                if self.centred and layer.slope is not None:
                    layer.slope[: len(passed)] = 1.0
                before, middle = copies, 0.0
            enlarger = torch.from_numpy(_enlarger(head.node, self.channels, self.factor))
            head.weight.mul_(PASSED_GAIN)
            axis = 0 if isinstance(head.node, ConvTranspose) else 1
            read = torch.cat([enlarger * weight for weight in before.weights], axis)
            head.weight.narrow(axis, 0, read.shape[axis]).copy_(read)
            if self.centred and head.bias is not None:
                head.bias += _MIDDLE - middle + before.rest

    def _copies(self, width: int, int8: bool) -> _Copies:
        """The copies in a layer with so many outputs."""
        count = max(1, width // (self.channels * _COPY_EVERY))
        if self.curved:
            return _loud(count)
        return _quieter(count if int8 else 1)


@dataclass(frozen=True)
class _Copies:
    """A picture x about zero as channels f(gains * (x - greys)); weights, each (copies,).

    Attributes:
        weights: with which the channels add up to the picture.
        rest: what that sum lacks.
    """

    gains: Tensor
    greys: Tensor
    weights: Tensor
    rest: float = 0.0

    @classmethod
    def of_picture(cls) -> _Copies:
        """The picture itself."""
        return cls(torch.ones(1), torch.zeros(1), torch.ones(1))


def _see_contrasts(filters: Tensor, *, first: bool) -> None:
    """Let them bend the tanh behind them; the first ones see no brightness."""
    if first:
        filters -= filters.mean((2, 3), keepdim=True)
    filters *= _CONTRAST if first else _DEEPER_CONTRAST


def _quieter(count: int) -> _Copies:
    gains = torch.linspace(1.0, _QUIETEST, count)
    return _Copies(gains, torch.zeros(count), 1.0 / (gains * count))


def _loud(count: int) -> _Copies:
    """Through tanh: the weights are those of least squared error over all greys."""
    gain = min(_LOUDEST, _GAIN_PER_COPY * count)
    greys = np.linspace(-_REACH, _REACH, count) if count > 1 else np.zeros(1)
    pictures = np.linspace(-_MIDDLE, _MIDDLE, 201)[:, None]
    seen = np.concatenate([np.tanh(gain * (pictures - greys)), np.ones_like(pictures)], axis=1)
    kept = np.eye(count + 1) * _RIDGE * len(pictures)
    kept[-1, -1] = 0.0
    *weights, rest = np.linalg.solve(seen.T @ seen + kept, seen.T @ pictures[:, 0])
    tensors = (np.full(count, gain), greys, np.array(weights))
    gains, offsets, shares = (torch.from_numpy(t.astype(np.float32)) for t in tensors)
    return _Copies(gains, offsets, shares, float(rest))


def picture_path(graph: Graph) -> PicturePath | None:
    """The way of the picture through a network that is one plain stack; None for any other."""
    if len(graph.inputs) > 1 or graph.results:
        return None
    node = graph.nodes[graph.output]
    factor = 1
    index = graph.output
    if isinstance(node, DepthToSpace):
        factor, index = node.factor, node.inputs[0]
    layers: list[tuple[int, Conv | ConvTranspose]] = []
    passed, apart = set(), False
    while not is_base(graph, index):
        node = graph.nodes[index]
        if isinstance(node, Conv | ConvTranspose):
            layers.insert(0, (index, node))
        elif not isinstance(node, Activation):
            return None
        passed.add(node.activation)
        apart |= isinstance(node, Activation)
        index = node.inputs[0]
    channels = channels_of(graph.nodes)[index]
    indices, nodes = [index for index, _ in layers], [node for _, node in layers]
    if not nodes or not _is_whole(graph, index) or not _carries(nodes, channels, factor):
        return None
    *body, head = nodes
    shifted = all(node.bias for node in nodes) and not apart
    straight = {node.activation for node in body} != {"tanh"} or head.activation != "none"
    curved = shifted and not straight
    if not curved and not passed.issubset(_PASSING):
        return None
    centred = curved or (shifted and "relu" not in passed)
    factor *= head.stride if isinstance(head, ConvTranspose) else 1
    return PicturePath(tuple(indices), channels, factor, curved, centred)


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

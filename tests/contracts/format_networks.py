"""Networks for the formats of players: small, and with all that shaders can do in them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from nas.formats.base import Source
from nas.formats.source import source_of
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.modules import Network, load_weights
from search_spaces.onnx_writer import write
from search_spaces.primitives import (
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    MaxPool,
    Multiply,
    Resize,
    Scale,
    Shift,
    Slice,
    SpaceToDepth,
)
from search_spaces.reach import multiple_of
from search_spaces.weights import random_weights

Pictures = NDArray[np.float32]
_TAME = np.float32(0.5)


def _colours() -> Graph:
    """RGB, x2: layers at half the size, depthwise and grouped, gates, joins, shuffles, a base."""
    net = GraphBuilder(3)
    centred = net.add(Shift, 0, value=-128 / 255)
    half = net.add(SpaceToDepth, centred, factor=2)
    stem = net.add(Conv, half, out_channels=6, kernel=(3, 1), activation="prelu")
    down = net.add(Conv, 0, out_channels=6, stride=2, activation="hardswish")
    both = net.add(Activation, net.add(Add, stem, down), activation="leaky_relu", slope=0.2)
    grouped = net.add(Conv, both, out_channels=8, groups=2, dilation=2, activation="silu")
    shuffled = net.add(ChannelShuffle, grouped, groups=4)
    gate = net.add(Conv, shuffled, out_channels=8, kernel=(1, 1), activation="sigmoid")
    gated = net.add(Scale, net.add(Multiply, shuffled, gate), value=1.5)
    wide = net.add(Conv, gated, out_channels=14, kernel=(1, 1), activation="relu6")
    deep = net.add(Conv, wide, out_channels=14, groups=14, activation="relu")
    narrow = net.add(Conv, deep, out_channels=5, kernel=(1, 1))
    summed = net.add(Add, narrow, net.add(Slice, both, start=1, stop=6))
    part = net.add(Slice, summed, start=2, stop=5)
    one = net.add(Conv, part, out_channels=1, kernel=(1, 1), activation="tanh")
    joined = net.add(Concat, net.add(Multiply, part, one), half)
    head = net.add(Conv, joined, out_channels=8, activation="hardsigmoid")
    large = net.add(DepthToSpace, head, factor=2)
    learned = net.add(Conv, large, out_channels=12)
    base = net.add(Conv, centred, out_channels=12, kernel=(5, 5), fixed="bicubic", factor=2,
                   offset=128 / 255)  # fmt: skip
    return net.finish(net.add(DepthToSpace, net.add(Add, learned, base), factor=2))


def _luma() -> Graph:
    """Luma, x3, by a transposed convolution, which no format has as such."""
    net = GraphBuilder(1)
    stem = net.add(Conv, 0, out_channels=6, activation="relu")
    body = net.add(Conv, stem, out_channels=6, activation="clip")
    return net.finish(net.add(ConvTranspose, body, out_channels=1, kernel=(9, 9), stride=3))


def _as_large() -> Graph:
    """RGB, as large as it was, by pooling and a wide transposed convolution."""
    net = GraphBuilder(3)
    down = net.add(Conv, 0, out_channels=4, stride=2, activation="relu")
    pooled = [net.add(make, down, factor=2) for make in (MaxPool, AveragePool)]
    back = net.add(Resize, net.add(Concat, *pooled), factor=2, mode="nearest")
    up = net.add(ConvTranspose, back, out_channels=8, kernel=(4, 4), stride=2, activation="prelu")
    noise = net.add(Conv, up, out_channels=3)
    return net.finish(net.add(Add, noise, 0))


GRAPHS = {"colours": _colours(), "luma": _luma(), "as large": _as_large()}


@cache
def tame(name: str, graph: Graph | None = None) -> tuple[Source, Network]:
    """A network as formats are given it, and its module; most of its outputs are in [0, 1]."""
    graph = graph or GRAPHS[name]
    weights = random_weights(graph, seed=1)
    learned = {
        f"n{index}.weight" for index, node in enumerate(graph.nodes)
        if isinstance(node, Conv | ConvTranspose) and not getattr(node, "fixed", "")
    }  # fmt: skip
    tamed = {key: values * _TAME if key in learned else values for key, values in weights.items()}
    network = Network(graph)
    load_weights(network, tamed)
    side = 16 * multiple_of(graph)
    file = write(graph, tamed, height=side, width=side)
    return source_of(name, graph, file), network.eval()


def noise(channels: int, height: int, width: int, *, count: int = 2) -> Pictures:
    """Pictures of 8 bits, of which no two pixels and no two borders are alike."""
    dice = np.random.default_rng(0)
    levels = dice.integers(0, 256, (count, channels, height, width))
    return levels.astype(np.float32) / np.float32(255)


def by_torch(network: Network, pictures: Pictures) -> Pictures:
    """What the module makes of them."""
    with torch.no_grad():
        made = network(torch.from_numpy(pictures))
    assert isinstance(made, torch.Tensor)
    return made.numpy()

"""The first reading of a Graph: a torch module for training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Graph,
    Input,
    MaxPool,
    Primitive,
    Resize,
    Shift,
    SpaceToDepth,
    channels_of,
)
from search_spaces.onnx_writer import fixed_weights, transposed_padding, weight_shape

HEAD_GAIN = 0.01
"""Of a layer over a fixed base. With 0.1 the first steps go into silencing it, which kills the
features: after 200 steps +0.05 dB instead of +0.71 (16 features, 4 body layers, ReLU)."""
BRANCH_GAIN = 0.25
IDENTITY_NOISE = 0.25
"""Beside an identity start. The network above then gains 1.01 dB in 200 steps, not 0.71."""


class WeightedLayer(nn.Module):
    """A Conv or ConvTranspose with its activation: (N, C_in, H, W) -> (N, C_out, H', W')."""

    weight: Tensor
    bias: Tensor | None
    slope: Tensor | None

    def __init__(self, index: int, node: Conv | ConvTranspose, in_channels: int) -> None:
        super().__init__()
        self.node = node
        self.slope = None
        if isinstance(node, Conv) and node.fixed:
            constants = fixed_weights(index, node, in_channels)
            self.register_buffer("weight", torch.from_numpy(constants[f"n{index}.weight"]))
            self.register_buffer("bias", torch.from_numpy(constants[f"n{index}.bias"]))
            return
        self.weight = nn.Parameter(torch.empty(weight_shape(node, in_channels)))
        self.bias = None
        if node.bias:
            offset = node.offset if isinstance(node, Conv) else 0.0
            self.bias = nn.Parameter(torch.full((node.out_channels,), offset))
        if node.activation == "prelu":
            self.slope = nn.Parameter(torch.full((node.out_channels,), 0.25))

    def reset(self, generator: torch.Generator, *, gain: float, identity: bool) -> None:
        """Draw new learned weights: Kaiming normal (He et al., 2015) times `gain`.

        With `identity` the layer passes its input through at first, plus that noise.
        """
        if not isinstance(self.weight, nn.Parameter):
            return
        transposed = isinstance(self.node, ConvTranspose)
        fan_in = self.weight[:, 0].numel() if transposed else self.weight[0].numel()
        if transposed:
            fan_in //= self.node.stride**2
        linear = self.node.activation in ("none", "tanh", "sigmoid")
        deviation = gain * ((1.0 if linear else 2.0) / fan_in) ** 0.5
        with torch.no_grad():
            self.weight.normal_(0.0, deviation, generator=generator)
            if identity:
                out, inputs, rows, columns = self.weight.shape
                every = torch.arange(out)
                self.weight[every, every % inputs, rows // 2, columns // 2] += 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.activate(self.linear(x, self.weight))

    def linear(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer before its activation, with this weight."""
        node = self.node
        if isinstance(node, ConvTranspose):
            spec = transposed_padding(node)
            top, left = spec["pads"][:2]
            out, extra = spec["output_padding"], (node.stride, node.stride)
            return functional.conv_transpose2d(
                x, weight, self.bias, extra, (top, left), (out[0], out[1])
            )
        padding = (node.kernel[0] // 2, node.kernel[1] // 2)
        return functional.conv2d(x, weight, self.bias, node.stride, padding, 1, node.groups)

    def activate(self, x: Tensor) -> Tensor:
        """The activation alone."""
        match self.node.activation:
            case "relu":
                return functional.relu(x)
            case "prelu":
                assert self.slope is not None
                return functional.prelu(x, self.slope)
            case "clip":
                return x.clamp(0.0, 1.0)
            case "tanh":
                return x.tanh()
            case "sigmoid":
                return x.sigmoid()
            case "hardswish":
                return functional.hardswish(x)
        return x


class Network(nn.Module):
    """A Graph that can be trained: (N, C, H, W) in [0, 1] -> (N, C', H * scale, W * scale).

    Attributes:
        layers: the weighted nodes by `n<index>`.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        channels = channels_of(graph.nodes)
        self.layers = nn.ModuleDict(
            {
                f"n{index}": WeightedLayer(index, node, channels[node.inputs[0]])
                for index, node in enumerate(graph.nodes)
                if isinstance(node, Conv | ConvTranspose)
            }
        )

    def forward(self, image: Tensor) -> Tensor:
        values: list[Tensor] = []
        for index, node in enumerate(self.graph.nodes):
            if isinstance(node, Input):
                values.append(image)
                continue
            sources = [values[i] for i in node.inputs]
            values.append(self.step(index, node, sources))
        return values[-1]

    def step(self, index: int, node: Primitive, sources: list[Tensor]) -> Tensor:
        """Run one primitive."""
        if isinstance(node, Conv | ConvTranspose):
            result: Tensor = self.layers[f"n{index}"](sources[0])
            return result
        return run_plain(node, sources)


def run_plain(node: Primitive, sources: list[Tensor]) -> Tensor:
    """Run a primitive without weights on tensors (N, C, H, W)."""
    x = sources[0]
    match node:
        case Shift(value=value):
            return x + value
        case DepthToSpace(factor=f):
            return functional.pixel_shuffle(x, f)
        case SpaceToDepth(factor=f):
            return space_to_depth(x, f)
        case MaxPool(factor=f):
            return functional.max_pool2d(x, f)
        case AveragePool(factor=f):
            return functional.avg_pool2d(x, f)
        case Resize(factor=f, mode=mode):
            if mode == "nearest":
                return functional.interpolate(x, scale_factor=f, mode="nearest")
            return functional.interpolate(
                x, scale_factor=f, mode="bilinear", align_corners=False
            )
        case Add():
            return x + sources[1]
        case Concat():
            return torch.cat(sources, dim=1)
    raise TypeError(f"{type(node).__name__} has no torch reading")


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, f*f*C, H/f, W/f) in ONNX's channel order (i*f + j)*C + c.

    torch's pixel_unshuffle orders c*f*f + i*f + j; the permutation is done here once.
    """
    n, c, h, w = x.shape
    blocks = functional.pixel_unshuffle(x, factor).view(n, c, factor * factor, -1)
    return blocks.transpose(1, 2).reshape(n, c * factor * factor, h // factor, w // factor)


def build(graph: Graph, *, seed: int) -> Network:
    """Return the network with freshly drawn weights.

    A layer with as many outputs as inputs begins as the identity plus a little noise, like a
    residual connection that costs nothing at inference; a layer that is added to something begins
    small, the one over the fixed base smallest: the network begins as its base.
    """
    network = Network(graph)
    generator = torch.Generator().manual_seed(seed)
    channels, added = channels_of(graph.nodes), _added_layers(graph)
    for name, layer in network.layers.items():
        assert isinstance(layer, WeightedLayer)
        index, node = int(name[1:]), layer.node
        square = isinstance(node, Conv) and node.stride == 1
        square &= channels[index] == channels[node.inputs[0]] and index not in added
        gain = added.get(index, IDENTITY_NOISE if square else 1.0)
        layer.reset(generator, gain=gain, identity=square)
    return network


def _added_layers(graph: Graph) -> dict[int, float]:
    """Layers whose output is a residual, with their initial gain."""
    gains: dict[int, float] = {}
    for node in graph.nodes:
        if not isinstance(node, Add):
            continue
        branch, skip = node.inputs
        while isinstance(graph.nodes[branch], DepthToSpace):
            branch = graph.nodes[branch].inputs[0]
        base = graph.nodes[skip]
        over_base = isinstance(base, Conv) and base.fixed != ""
        if over_base or isinstance(graph.nodes[branch], Conv):
            gains[branch] = HEAD_GAIN if over_base else BRANCH_GAIN
    return gains


def weights_of(network: Network) -> dict[str, NDArray[np.float32]]:
    """The weights as the ONNX writer takes them."""
    return {
        f"{layer}.{kind}": tensor.detach().cpu().numpy().astype(np.float32)
        for layer, module in network.layers.items()
        for kind in ("weight", "bias", "slope")
        if (tensor := getattr(module, kind)) is not None
    }


def load_weights(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Put weights, named as `weights_of` names them, into a network of the same Graph."""
    with torch.no_grad():
        for key, value in weights.items():
            layer, kind = key.split(".")
            getattr(network.layers[layer], kind).copy_(torch.from_numpy(np.array(value)))

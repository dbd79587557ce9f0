"""The torch reading of the primitives that have weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.plain_ops import activate
from search_spaces.primitives import Activation, Conv, ConvTranspose
from search_spaces.transposed import runs_as_convolution, taps, transposed_padding
from search_spaces.weights import fixed_weights, weight_shape

FIRST_SLOPE = 0.25
"""What a learned negative slope begins at (He et al., "Delving Deep into Rectifiers", 2015)."""


class WeightedLayer(nn.Module):
    """A Conv or ConvTranspose with its activation: (N, C_in, H, W) -> (N, C_out, H', W')."""

    weight: Tensor
    bias: Tensor | None
    slope: Tensor | None
    norm: nn.BatchNorm2d | None

    def __init__(self, index: int, node: Conv | ConvTranspose, in_channels: int) -> None:
        super().__init__()
        self.node = node
        self.slope = self.norm = None
        self._taps: Tensor | None
        self.register_buffer("_taps", _taps(node, in_channels), persistent=False)
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
            self.slope = nn.Parameter(torch.full((node.out_channels,), FIRST_SLOPE))

    @property
    def learned(self) -> bool:
        """Whether the weights are trained, not those of a fixed upsampler."""
        return not (isinstance(self.node, Conv) and self.node.fixed)

    def reset(self, generator: torch.Generator, *, gain: float, identity: bool) -> float:
        """Draw new learned weights: Kaiming normal (He et al., 2015) times `gain`.

        With `identity` the layer passes its input through at first, plus that noise. Returns the
        standard deviation of the noise.
        """
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
        return float(deviation)

    def normalize(self) -> None:
        """Put a batch normalization before the activation; its shift takes the bias's place."""
        assert self.bias is not None
        self.norm = nn.BatchNorm2d(self.node.out_channels)
        with torch.no_grad():
            self.norm.bias.copy_(self.bias)
        self.bias = None

    def folded(self) -> dict[str, Tensor]:
        """The weight, bias and slope of the same layer without branches and normalization."""
        weight, bias = self.weight.detach(), self.bias
        if self.norm is not None:
            assert self.norm.running_var is not None and self.norm.running_mean is not None
            spread = (self.norm.running_var + self.norm.eps).sqrt()
            factor = self.norm.weight.detach() / spread
            shape = [-1 if axis == self._out_axis else 1 for axis in range(weight.ndim)]
            weight = weight * factor.view(shape)
            bias = self.norm.bias.detach() - self.norm.running_mean * factor
        found = {"weight": weight, "bias": bias, "slope": self.slope}
        return {kind: tensor.detach() for kind, tensor in found.items() if tensor is not None}

    @property
    def _out_axis(self) -> int:
        return 1 if isinstance(self.node, ConvTranspose) else 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x, self.weight, self.bias)
        return self.activate(x if self.norm is None else self.norm(x))

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer before its activation, with this weight and bias."""
        node = self.node
        if self._taps is not None:
            phases = torch.cat([weight.flatten(), weight.new_zeros(1)])[self._taps]
            bias = None if bias is None else bias.repeat_interleave(node.stride**2)
            margins = (self._taps.shape[2] // 2, self._taps.shape[3] // 2)
            made = functional.conv2d(x, phases, bias, padding=margins)
            return functional.pixel_shuffle(made, node.stride)
        if isinstance(node, ConvTranspose):
            spec = transposed_padding(node)
            top, left = spec["pads"][:2]
            out, extra = spec["output_padding"], (node.stride, node.stride)
            return functional.conv_transpose2d(
                x, weight, bias, extra, (top, left), (out[0], out[1])
            )
        return functional.conv2d(
            x, weight, bias, node.stride, node.margins, node.dilation, node.groups
        )

    def activate(self, x: Tensor) -> Tensor:
        """The activation alone."""
        slope = self.node.slope if self.slope is None else self.slope
        return activate(x, self.node.activation, slope)


def _taps(node: Conv | ConvTranspose, in_channels: int) -> Tensor | None:
    if isinstance(node, ConvTranspose) and runs_as_convolution(node):
        return torch.from_numpy(taps(node, in_channels))
    return None


class SlopeLayer(nn.Module):
    """A PReLU that is a node of its own: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, node: Activation, channels: int) -> None:
        super().__init__()
        self.node = node
        self.slope = nn.Parameter(torch.full((channels,), FIRST_SLOPE))

    def folded(self) -> dict[str, Tensor]:
        """The slopes, as `WeightedLayer.folded` gives them."""
        return {"slope": self.slope.detach()}

    def forward(self, x: Tensor) -> Tensor:
        return activate(x, self.node.activation, self.slope)

"""The primitives of a Graph: what a network is made of. Pure data, no torch, no ONNX.

A primitive has exactly two readings, the torch module (`modules.py`, `plain_ops.py`) and the ONNX
nodes (`onnx_writer.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.base import InvalidArchitecture, UnknownName

ACTIVATIONS = (
    "none", "relu", "prelu", "leaky_relu", "relu6", "clip", "tanh", "sigmoid", "hardsigmoid",
    "hardswish", "silu", "gelu",
)
"""`prelu` has one learned slope per channel, `leaky_relu` a fixed one; `clip` is to [0, 1]."""
FIXED_KERNELS = ("nearest", "bilinear", "bicubic")
PADDINGS = ("same", "loose", "valid")
RESIZE_MODES = ("nearest", "bilinear")
GROUP_REDUCTIONS = ("max", "sum")


@dataclass(frozen=True)
class Primitive:
    """What every primitive has: the indices of the nodes it reads."""

    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Input(Primitive):
    """The network's input, values in [0, 1]."""

    channels: int


@dataclass(frozen=True)
class Shift(Primitive):
    """Adds a constant; centres the data about zero inside the network."""

    value: float


@dataclass(frozen=True)
class Scale(Primitive):
    """Multiplies by a constant, as where a published network takes values in 0..255."""

    value: float


@dataclass(frozen=True)
class Conv(Primitive):
    """A convolution with zero padding and an optional activation.

    Attributes:
        stride: with `same` padding the output has 1/stride of the size, which must divide.
        fixed: empty for learned weights; else a fixed upsampling kernel, by which this
            convolution gives the `factor * factor` phases of each input channel, in the order
            that DepthToSpace (CRD) expects.
        offset: what the bias starts at (learned weights) or is (fixed ones).
        slope: negative slope of a `leaky_relu`; 0 for every other activation.
        dilation: distance of the kernel's taps.
        padding: `same`; `loose`, which takes sizes that the stride does not divide too and
            gives the next whole number; or `valid` for none at all.
    """

    out_channels: int
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    groups: int = 1
    bias: bool = True
    activation: str = "none"
    fixed: str = ""
    factor: int = 1
    offset: float = 0.0
    slope: float = 0.0
    dilation: int = 1
    padding: str = "same"

    def __post_init__(self) -> None:
        """Refuse what the two readings would understand differently.

        Raises:
            UnknownName: no such activation or padding.
            InvalidArchitecture: a side of the kernel is even, which no "same" padding fits, or
                the slope does not belong to the activation.
        """
        _check_activation(self.activation, self.slope)
        _check_name("padding", self.padding, PADDINGS)
        if self.padding != "valid" and any(side % 2 == 0 for side in self.kernel):
            raise InvalidArchitecture(f"a {self.kernel} kernel: both sides must be odd")

    @property
    def margins(self) -> tuple[int, int]:
        """Zeros added on each side, (vertically, horizontally)."""
        if self.padding == "valid":
            return (0, 0)
        return (self.dilation * (self.kernel[0] // 2), self.dilation * (self.kernel[1] // 2))


@dataclass(frozen=True)
class ConvTranspose(Primitive):
    """A transposed convolution whose output is exactly `stride` times its input.

    Attributes:
        slope: negative slope of a `leaky_relu`; 0 for every other activation.
        margin: pixels left out at the top and the left, as published weights may ask for; None
            centres the kernel on the pixels that it enlarges.
    """

    out_channels: int
    kernel: tuple[int, int]
    stride: int
    bias: bool = True
    activation: str = "none"
    slope: float = 0.0
    margin: int | None = None

    def __post_init__(self) -> None:
        """Refuse what engines would.

        Raises:
            UnknownName: no such activation.
            InvalidArchitecture: the slope does not belong to the activation, or the margin not
                to kernel and stride.
        """
        _check_activation(self.activation, self.slope)
        if self.margin is not None:
            rests = [self.stride + 2 * self.margin - side for side in self.kernel]
            if any(not 0 <= rest < self.stride for rest in rests):
                raise InvalidArchitecture(
                    f"a margin of {self.margin} does not fit a {self.kernel} kernel, "
                    f"stride {self.stride}"
                )


@dataclass(frozen=True)
class Activation(Primitive):
    """An activation of its own, as after an addition.

    Attributes:
        slope: negative slope of a `leaky_relu`; 0 for every other activation.
    """

    activation: str
    slope: float = 0.0

    def __post_init__(self) -> None:
        """Refuse an unknown activation, and none at all.

        Raises:
            UnknownName: no such activation.
            InvalidArchitecture: the slope does not belong to the activation.
        """
        if self.activation == "none":
            raise InvalidArchitecture("an Activation of 'none' does nothing: leave it out")
        _check_activation(self.activation, self.slope)


def _check_activation(name: str, slope: float) -> None:
    _check_name("activation", name, ACTIVATIONS)
    if name == "leaky_relu" and not 0.0 < slope < 1.0:
        raise InvalidArchitecture(f"a leaky_relu of slope {slope}: give one between 0 and 1")
    if name != "leaky_relu" and slope != 0.0:
        raise InvalidArchitecture(f"a slope of {slope} for '{name}': only leaky_relu has one")


def _check_name(kind: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UnknownName(kind, name, known)


@dataclass(frozen=True)
class DepthToSpace(Primitive):
    """Pixel shuffle: channels c*f*f + i*f + j become the pixels (i, j) of channel c (CRD)."""

    factor: int


@dataclass(frozen=True)
class SpaceToDepth(Primitive):
    """The inverse in size: pixel (i, j) of channel c becomes channel (i*f + j)*C + c (ONNX)."""

    factor: int


@dataclass(frozen=True)
class Pool(Primitive):
    """One value for each window of `kernel` pixels a side, `factor` apart, without padding.

    Attributes:
        kernel: 0 for windows as large as their distance, by which the size must divide.
    """

    factor: int
    kernel: int = 0

    @property
    def side(self) -> int:
        """Side of a window."""
        return self.kernel or self.factor


@dataclass(frozen=True)
class MaxPool(Pool):
    """The maximum of each window."""


@dataclass(frozen=True)
class AveragePool(Pool):
    """The mean of each window."""


@dataclass(frozen=True)
class SoftPool(Pool):
    """The mean weighted by exp(x) (Stergiou et al., "SoftPool", ICCV 2021)."""


@dataclass(frozen=True)
class GlobalAveragePool(Primitive):
    """Mean of each channel: (C, H, W) to (C, 1, 1)."""


@dataclass(frozen=True)
class Flatten(Primitive):
    """Drops the sides of a (C, 1, 1) tensor, so that a classifier gives (N, C)."""


@dataclass(frozen=True)
class Resize(Primitive):
    """Enlarges by an integer factor: `nearest` or `bilinear` (half-pixel centres)."""

    factor: int
    mode: str

    def __post_init__(self) -> None:
        """Refuse an unknown interpolation.

        Raises:
            UnknownName: no such mode.
        """
        _check_name("resize mode", self.mode, RESIZE_MODES)


@dataclass(frozen=True)
class ResizeLike(Primitive):
    """Bilinear interpolation (half-pixel centres) to the size of the second input."""


@dataclass(frozen=True)
class Add(Primitive):
    """Sum of two tensors of one shape; the second is the skip connection."""


@dataclass(frozen=True)
class Multiply(Primitive):
    """Product of two tensors; a side or the channels of the second may be 1 (a gate)."""


@dataclass(frozen=True)
class Concat(Primitive):
    """Joins tensors along the channels."""


@dataclass(frozen=True)
class Slice(Primitive):
    """The channels from `start` up to and without `stop`; several of them split a tensor."""

    start: int
    stop: int


@dataclass(frozen=True)
class ChannelShuffle(Primitive):
    """Channels (g, c) become (c, g) (Zhang et al., "ShuffleNet", CVPR 2018)."""

    groups: int


@dataclass(frozen=True)
class GroupReduce(Primitive):
    """Maximum or sum over `groups` equal parts of the channels: channel g*K + k joins output k."""

    groups: int
    mode: str

    def __post_init__(self) -> None:
        """Refuse an unknown reduction.

        Raises:
            UnknownName: no such reduction.
        """
        _check_name("group reduction", self.mode, GROUP_REDUCTIONS)


@dataclass(frozen=True)
class GroupSoftmax(Primitive):
    """Softmax over the same `groups` parts: the values of channels g*K + k, over g, sum to 1."""

    groups: int

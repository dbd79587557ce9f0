"""The primitives with learned numbers: convolutions and activations. Pure data, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from search_spaces.base import InvalidArchitecture
from search_spaces.primitive import Primitive, Shape, Tie, check_activation, check_name

FIXED_KERNELS = ("nearest", "bilinear", "bicubic")
PADDINGS = ("same", "loose", "valid")


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
        start: empty, or the upsampler that learned weights begin as on the last input channels,
            which hold the picture (`fixed_kernels.packed_phases`); the others begin small.
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
    start: str = ""

    def __post_init__(self) -> None:
        """Refuse what the two readings would understand differently.

        Raises:
            UnknownName: no such activation or padding.
            InvalidArchitecture: a side of the kernel is even, which no "same" padding fits, or
                the slope does not belong to the activation.
        """
        check_activation(self.activation, self.slope)
        check_name("padding", self.padding, PADDINGS)
        if self.padding != "valid" and any(side % 2 == 0 for side in self.kernel):
            raise InvalidArchitecture(f"a {self.kernel} kernel: both sides must be odd")

    @property
    def margins(self) -> tuple[int, int]:
        """Zeros added on each side, (vertically, horizontally)."""
        if self.padding == "valid":
            return (0, 0)
        return (self.dilation * (self.kernel[0] // 2), self.dilation * (self.kernel[1] // 2))

    def depthwise(self, in_channels: int) -> bool:
        """Whether it makes each output channel of the input channel of the same number."""
        return self.groups == in_channels == self.out_channels > 1

    def channels_from(self, sources: Sequence[int]) -> int:
        return self.out_channels

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        _, h, w = sources[0]
        if self.padding == "valid":
            rows, columns = (self.dilation * (side - 1) + 1 for side in self.kernel)
            return ((h - rows) // self.stride + 1, (w - columns) // self.stride + 1)
        return (-(-h // self.stride), -(-w // self.stride))

    @property
    def reach(self) -> int:
        spans = [self.dilation * (side - 1) for side in self.kernel]
        return max(max(m, s - m) for m, s in zip(self.margins, spans, strict=True))

    @property
    def divisor(self) -> int:
        return self.stride if self.padding == "same" else 1

    def misfit(self, sources: Sequence[Shape]) -> str:
        count = sources[0][0]
        fits = count % self.groups == 0 == self.out_channels % self.groups
        return "" if fits else f"{count} > {self.out_channels} channels in {self.groups} groups"

    def weights(self, in_channels: int) -> int:
        return self.out_channels * (in_channels // self.groups) * prod(self.kernel)

    def params(self, in_channels: int) -> int:
        learned = 0
        if not self.fixed:
            learned = self.weights(in_channels) + self.out_channels * self.bias
        return learned + self.out_channels * (self.activation == "prelu")

    def macs(self, sources: Sequence[Shape], made: Shape) -> int:
        return self.weights(sources[0][0]) * prod(made[1:])

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        if self.depthwise(sources[0]) and not self.fixed:
            return super().ties(sources)
        return None if self.fixed or self.groups > 1 else []

    def keeping(
        self, own: Sequence[int], sources: Sequence[Sequence[int]], before: Sequence[int]
    ) -> Primitive:
        groups = len(own) if self.depthwise(before[0]) else self.groups
        return replace(self, out_channels=len(own), groups=groups)


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
        check_activation(self.activation, self.slope)
        if self.margin is not None:
            rests = [self.stride + 2 * self.margin - side for side in self.kernel]
            if any(not 0 <= rest < self.stride for rest in rests):
                raise InvalidArchitecture(
                    f"a margin of {self.margin} does not fit a {self.kernel} kernel, "
                    f"stride {self.stride}"
                )

    def channels_from(self, sources: Sequence[int]) -> int:
        return self.out_channels

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return tuple(side * self.stride for side in sources[0][1:])

    @property
    def reach(self) -> int:
        return -(-max(self.kernel) // self.stride)

    def weights(self, in_channels: int) -> int:
        return self.out_channels * in_channels * prod(self.kernel)

    def params(self, in_channels: int) -> int:
        per_channel = self.bias + (self.activation == "prelu")
        return self.weights(in_channels) + self.out_channels * per_channel

    def macs(self, sources: Sequence[Shape], made: Shape) -> int:
        """Kernel area per input pixel: each of them is spread once."""
        return self.weights(sources[0][0]) * prod(sources[0][1:])

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return []

    def keeping(
        self, own: Sequence[int], sources: Sequence[Sequence[int]], before: Sequence[int]
    ) -> Primitive:
        return replace(self, out_channels=len(own))


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
        check_activation(self.activation, self.slope)

    def params(self, in_channels: int) -> int:
        return in_channels * (self.activation == "prelu")

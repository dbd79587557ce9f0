"""The primitives of a Graph: what a network is made of. Pure data, no torch, no ONNX.

Those with learned numbers are in `convolutions.py`; what all have in common is in `primitive.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from runtime.signature import INPUT, Port
from search_spaces.convolutions import FIXED_KERNELS, PADDINGS, Activation, Conv, ConvTranspose
from search_spaces.primitive import ACTIVATIONS, Primitive, Shape, Tie, by, check_name

__all__ = [
    "ACTIVATIONS", "FIXED_KERNELS", "GROUP_REDUCTIONS", "PADDINGS", "RESIZE_MODES", "Activation",
    "Add", "AveragePool", "ChannelShuffle", "Concat", "Conv", "ConvTranspose", "DepthToSpace",
    "Flatten", "GlobalAveragePool", "GroupReduce", "GroupSoftmax", "Input", "MaxPool", "Multiply",
    "Pool", "Primitive", "Resize", "ResizeLike", "Scale", "Shape", "Shift", "Slice", "SoftPool",
    "SpaceToDepth", "Warp",
]
RESIZE_MODES = ("nearest", "bilinear")
GROUP_REDUCTIONS = ("max", "sum")


@dataclass(frozen=True)
class Input(Primitive):
    """An input of the network; fields as `runtime.signature.Port` has them.

    A vector (N, C) is a (C, 1, 1) tensor inside.
    """

    channels: int
    name: str = INPUT
    scale: Fraction | None = Fraction(1)
    kind: str = "image"

    @property
    def port(self) -> Port:
        """The input as the outside sees it."""
        return Port(self.name, self.channels, self.scale, self.kind)

    def channels_from(self, sources: Sequence[int]) -> int:
        return self.channels

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return None


@dataclass(frozen=True)
class Shift(Primitive):
    """Adds a constant; centres the data about zero inside the network."""

    value: float


@dataclass(frozen=True)
class Scale(Primitive):
    """Multiplies by a constant, as where a published network takes values in 0..255."""

    value: float


@dataclass(frozen=True)
class DepthToSpace(Primitive):
    """Pixel shuffle: channels c*f*f + i*f + j become the pixels (i, j) of channel c (CRD)."""

    factor: int
    keeps_levels: ClassVar[bool] = True

    def channels_from(self, sources: Sequence[int]) -> int:
        return sources[0] // self.factor**2

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return tuple(side * self.factor for side in sources[0][1:])

    def misfit(self, sources: Sequence[Shape]) -> str:
        count = sources[0][0]
        return f"{count} channels, factor {self.factor}" if count % self.factor**2 else ""

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return [(number // self.factor**2, 0, number) for number in range(sources[0])]


@dataclass(frozen=True)
class SpaceToDepth(Primitive):
    """The inverse in size: pixel (i, j) of channel c becomes channel (i*f + j)*C + c (ONNX)."""

    factor: int
    keeps_levels: ClassVar[bool] = True

    def channels_from(self, sources: Sequence[int]) -> int:
        return sources[0] * self.factor**2

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return tuple(side // self.factor for side in sources[0][1:])

    @property
    def divisor(self) -> int:
        return self.factor

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return [(own, 0, own % sources[0]) for own in range(self.channels_from(sources))]


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

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return tuple((side - self.side) // self.factor + 1 for side in sources[0][1:])

    @property
    def reach(self) -> int:
        return max(0, self.side - self.factor)

    @property
    def divisor(self) -> int:
        return 1 if self.kernel else self.factor


@dataclass(frozen=True)
class MaxPool(Pool):
    """The maximum of each window."""

    keeps_levels: ClassVar[bool] = True


@dataclass(frozen=True)
class AveragePool(Pool):
    """The mean of each window."""


@dataclass(frozen=True)
class SoftPool(Pool):
    """The mean weighted by exp(x) (Stergiou et al., "SoftPool", ICCV 2021)."""


@dataclass(frozen=True)
class GlobalAveragePool(Primitive):
    """Mean of each channel: (C, H, W) to (C, 1, 1)."""

    @property
    def reach(self) -> None:
        return None

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return (1, 1)


@dataclass(frozen=True)
class Flatten(Primitive):
    """Drops the sides of a (C, 1, 1) tensor, so that a classifier gives (N, C)."""

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return ()

    def misfit(self, sources: Sequence[Shape]) -> str:
        pooled = sources[0][1:] == (1, 1)
        return "" if pooled else f"a {by(sources[0])} tensor, pool it to 1x1 first"


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
        check_name("resize mode", self.mode, RESIZE_MODES)

    @property
    def reach(self) -> int:
        return 1 if self.mode == "bilinear" else 0

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return tuple(side * self.factor for side in sources[0][1:])


@dataclass(frozen=True)
class ResizeLike(Primitive):
    """Bilinear interpolation (half-pixel centres) to the size of the second input.

    How far apart its samples are follows from the size of the whole picture.
    """

    @property
    def reach(self) -> None:
        return None

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        return sources[1][1:]


@dataclass(frozen=True)
class Warp(Primitive):
    """The first input seen from where the second one, a motion map, says.

    The pixel (y, x) of the output is the first input at (y + motion[1], x + motion[0]), bilinear
    between pixels, the nearest pixel of the border beyond it. Motion is in pixels of the two
    tensors, x first. Coordinates stay fp32: fp16 holds no hundredth of a pixel of a large
    picture, and no engine samples in int8.
    """

    whole_inputs: ClassVar[tuple[int, ...]] = (1,)

    @property
    def reach(self) -> None:
        return None

    def misfit(self, sources: Sequence[Shape]) -> str:
        first, motion = sources
        fits = motion == (2, *first[1:])
        return "" if fits else f"a motion map of {motion} for a tensor of {first}"


@dataclass(frozen=True)
class Add(Primitive):
    """Sum of two tensors of one shape; the second is the skip connection."""

    def misfit(self, sources: Sequence[Shape]) -> str:
        return f"cannot add {list(sources)}" if len(set(sources)) != 1 else ""

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return [(c, number, c) for number in range(len(sources)) for c in range(sources[0])]


@dataclass(frozen=True)
class Multiply(Primitive):
    """Product of two tensors; a side or the channels of the second may be 1 (a gate)."""

    def misfit(self, sources: Sequence[Shape]) -> str:
        first, gate = sources
        fits = all(b in (1, a) for a, b in zip(first, gate, strict=True))
        return "" if fits else f"cannot multiply {list(sources)}"

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        whole = [number for number, count in enumerate(sources) if count == sources[0]]
        return [(c, number, c) for number in whole for c in range(sources[0])]


@dataclass(frozen=True)
class Concat(Primitive):
    """Joins tensors along the channels."""

    def channels_from(self, sources: Sequence[int]) -> int:
        return sum(sources)

    def misfit(self, sources: Sequence[Shape]) -> str:
        return f"cannot join {list(sources)}" if len({s[1:] for s in sources}) != 1 else ""

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        places = [(number, c) for number, count in enumerate(sources) for c in range(count)]
        return [(own, *place) for own, place in enumerate(places)]


@dataclass(frozen=True)
class Slice(Primitive):
    """The channels from `start` up to and without `stop`; several of them split a tensor."""

    start: int
    stop: int
    keeps_levels: ClassVar[bool] = True

    def channels_from(self, sources: Sequence[int]) -> int:
        return self.stop - self.start

    def misfit(self, sources: Sequence[Shape]) -> str:
        fits = 0 <= self.start < self.stop <= sources[0][0]
        return "" if fits else f"channels {self.start} to {self.stop} of {sources[0][0]}"

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return [(own, 0, self.start + own) for own in range(self.stop - self.start)]

    def keeping(
        self, own: Sequence[int], sources: Sequence[Sequence[int]], before: Sequence[int]
    ) -> Primitive:
        ahead = sum(channel < self.start for channel in sources[0])
        return replace(self, start=ahead, stop=ahead + len(own))


@dataclass(frozen=True)
class _Grouped(Primitive):
    """What works on `groups` equal parts of the channels; removing one would move the others."""

    groups: int

    def misfit(self, sources: Sequence[Shape]) -> str:
        count = sources[0][0]
        return f"{count} channels in {self.groups} groups" if count % self.groups else ""

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        return None


@dataclass(frozen=True)
class ChannelShuffle(_Grouped):
    """Channels (g, c) become (c, g) (Zhang et al., "ShuffleNet", CVPR 2018)."""

    keeps_levels: ClassVar[bool] = True


@dataclass(frozen=True)
class GroupReduce(_Grouped):
    """Maximum or sum over `groups` equal parts of the channels: channel g*K + k joins output k."""

    mode: str

    def __post_init__(self) -> None:
        """Refuse an unknown reduction.

        Raises:
            UnknownName: no such reduction.
        """
        check_name("group reduction", self.mode, GROUP_REDUCTIONS)

    def channels_from(self, sources: Sequence[int]) -> int:
        return sources[0] // self.groups


@dataclass(frozen=True)
class GroupSoftmax(_Grouped):
    """Softmax over the same `groups` parts: the values of channels g*K + k, over g, sum to 1."""

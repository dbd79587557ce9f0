"""How the tensors of a network lie in the textures of a shader, four channels to each.

A tensor is a `View`; what makes one is a `Pass`, which gives ceil(C / 4) textures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from search_spaces.primitives import Conv

PICTURE = "HOOKED"
LANES = 4
MOST_TEXTURES = 16
"""That a pass may read, in mpv and in libplacebo."""


@dataclass(frozen=True, order=True)
class Place:
    """Where to read in a texture for the pixel (y, x): at (step * y + row, step * x + column).

    Attributes:
        gain: what the value there is multiplied by, before `shift` is added.
    """

    texture: str
    step: int = 1
    row: int = 0
    column: int = 0
    gain: float = 1.0
    shift: float = 0.0


Lane = tuple[Place, int]
"""One channel: where it lies, and which component it is there."""
NOTHING: Lane = (Place(""), 0)
"""A channel of zeros, as another pass has it."""


@dataclass(frozen=True)
class View:
    """A tensor that is there.

    Attributes:
        share: the size of its grid over that of the padded picture.
        lanes: its channels.
    """

    share: Fraction
    lanes: tuple[Lane, ...]


@dataclass(frozen=True)
class Convolved:
    """A convolution of a tensor, as a part of a sum.

    Attributes:
        weight: (C_out, C_in, kh, kw), with zeros between groups.
        bias: (C_out,).
    """

    view: View
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    node: Conv


Part = Convolved | View


@dataclass(frozen=True)
class Sum:
    """Convolutions and tensors added up, and an activation of that.

    Attributes:
        slope: (C,) for negative values, of the activations that have one.
    """

    parts: tuple[Part, ...]
    activation: str = "none"
    slope: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Combined:
    """Tensors multiplied, or their largest values; each but the first may have one channel.

    Attributes:
        by: `product` or `max`.
    """

    parts: tuple[View, ...]
    by: str


@dataclass(frozen=True)
class Shuffle:
    """Channels become pixels (CRD)."""

    view: View
    factor: int


Work = Sum | Combined | Shuffle


@dataclass(frozen=True)
class Pass:
    """What makes the textures of one node, or a part of its sum.

    Attributes:
        index: of the node.
        name: that its textures begin with.
        share: as of a `View`.
        channels: how many it makes.
    """

    index: int
    name: str
    share: Fraction
    channels: int
    work: Work

    def made(self) -> View:
        """The tensor that it makes."""
        lanes = (divmod(channel, LANES) for channel in range(self.channels))
        return View(self.share, tuple((Place(f"{self.name}_{t}"), lane) for t, lane in lanes))


def reads(parts: Sequence[Part]) -> int:
    """How many textures the sum reads where it reads most, and the picture beside them."""
    channels = max(len(p.weight if isinstance(p, Convolved) else p.lanes) for p in parts)
    found = [{PICTURE} for _ in range(0, channels, LANES)]
    for part in parts:
        for quad, textures in enumerate(found):
            rows = slice(quad * LANES, (quad + 1) * LANES)
            if isinstance(part, View):
                textures |= {place.texture for place, _ in part.lanes[rows]}
                continue
            used = np.flatnonzero(part.weight[rows].any(axis=(0, 2, 3)))
            textures |= {part.view.lanes[channel][0].texture for channel in used}
    return max(map(len, found))


def pieces(part: Part) -> list[Part]:
    """A convolution as several, each of one texture; only the first has its bias."""
    if isinstance(part, View):
        return [part]
    textures = [place.texture for place, _ in part.view.lanes]
    found: list[Part] = []
    for name in dict.fromkeys(textures):
        own = [channel for channel, texture in enumerate(textures) if texture == name]
        view = replace(part.view, lanes=tuple(part.view.lanes[channel] for channel in own))
        bias = np.zeros_like(part.bias) if found else part.bias
        found.append(replace(part, view=view, weight=part.weight[:, own], bias=bias))
    return found


def scaled(lanes: Sequence[Lane], gain: float, shift: float) -> tuple[Lane, ...]:
    """The same channels, multiplied and shifted where they are read."""
    return tuple(
        (replace(place, gain=place.gain * gain, shift=place.shift * gain + shift), component)
        for place, component in lanes
    )


def phases(lanes: Sequence[Lane], factor: int) -> tuple[Lane, ...]:
    """Pixel (i, j) of channel c as channel (i * factor + j) * C + c."""
    return tuple(
        (
            replace(
                place,
                step=place.step * factor,
                row=place.row + place.step * i,
                column=place.column + place.step * j,
            ),
            component,
        )
        for i in range(factor)
        for j in range(factor)
        for place, component in lanes
    )

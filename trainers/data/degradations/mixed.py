"""Degradations one after the other, one of several, or in a random order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.degradations.base import Degradation
from trainers.data.draws import Draws


@dataclass(frozen=True)
class Chain:
    """One after the other.

    Attributes:
        parts: from the scene to the file, such as blur, bicubic, noise, JPEG.
    """

    parts: Sequence[Degradation]

    @property
    def scale(self) -> int:
        """The product of the parts' scales."""
        return math.prod(part.scale for part in self.parts)

    @property
    def margin(self) -> int:
        """What every part reaches, in pixels of the first one's input."""
        reach, scale = 0, 1
        for part in self.parts:
            reach += part.margin * scale
            scale *= part.scale
        return reach

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H / scale, W / scale)."""
        for part in self.parts:
            images = part(images, draws)
        return images


@dataclass(frozen=True)
class OneOf:
    """For each image one of several degradations of the same scale.

    Attributes:
        parts: to choose from; an empty `Chain` leaves an image as it is.
        weights: how often each is chosen; all equally often when None.
    """

    parts: Sequence[Degradation]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together.

        Raises:
            ValueError: there is none, their scales differ, or the weights do not fit.
        """
        if len({part.scale for part in self.parts}) != 1:
            raise ValueError("one of several degradations: their scales must be equal")
        weights = self.weights
        if weights is not None and (
            len(weights) != len(self.parts) or min(weights) < 0 or sum(weights) <= 0
        ):
            raise ValueError(
                f"{list(weights)} are no weights for {len(self.parts)} degradations: "
                "name one for each, none negative"
            )

    @property
    def scale(self) -> int:
        """That of every part."""
        return self.parts[0].scale

    @property
    def margin(self) -> int:
        """The largest of the parts'."""
        return max(part.margin for part in self.parts)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H / scale, W / scale)."""
        weights = np.array(self.weights or [1.0] * len(self.parts), np.float64)
        chosen = draws.choices(weights / weights.sum(), len(images))
        count, channels, height, width = images.shape
        out = images.new_empty(count, channels, height // self.scale, width // self.scale)
        _apply(self.parts, chosen, images, out, draws)
        return out


@dataclass(frozen=True)
class Shuffled:
    """All of several degradations, in an order that is drawn for each image.

    Attributes:
        parts: each of scale 1.
    """

    parts: Sequence[Degradation]
    scale: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        """Refuse parts that change the size.

        Raises:
            ValueError: says so.
        """
        if any(part.scale != 1 for part in self.parts):
            raise ValueError("only degradations of scale 1 can be put in a random order")

    @property
    def margin(self) -> int:
        """What all parts reach together."""
        return sum(part.margin for part in self.parts)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        orders = draws.orders(len(self.parts), len(images))
        for place in range(len(self.parts)):
            out = torch.empty_like(images)
            _apply(self.parts, orders[:, place], images, out, draws)
            images = out
        return images


def _apply(
    parts: Sequence[Degradation],
    chosen: NDArray[np.intp],
    images: Tensor,
    out: Tensor,
    draws: Draws,
) -> None:
    """Run each part on the images that chose it. Those of one clip all chose the same."""
    for k, part in enumerate(parts):
        those = torch.from_numpy(np.flatnonzero(chosen == k)).to(images.device)
        if len(those):
            out[those] = part(images[those], draws).to(out.dtype)

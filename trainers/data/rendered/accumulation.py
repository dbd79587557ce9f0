"""What games do without a network: samples accumulated over frames along their motion.

Each frame's samples are weighed by how near they lie to a pixel of the picture, which the jitter
tells; the history is fetched along the motion, brought back into the range of the colours that
are seen there now, and mixed with them (Karis, "High-quality temporal supersampling", SIGGRAPH
2014 courses; Yang et al., "A survey of temporal antialiasing techniques", CGF 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from runtime.moving import COLOUR, JITTER, MOTION
from trainers.base import Arrays

_GAMMA = 2.2
_TAPS = 3
_LEAST = 1e-4


@dataclass(frozen=True)
class Accumulation:
    """The temporal upsampler of games; its numbers were tried on clips to train on.

    Attributes:
        scale: size of the picture over that of the colour; 1 is temporal antialiasing.
        spread: standard deviation of a sample's weight around its place, in pixels of the colour.
        longest: the history counts as so many samples at most.
        clamp: the history keeps within so many standard deviations of the colours around it.
    """

    scale: int = 2
    spread: float = 0.37
    longest: float = 12.0
    clamp: float = 1.0

    def over(self, frames: Sequence[Arrays]) -> list[NDArray[np.float32]]:
        """Pictures (1, 3, H, W) in [0, 1] of frames that follow each other."""
        history: Tensor | None = None
        weight, made = torch.zeros(1), []
        for frame in frames:
            # Means are taken of light, not of its gamma.
            colour = torch.from_numpy(frame[COLOUR]) ** _GAMMA
            jitter = torch.from_numpy(frame[JITTER][:, :, 0, 0])[0]
            now, near = self._samples(colour, jitter)
            if history is None:
                history, weight = now, near.clamp_min(_LEAST)
            else:
                history, weight = self._mixed(frame, colour, now, near, (history, weight))
            made.append((history.clamp(0, 1) ** (1 / _GAMMA)).numpy())
        return made

    def _samples(self, colour: Tensor, jitter: Tensor) -> tuple[Tensor, Tensor]:
        """The colour of each pixel of the picture from samples near it, and their weight."""
        _, _, height, width = colour.shape
        scale, sides = self.scale, (height * self.scale, width * self.scale)
        around = functional.pad(colour, (1, 1, 1, 1), mode="replicate")
        total, weights = torch.zeros(1, 3, *sides), torch.zeros(1, 1, *sides)
        for down in range(_TAPS):
            for across in range(_TAPS):
                moved = around[..., down : down + height, across : across + width]
                offsets = []
                for tap, shift in ((down, jitter[1]), (across, jitter[0])):
                    # Of the sample from each pixel of the picture, in pixels of the colour.
                    phase = (torch.arange(scale) + 0.5) / scale - 0.5
                    offsets.append((tap - 1) + shift - phase)
                square = offsets[0].square()[:, None] + offsets[1].square()
                share = (-square / (2 * self.spread**2)).exp().repeat(height, width)
                large = functional.interpolate(moved, scale_factor=scale, mode="nearest")
                total += large * share
                weights += share
        return total / weights.clamp_min(_LEAST), weights

    def _mixed(
        self, frame: Arrays, colour: Tensor, now: Tensor, near: Tensor, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        scale = self.scale
        motion = torch.from_numpy(frame[MOTION])
        motion = functional.interpolate(motion, scale_factor=scale, mode="nearest") * scale
        history, inside = _fetched(past[0], motion, "bicubic")
        weight, _ = _fetched(past[1], motion, "bilinear")
        low, high = (
            functional.interpolate(bound, scale_factor=scale, mode="nearest")
            for bound in self._bounds(colour)
        )
        kept = torch.minimum(torch.maximum(history, low), high)
        weight = weight.clamp(_LEAST, self.longest) * inside
        total = weight + near
        return (kept * weight + now * near) / total.clamp_min(_LEAST), total.clamp_min(_LEAST)

    def _bounds(self, colour: Tensor) -> tuple[Tensor, Tensor]:
        """The range of colours in 3 x 3 samples, as mean and standard deviation tell it."""
        around = functional.pad(colour, (1, 1, 1, 1), mode="replicate")
        mean = functional.avg_pool2d(around, 3, stride=1)
        square = functional.avg_pool2d(around.square(), 3, stride=1)
        spread = (square - mean.square()).clamp_min(0).sqrt() * self.clamp
        return mean - spread, mean + spread


def _fetched(image: Tensor, motion: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """An image from where the motion says, and where that lies inside of it."""
    _, _, height, width = image.shape
    x = torch.arange(width) + motion[:, 0]
    y = torch.arange(height)[:, None] + motion[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = torch.stack((2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1), dim=-1)
    found = functional.grid_sample(
        image, grid, mode=mode, padding_mode="border", align_corners=True
    )
    return found, inside[:, None].float()

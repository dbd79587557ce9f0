"""What the channels of a task's pictures are: the three colours, or the luma alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.base import DataError, Pixels
from trainers.metrics.pixels import LUMA, luma

CHANNELS = {"rgb": 3, "luma": 1}


@dataclass(frozen=True)
class Planes:
    """Makes of RGB what a network is given, and what it is asked for.

    Attributes:
        name: `rgb`, or `luma`: BT.601 Y from 16 to 235 in whole levels, as most papers on
            upscaling train, and as a video decoder hands it over.
    """

    name: str = "rgb"

    def __post_init__(self) -> None:
        """Refuse a name that is not known.

        Raises:
            DataError: says which are.
        """
        if self.name not in CHANNELS:
            raise DataError(f"task.planes is '{self.name}': use {' or '.join(CHANNELS)}")

    @property
    def channels(self) -> int:
        """How many a picture has."""
        return CHANNELS[self.name]

    def of_images(self, rgb: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, H, W), both in [0, 1]."""
        if self.name == "rgb":
            return rgb
        levels = torch.einsum("nchw,c->nhw", rgb, rgb.new_tensor(LUMA)).unsqueeze(1)
        return levels.add_(16.5).floor_().div_(255.0)

    def of_pixels(self, rgb: Pixels) -> Pixels:
        """(H, W, 3) -> (H, W, C)."""
        if self.name == "rgb":
            return rgb
        return np.floor(luma(rgb) + 0.5).astype(np.uint8)[..., None]

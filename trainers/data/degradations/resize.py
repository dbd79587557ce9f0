"""Smaller pictures: MATLAB's bicubic reduction, or the mean over squares."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from trainers.data.draws import Draws
from trainers.data.imresize import taps


@dataclass(frozen=True)
class Bicubic:
    """The antialiased bicubic reduction of MATLAB's `imresize`, as the papers make their data.

    Attributes:
        scale: input over output size.
    """

    scale: int = 2

    def __post_init__(self) -> None:
        """Refuse a scale below one.

        Raises:
            ValueError: says so.
        """
        if self.scale < 1:
            raise ValueError(f"the scale is {self.scale}: it must be 1 or more")

    @property
    def margin(self) -> int:
        """The kernel reaches two output pixels to either side of an output pixel's centre."""
        return 2 * self.scale if self.scale > 1 else 0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H / scale, W / scale)."""
        if self.scale == 1:
            return images
        rows = _matrix(images.shape[2], self.scale, images.dtype, images.device)
        columns = _matrix(images.shape[3], self.scale, images.dtype, images.device)
        return rows @ images @ columns.T


@dataclass(frozen=True)
class Area:
    """Every output pixel is the mean of a square, as a coarser sensor would see it.

    Attributes:
        scale: input over output size.
    """

    scale: int = 2

    @property
    def margin(self) -> int:
        """Nothing beyond the square counts."""
        return 0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H / scale, W / scale)."""
        return functional.avg_pool2d(images, self.scale)


@lru_cache(maxsize=32)
def _matrix(length: int, scale: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(length / scale, length): the reduction along one axis."""
    index, weight = taps(length, Fraction(1, scale))
    matrix = torch.zeros(len(index), length, dtype=torch.float64)
    matrix.scatter_add_(1, torch.from_numpy(index), torch.from_numpy(weight))
    return matrix.to(device=device, dtype=dtype)

"""Gaussian blur, round or elongated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainers.data.degradations.base import check_range, mirror_pad
from trainers.data.draws import Draws, Range

_MOST_SIGMA = 20.0


@dataclass(frozen=True)
class GaussianBlur:
    """Convolution with a Gaussian, drawn anew for each image.

    Attributes:
        sigma: standard deviation along the longer axis, in pixels.
        ratio: of the shorter to the longer axis; (1, 1) is round.
        angle: of the longer axis against the rows, in degrees.
        radius: of the kernel, which is 2 * radius + 1 wide; three of the largest sigma if None.
    """

    sigma: Range = (0.2, 2.0)
    ratio: Range = (1.0, 1.0)
    angle: Range = (0.0, 180.0)
    radius: int | None = None

    def __post_init__(self) -> None:
        """Refuse senseless ranges.

        Raises:
            ValueError: says what is possible.
        """
        check_range("sigma", self.sigma, least=0.05, most=_MOST_SIGMA)
        check_range("ratio", self.ratio, least=0.05, most=1.0)
        check_range("angle", self.angle, least=-360.0, most=360.0)
        if self.radius is not None and self.radius < 1:
            raise ValueError(f"the radius is {self.radius}: it must be 1 or more")

    @property
    def scale(self) -> int:
        """The size stays."""
        return 1

    @property
    def margin(self) -> int:
        """The kernel's radius."""
        return math.ceil(3 * self.sigma[1]) if self.radius is None else self.radius

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        count, channels, height, width = images.shape
        longer = draws.uniform(self.sigma, count)
        shorter = longer * draws.uniform(self.ratio, count)
        angle = draws.uniform(self.angle, count) * (math.pi / 180)
        radius = self.margin
        padded = mirror_pad(images, radius)
        if tuple(self.ratio) == (1.0, 1.0):
            return _separable(padded, _profile(longer, radius).to(images.dtype))
        kernels = gaussian_kernels(longer, shorter, angle, radius=radius).to(images.dtype)
        stacked = kernels.repeat_interleave(channels, 0)[:, None]
        flat = padded.reshape(1, count * channels, *padded.shape[2:])
        blurred = functional.conv2d(flat, stacked, groups=count * channels)
        return blurred.reshape(count, channels, height, width)


def gaussian_kernels(longer: Tensor, shorter: Tensor, angle: Tensor, *, radius: int) -> Tensor:
    """Sampled Gaussians that add up to one.

    Args:
        longer: (N,) standard deviation along the longer axis, pixels.
        shorter: (N,) across it.
        angle: (N,) of the longer axis against the rows, radians, from left-right towards down.
        radius: of the kernels.

    Returns:
        (N, 2 * radius + 1, 2 * radius + 1).
    """
    along = torch.arange(-radius, radius + 1, dtype=torch.float32, device=longer.device)
    y, x = along[None, :, None], along[None, None, :]
    cos, sin = (f(angle)[:, None, None] for f in (torch.cos, torch.sin))
    u = (x * cos + y * sin) / longer[:, None, None]
    v = (y * cos - x * sin) / shorter[:, None, None]
    kernels = torch.exp(-0.5 * (u * u + v * v))
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def _profile(sigma: Tensor, radius: int) -> Tensor:
    """(N, 2 * radius + 1): a Gaussian along one axis, adding up to one."""
    along = torch.arange(-radius, radius + 1, dtype=torch.float32, device=sigma.device)
    profile = torch.exp(-0.5 * (along / sigma[:, None]) ** 2)
    return profile / profile.sum(dim=1, keepdim=True)


def _separable(padded: Tensor, profile: Tensor) -> Tensor:
    """Convolve (N, C, H + 2r, W + 2r) along rows and columns -> (N, C, H, W)."""
    count, channels, height, width = padded.shape
    kernels = profile.repeat_interleave(channels, 0)
    flat = padded.reshape(1, count * channels, height, width)
    rows = functional.conv2d(flat, kernels[:, None, :, None], groups=count * channels)
    both = functional.conv2d(rows, kernels[:, None, None, :], groups=count * channels)
    return both.reshape(count, channels, *both.shape[2:])

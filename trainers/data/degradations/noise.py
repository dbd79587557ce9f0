"""The noise of cameras: of their electronics and of light itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.data.degradations.base import check_range
from trainers.data.draws import Draws, Range

_MOST_PHOTONS = 1e6
_FEW_PHOTONS = 24.0


@dataclass(frozen=True)
class GaussianNoise:
    """Additive white Gaussian noise, not clipped.

    Attributes:
        sigma: standard deviation in levels of 8 bits (0 to 255), drawn anew for each image.
    """

    sigma: Range = (0.0, 25.0)

    def __post_init__(self) -> None:
        """Refuse a senseless range.

        Raises:
            ValueError: says what is possible.
        """
        check_range("sigma", self.sigma, least=0.0, most=255.0)

    @property
    def scale(self) -> int:
        """The size stays."""
        return 1

    @property
    def margin(self) -> int:
        """A pixel is on its own."""
        return 0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        sigma = draws.uniform(self.sigma, len(images)).to(images.dtype) / 255.0
        return torch.addcmul(images, draws.normal_like(images), sigma[:, None, None, None])


@dataclass(frozen=True)
class PoissonNoise:
    """Shot noise: each channel of each pixel counts photons. Not clipped.

    Attributes:
        photons: counted on average where the picture is white, drawn anew for each image, evenly
            in the logarithm. 10 is a very dark scene, 10000 daylight.
    """

    photons: Range = (30.0, 3000.0)

    def __post_init__(self) -> None:
        """Refuse a senseless range.

        Raises:
            ValueError: says what is possible.
        """
        check_range("photons", self.photons, least=1.0, most=_MOST_PHOTONS)

    @property
    def scale(self) -> int:
        """The size stays."""
        return 1

    @property
    def margin(self) -> int:
        """A pixel is on its own."""
        return 0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        ends = torch.tensor(self.photons).log().tolist()
        photons = draws.uniform((ends[0], ends[1]), len(images)).exp()[:, None, None, None]
        counts = poisson(images.clamp(min=0.0) * photons, draws)
        return (counts / photons).to(images.dtype)


def poisson(mean: Tensor, draws: Draws) -> Tensor:
    """Poisson-distributed counts.

    Below 24 they are exact. Above, where exact ones cost ten times as much, they are rounded from
    a normal number z that is bent by the Cornish-Fisher expansion to the skewness of the
    distribution: mean + sqrt(mean) z + (z^2 - 1) / 6.

    Source: E. Cornish, R. Fisher, "Moments and cumulants in the specification of distributions",
    1938.
    """
    z = draws.normal_like(mean)
    many = (mean + mean.sqrt() * z + (z * z - 1.0) / 6.0).round_()
    few = mean < _FEW_PHOTONS
    exact = torch.poisson(torch.where(few, mean, 0.0), generator=draws.device)
    return torch.where(few, exact, many)

"""Losses that look at edges and fine detail, where the eye does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.losses.base import Term
from trainers.losses.filters import gaussian, gaussian_curvature, separable


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradient(Term):
    """Mean absolute difference of the finite differences along both axes."""

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar; blind to a constant offset."""
        error = prediction - target
        down = error[..., 1:, :] - error[..., :-1, :]
        across = error[..., :, 1:] - error[..., :, :-1]
        return 0.5 * (down.abs().mean() + across.abs().mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class Sobel(Term):
    """Mean absolute difference of the Sobel gradients: finite differences, smoothed across.

    The 3 x 3 operators are divided by 8, so that a ramp of one level per pixel has gradient one.
    """

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar; blind to a constant offset."""
        error = prediction - target
        rows = error[..., :-2, :] + 2 * error[..., 1:-1, :] + error[..., 2:, :]
        columns = error[..., :, :-2] + 2 * error[..., :, 1:-1] + error[..., :, 2:]
        across = rows[..., :, 2:] - rows[..., :, :-2]
        down = columns[..., 2:, :] - columns[..., :-2, :]
        return 0.5 * (down.abs().mean() + across.abs().mean()) / 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Laplacian(Term):
    """Mean absolute difference after the five-point Laplacian: the highest frequencies alone."""

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar; blind to a constant slope."""
        error = prediction - target
        centre = error[..., 1:-1, 1:-1]
        vertical = error[..., 2:, 1:-1] + error[..., :-2, 1:-1]
        horizontal = error[..., 1:-1, 2:] + error[..., 1:-1, :-2]
        return (vertical + horizontal - 4 * centre).abs().mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class HFEN(Term):
    """High-frequency error norm: mean absolute difference after a Laplacian of Gaussian.

    Source: Ravishankar & Bresler, "MR image reconstruction from highly undersampled k-space data
    by dictionary learning", 2011: 15 x 15 taps, sigma 1.5. They report the l2 norm; the mean
    absolute value here has a gradient that does not blow up near equality. Windows inside the
    picture only.

    Attributes:
        size: taps along each axis.
        sigma: pixels.
    """

    size: int = 15
    sigma: float = 1.5

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar; blind to a constant offset."""
        error = prediction - target
        bell = gaussian(self.size, self.sigma, error.device)
        bend = gaussian_curvature(self.size, self.sigma, error.device)
        along_h = separable(error, down=bend, across=bell)
        along_w = separable(error, down=bell, across=bend)
        return (along_h + along_w).abs().mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class FocalFrequency(Term):
    """Squared difference of the spectra, where the hardest frequencies count most.

    Source: Jiang et al., "Focal frequency loss for image reconstruction and synthesis", 2021,
    eq. 8 and 9: each frequency's squared distance is weighted by its own distance to the power
    `alpha`, over the largest of the channel; no gradient passes through the weights. The
    transform is orthonormal, so with `alpha` 0 it is the mean squared error.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what would let the easiest frequencies count most.

        Raises:
            ValueError: alpha is out of its range.
        """
        super().__post_init__()
        if not 0 <= self.alpha <= 10:
            raise ValueError(f"alpha of FocalFrequency is {self.alpha}: use 0 to 10")

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar."""
        spectrum: Tensor = torch.fft.fft2(prediction - target, norm="ortho")
        squared = spectrum.real.square() + spectrum.imag.square()
        focus = squared.detach().pow(0.5 * self.alpha)
        largest = focus.amax(dim=(-2, -1), keepdim=True)
        share: Tensor = focus / largest.clamp_min(torch.finfo(focus.dtype).tiny)
        return (share * squared).mean()

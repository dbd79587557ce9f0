"""Structural similarity as a loss: local means, contrasts and correlations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from trainers.losses.base import Term
from trainers.losses.filters import gaussian, separable

WINDOW = 11
SIGMA = 1.5
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first: Wang, Simoncelli & Bovik, 2003."""
_C1 = 0.01**2
_C2 = 0.03**2
_LEAST = 1e-4
"""A correlation may be negative, which has no fractional power."""


def similarity(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The luminance map and the contrast-and-structure map, whose product is SSIM.

    Source: Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004: 11 x 11 Gaussian window, sigma 1.5, windows inside the picture only.

    Args:
        prediction: (N, C, H, W), peak 1.
        target: (N, C, H, W).

    Returns:
        Two of (N, C, H - 10, W - 10).
    """
    taps = gaussian(WINDOW, SIGMA, prediction.device)
    stacked = torch.stack(
        (prediction, target, prediction.square(), target.square(), prediction * target)
    )
    mean1, mean2, square1, square2, product = separable(stacked, down=taps, across=taps)
    var1, var2 = square1 - mean1.square(), square2 - mean2.square()
    covariance = product - mean1 * mean2
    luminance = (2 * mean1 * mean2 + _C1) / (mean1.square() + mean2.square() + _C1)
    return luminance, (2 * covariance + _C2) / (var1 + var2 + _C2)


@dataclass(frozen=True, kw_only=True, eq=False)
class SSIM(Term):
    """One minus the mean structural similarity over all channels; 0 at equality, 2 at most.

    Source: Wang et al., 2004, see `similarity`.
    """

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice, at least 11 x 11 -> a scalar."""
        luminance, structure = similarity(prediction, target)
        return 1 - (luminance * structure).mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiScaleSSIM(Term):
    """One minus the multi-scale structural similarity.

    Source: Wang, Simoncelli & Bovik, "Multiscale structural similarity for image quality
    assessment", 2003, eq. 7: contrast and structure at every scale, luminance at the coarsest,
    means of 2 x 2 pixels in between. Each channel counts as a picture of its own.

    Attributes:
        scales: the paper's five need pictures of 176 pixels or more. With fewer, the finest are
            kept and their exponents sum to 1 again; then it is not the paper's index any more.
    """

    scales: int = 5

    def __post_init__(self) -> None:
        """Refuse a number of scales that has no exponents.

        Raises:
            ValueError: `scales` is not 1 to 5, or the weight is not positive.
        """
        super().__post_init__()
        if not 1 <= self.scales <= len(MS_SSIM_WEIGHTS):
            raise ValueError(f"MultiScaleSSIM has 1 to 5 scales, not {self.scales}")

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice, at least 11 * 2**(scales - 1) along both axes -> a scalar.

        Raises:
            ValueError: the images are too small for so many scales.
        """
        needed = WINDOW * 2 ** (self.scales - 1)
        if min(prediction.shape[-2:]) < needed:
            height, width = prediction.shape[-2:]
            raise ValueError(
                f"MultiScaleSSIM with {self.scales} scales needs images of {needed}x{needed}, "
                f"these are {height}x{width}: use larger crops or fewer scales"
            )
        weights = MS_SSIM_WEIGHTS[: self.scales]
        total = prediction.new_ones(prediction.shape[:2])
        for scale, weight in enumerate(weights):
            if scale:
                prediction, target = avg_pool2d(prediction, 2), avg_pool2d(target, 2)
            luminance, structure = similarity(prediction, target)
            last = scale == self.scales - 1
            part = (luminance * structure if last else structure).mean(dim=(-2, -1))
            total = total * part.clamp_min(_LEAST).pow(weight / sum(weights))
        return 1 - total.mean()

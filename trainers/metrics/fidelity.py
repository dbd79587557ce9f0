"""PSNR, SSIM and multi-scale SSIM by the protocol of the super-resolution papers.

`_y` judges the luma, as super-resolution papers do; `_rgb` the three channels (PSNR of their
common error, SSIM as their mean), as denoising papers and the challenges do. `border` pixels are
left out on every side; the super-resolution papers' value is the scale, the denoising papers' 0.
"""

from __future__ import annotations

import math

import numpy as np

from trainers.base import Pixels
from trainers.metrics.pixels import Floats, inside, luma

_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
MOST_DB = 10 * math.log10(12 * 255**2)
"""58.92 dB: what rounding to whole levels, an error of mean square 1/12, leaves of a perfect
picture. No network is credited with more for one picture."""
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr_y(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Peak signal-to-noise ratio of the luma, dB, peak 255; infinite for equal pictures.

    Args:
        prediction: (H, W, 3).
        target: (H, W, 3).
        border: pixels left out on every side.

    Raises:
        ValueError: the two sizes differ.
    """
    return _psnr(*inside(luma(prediction), luma(target), border))


def psnr_rgb(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Peak signal-to-noise ratio over all channels, dB; see `psnr_y`."""
    one, other = inside(prediction, target, border)
    return _psnr(one.astype(np.float64), other.astype(np.float64))


def credited(psnr_db: float) -> float:
    """What a PSNR counts where it enters a mean: at most `MOST_DB`.

    Ordinary pictures are far below. One that comes out exactly would outweigh all the others,
    and is not better than one that was perfect before it was rounded.
    """
    return min(psnr_db, MOST_DB)


def ssim_y(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Structural similarity of the luma: 11 x 11 Gaussian window, sigma 1.5, K 0.01 and 0.03.

    Source: Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004, eq. 13; population variances, windows inside the picture only.

    Args:
        prediction: (H, W, 3), at least 11 pixels inside the border.
        target: (H, W, 3).
        border: pixels left out on every side.

    Raises:
        ValueError: the two sizes differ, or the pictures are too small.
    """
    return _ssim(*inside(luma(prediction), luma(target), border))


def ssim_rgb(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Mean of the structural similarity of R, G and B; see `ssim_y`."""
    one, other = inside(prediction, target, border)
    return float(np.mean([_ssim(*pair) for pair in _channels(one, other)]))


def ms_ssim_y(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Multi-scale structural similarity of the luma over five scales.

    Source: Wang, Simoncelli & Bovik, "Multiscale structural similarity for image quality
    assessment", 2003, eq. 7; means of 2 x 2 pixels between the scales, a last odd row or column
    left out; a negative mean counts as 0.

    Args:
        prediction: (H, W, 3), at least 176 pixels inside the border.
        target: (H, W, 3).
        border: pixels left out on every side.

    Raises:
        ValueError: the two sizes differ, or the pictures are too small.
    """
    return _ms_ssim(*inside(luma(prediction), luma(target), border))


def ms_ssim_rgb(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Mean of the multi-scale structural similarity of R, G and B; see `ms_ssim_y`."""
    one, other = inside(prediction, target, border)
    return float(np.mean([_ms_ssim(*pair) for pair in _channels(one, other)]))


def _channels(one: Pixels, other: Pixels) -> list[tuple[Floats, Floats]]:
    return [
        (one[..., k].astype(np.float64), other[..., k].astype(np.float64))
        for k in range(one.shape[-1])
    ]


def _psnr(one: Floats, other: Floats) -> float:
    error = float(np.mean((one - other) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def _blur(image: Floats) -> Floats:
    """Gaussian of 11 taps along both axes, only where the window fits: 10 pixels less each way."""
    taps = np.exp(-0.5 * ((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) ** 2)
    taps /= taps.sum()
    height, width = (side - _WINDOW + 1 for side in image.shape)
    rows = taps[0] * image[:height]
    for k in range(1, _WINDOW):
        rows += taps[k] * image[k : k + height]
    blurred: Floats = taps[0] * rows[:, :width]
    for k in range(1, _WINDOW):
        blurred += taps[k] * rows[:, k : k + width]
    return blurred


def _similarity(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The luminance map and the contrast-and-structure map of two grey pictures."""
    if min(one.shape) < _WINDOW:
        height, width = one.shape
        raise ValueError(f"SSIM needs {_WINDOW}x{_WINDOW} pixels, these are {height}x{width}")
    mean1, mean2 = _blur(one), _blur(other)
    var1 = _blur(one * one) - mean1**2
    var2 = _blur(other * other) - mean2**2
    covariance = _blur(one * other) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + _C1) / (mean1**2 + mean2**2 + _C1)
    return luminance, (2 * covariance + _C2) / (var1 + var2 + _C2)


def _ssim(one: Floats, other: Floats) -> float:
    luminance, structure = _similarity(one, other)
    return float(np.mean(luminance * structure))


def _ms_ssim(one: Floats, other: Floats) -> float:
    last = len(_SCALE_WEIGHTS) - 1
    needed = _WINDOW * 2**last
    if min(one.shape) < needed:
        height, width = one.shape
        raise ValueError(f"MS-SSIM needs {needed}x{needed} pixels, these are {height}x{width}")
    product = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            one, other = _halve(one), _halve(other)
        luminance, structure = _similarity(one, other)
        part = np.mean(luminance * structure if scale == last else structure)
        product *= max(float(part), 0.0) ** weight
    return product


def _halve(image: Floats) -> Floats:
    height, width = (side // 2 * 2 for side in image.shape)
    image = image[:height, :width]
    halved: Floats = image.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return halved

"""PSNR and SSIM by the protocol of the super-resolution papers.

The picture is clipped and rounded to 8 bits, turned into BT.601 studio luma (not rounded again, as
BasicSR does it), and `border` pixels are left out on every side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainers.base import Pixels

Floats = NDArray[np.float64]

_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0
_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def to_pixels(output: NDArray[np.floating]) -> Pixels:
    """A network's output (1, 3, H, W), nominally in [0, 1] -> (H, W, 3), clipped and rounded.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    if not np.isfinite(output).all():
        raise FloatingPointError("the network's output has values that are not finite")
    levels = np.clip(np.floor(output[0] * np.float32(255) + np.float32(0.5)), 0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))


def luma(pixels: Pixels) -> Floats:
    """(H, W, 3) -> (H, W): BT.601 Y in studio range, 16 to 235."""
    luminance: Floats = 16.0 + pixels.astype(np.float64) @ _LUMA
    return luminance


def _compared(prediction: Pixels, target: Pixels, border: int) -> tuple[Floats, Floats]:
    if prediction.shape != target.shape:
        raise ValueError(
            f"the prediction is {prediction.shape} and the target {target.shape}: "
            "pictures of one size are needed"
        )
    inside = (slice(border, -border or None),) * 2
    return luma(prediction)[inside], luma(target)[inside]


def psnr_y(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Peak signal-to-noise ratio of the luma, dB, peak 255; infinite for equal pictures.

    Args:
        prediction: (H, W, 3).
        target: (H, W, 3).
        border: pixels left out on every side, the papers' value is the scale.

    Raises:
        ValueError: the two sizes differ.
    """
    one, other = _compared(prediction, target, border)
    error = float(np.mean((one - other) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def _blur(image: Floats) -> Floats:
    """Gaussian of 11 taps along both axes, only where the window fits: 10 pixels less each way."""
    taps = np.exp(-0.5 * ((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        length = image.shape[axis] - _WINDOW + 1
        parts = [np.take(image, range(k, k + length), axis) * taps[k] for k in range(_WINDOW)]
        image = np.sum(parts, axis=0)
    return image


def ssim_y(prediction: Pixels, target: Pixels, *, border: int) -> float:
    """Structural similarity of the luma: 11 x 11 Gaussian window, sigma 1.5, K 0.01 and 0.03.

    Source: Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004, eq. 13; population variances, windows inside the picture only.

    Args:
        prediction: (H, W, 3), at least 11 pixels inside the border.
        target: (H, W, 3).
        border: pixels left out on every side.

    Raises:
        ValueError: the two sizes differ.
    """
    one, other = _compared(prediction, target, border)
    mean1, mean2 = _blur(one), _blur(other)
    var1 = _blur(one * one) - mean1**2
    var2 = _blur(other * other) - mean2**2
    covariance = _blur(one * other) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + _C1) / (mean1**2 + mean2**2 + _C1)
    structure = (2 * covariance + _C2) / (var1 + var2 + _C2)
    return float(np.mean(luminance * structure))

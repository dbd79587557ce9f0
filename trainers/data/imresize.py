"""Bicubic resizing as MATLAB's `imresize` does it: the reduction of the papers' data.

Widely used substitutes differ (PIL renormalises at the edges and rounds in fixed point, torch's
plain bicubic has a = -0.75 and no antialiasing), by up to tenths of a dB.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

A = -0.5


def cubic(x: Floats) -> Floats:
    """Keys' cubic convolution kernel with a = -0.5; zero from |x| = 2 on.

    Source: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 15.
    """
    d = np.abs(x)
    near = ((A + 2) * d - (A + 3)) * d * d + 1
    far = ((A * d - 5 * A) * d + 8 * A) * d - 4 * A
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@lru_cache(maxsize=64)
def taps(length: int, scale: Fraction) -> tuple[Indices, Floats]:
    """Which input samples make each output sample along one axis, and with which weight.

    The kernel is widened by 1 / scale when shrinking (antialiasing); samples beyond the edge are
    mirrored, the edge sample itself repeated; weights of an output sample sum to one.

    Returns:
        Indices and weights, both (output length, taps).
    """
    out_length = -(-length * scale.numerator // scale.denominator)
    shrink = min(1.0, float(scale))
    reach = 2.0 / shrink
    # Pixel centres are aligned at half-integers.
    centre = (np.arange(out_length) + 0.5) / float(scale) - 0.5
    first = np.floor(centre - reach).astype(np.intp)
    index = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weight = cubic(shrink * (centre[:, None] - index))
    weight /= weight.sum(axis=1, keepdims=True)
    used = np.any(weight != 0, axis=0)
    folded = np.mod(index, 2 * length)
    folded = np.where(folded < length, folded, 2 * length - 1 - folded)
    return folded[:, used], weight[:, used]


def _along_rows(image: Floats, scale: Fraction) -> Floats:
    index, weight = taps(image.shape[0], scale)
    out = np.zeros((len(index), *image.shape[1:]))
    for k in range(index.shape[1]):
        out += weight[:, k, None, None] * image[index[:, k]]
    return out


def resize(image: NDArray[np.uint8], scale: Fraction | int) -> NDArray[np.uint8]:
    """Resize by `scale` along both axes, rounding half up.

    Args:
        image: (H, W, C).
        scale: output size over input size; `Fraction(1, 2)` halves.

    Returns:
        (ceil(H * scale), ceil(W * scale), C).
    """
    ratio = Fraction(scale)
    rows = _along_rows(image.astype(np.float64), ratio)
    both = _along_rows(rows.transpose(1, 0, 2), ratio).transpose(1, 0, 2)
    return np.ascontiguousarray(np.clip(np.floor(both + 0.5), 0, 255).astype(np.uint8))


def shrink(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """(H, W, C) -> (H / times, W / times, C): the low-resolution picture of the papers."""
    return resize(image, Fraction(1, times))


def enlarge(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """(h, w, C) -> (h * times, w * times, C): the bicubic baseline of the papers."""
    return resize(image, times)


def crop_to_multiple(image: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """Cut rows and columns off at the bottom and the right until both are multiples."""
    height, width = (n - n % multiple for n in image.shape[:2])
    return image[:height, :width]

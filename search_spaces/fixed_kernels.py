"""Fixed upsamplers written as one convolution before DepthToSpace.

Enlarging by f is, per output phase, a small filter on the low-resolution image. Written so, the
residual base of a super-resolution network costs one thin convolution at low resolution instead
of a Resize and an Add at high resolution, and runs in int8 like everything else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search_spaces.base import UnknownName

REACH = {"nearest": 0, "bilinear": 1, "bicubic": 2}


def kernel_size(name: str) -> int:
    """Side of the square kernel for one upsampler.

    Raises:
        UnknownName: no such upsampler.
    """
    if name not in REACH:
        raise UnknownName("upsampler", name, list(REACH))
    return 2 * REACH[name] + 1


def phases(name: str, factor: int, channels: int, groups: int = 1) -> NDArray[np.float32]:
    """Weights (C * factor^2, C / groups, k, k) whose DepthToSpace (CRD) is the enlarged image.

    Pixel centres are aligned at half-integers; bicubic is Keys' kernel with a = -0.5 (Keys,
    "Cubic convolution interpolation", 1981), as MATLAB's imresize and unlike torch's a = -0.75.
    """
    size = kernel_size(name)
    positions = (np.arange(factor) + 0.5) / factor - 0.5
    taps = np.arange(size) - size // 2
    rows = _weight(name, positions[:, None] - taps[None, :])
    filters = np.einsum("iy,jx->ijyx", rows, rows).reshape(factor * factor, size, size)
    weight = np.zeros((channels * factor * factor, channels // groups, size, size), np.float32)
    for c in range(channels):
        at = slice(c * factor * factor, (c + 1) * factor * factor)
        weight[at, c % (channels // groups)] = filters
    return weight


def _weight(name: str, distance: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(distance)
    if name == "nearest":
        return np.where(x <= 0.5, 1.0, 0.0)
    if name == "bilinear":
        return np.maximum(0.0, 1.0 - x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1.0
    far = -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))

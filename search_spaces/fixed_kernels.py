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
LUMA = "luma_"
"""Before an upsampler's name: it enlarges luma that comes as four phases at half its size."""


def kernel_size(name: str) -> int:
    """Side of the square kernel for one upsampler.

    Raises:
        UnknownName: no such upsampler.
    """
    plain = name.removeprefix(LUMA)
    if plain not in REACH:
        raise UnknownName("upsampler", plain, list(REACH))
    if name != plain:
        return 1 if plain == "nearest" else 3
    return 2 * REACH[name] + 1


def phases(name: str, factor: int, channels: int, groups: int = 1) -> NDArray[np.float32]:
    """Weights (C * factor^2, C / groups, k, k) whose DepthToSpace (CRD) is the enlarged image.

    Pixel centres are aligned at half-integers; bicubic is Keys' kernel with a = -0.5 (Keys,
    "Cubic convolution interpolation", 1981), as MATLAB's imresize and unlike torch's a = -0.75.
    """
    size = kernel_size(name)
    if name.startswith(LUMA):
        return _luma_phases(name.removeprefix(LUMA), factor, size)
    positions = (np.arange(factor) + 0.5) / factor - 0.5
    taps = np.arange(size) - size // 2
    rows = _weight(name, positions[:, None] - taps[None, :])
    filters = np.einsum("iy,jx->ijyx", rows, rows).reshape(factor * factor, size, size)
    weight = np.zeros((channels * factor * factor, channels // groups, size, size), np.float32)
    for c in range(channels):
        at = slice(c * factor * factor, (c + 1) * factor * factor)
        weight[at, c % (channels // groups)] = filters
    return weight


def packed_kernel(name: str, packed: int) -> int:
    """Side of the kernel that holds an upsampler on a picture of `packed` x `packed` phases.

    Raises:
        UnknownName: no such upsampler.
    """
    side = kernel_size(name)
    return side if packed == 1 else min(side, 3)


def packed_phases(
    name: str, factor: int, channels: int, *, packed: int = 1
) -> NDArray[np.float32]:
    """Weights from a picture packed by SpaceToDepth to the enlarged picture's phases.

    Args:
        factor: the enlarged size over the picture's size before it was packed.
        channels: of the picture.
        packed: the factor of the SpaceToDepth; 1 for the picture as it is.

    Returns:
        (C * (factor * packed)^2, C * packed^2, k, k), with k of `packed_kernel`; DepthToSpace
        (CRD) by `factor * packed` of the result is the enlarged picture.
    """
    size, side = packed_kernel(name, packed), factor * packed
    positions = (np.arange(side) + 0.5) / factor - 0.5
    taps = np.arange(packed * size) - packed * (size // 2)
    rows = _weight(name, positions[:, None] - taps[None, :]).reshape(side, size, packed)
    filters = np.einsum("iyu,jxv->ijuvyx", rows, rows)
    filters = filters.reshape(side * side, packed * packed, size, size)
    shape = (channels, side * side, packed * packed, channels, size, size)
    weight = np.zeros(shape, np.float32)
    for c in range(channels):
        weight[c, :, :, c] = filters
    return weight.reshape(channels * side * side, packed * packed * channels, size, size)


def _luma_phases(name: str, factor: int, size: int) -> NDArray[np.float32]:
    """Weights (4 * factor^2, 4, k, k) from packed luma to packed luma `factor` times as large.

    Input channel 2u + v holds the pixels (2y + u, 2x + v), as SpaceToDepth gives them;
    DepthToSpace (CRD) of the result has the enlarged luma packed in the same way.
    """
    place, tap = np.arange(2 * factor), np.arange(2 * size)
    positions = (place + 0.5) / factor - 0.5
    rows = _weight(name, positions[:, None] - (tap - 2 * (size // 2))[None, :])
    # Row 2a + i of an enlarged block is row a of channel i; tap 2k + u is row k of channel u.
    rows = rows.reshape(factor, 2, size, 2)
    weight = np.einsum("aiyu,bjxv->ijabuvyx", rows, rows)
    shape = (4 * factor * factor, 4, size, size)
    return np.ascontiguousarray(weight.reshape(shape), dtype=np.float32)


def _weight(name: str, distance: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(distance)
    if name == "nearest":
        return np.where(x <= 0.5, 1.0, 0.0)
    if name == "bilinear":
        return np.maximum(0.0, 1.0 - x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1.0
    far = -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))

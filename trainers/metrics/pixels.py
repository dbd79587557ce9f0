"""From what a network puts out to the 8-bit pictures that are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime import as_pixels
from trainers.base import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
_P = TypeVar("_P", Pixels, Floats)

LUMA = (65.481, 128.553, 24.966)
"""How much full red, green and blue add to Y of BT.601, which begins at 16 (levels of 8 bits)."""
PHASES = 4
"""Of the luma, in a picture of a decoder's planes: pixel (2 y + i, 2 x + j) is channel 2 i + j."""


def as_array(output: NDArray[np.floating] | Tensor) -> NDArray[np.floating]:
    """An engine's array as it is; a module's tensor as a float32 array."""
    if isinstance(output, np.ndarray):
        return output
    array: NDArray[np.float32] = output.detach().float().cpu().numpy()
    return array


def to_pixels(output: NDArray[np.floating] | Tensor) -> Pixels:
    """A network's output (1, C, H, W), nominally in [0, 1] -> (H, W, C), clipped and rounded.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    return as_pixels(as_array(output))


def luma(pixels: Pixels) -> Floats:
    """(H, W, C) -> (H, W): BT.601 Y in studio range, 16 to 235, not rounded again.

    A picture of one channel is its luma already; one of six, a decoder's planes, is luma of
    (2 H, 2 W) in four phases.
    """
    if pixels.shape[-1] == PHASES + 2:
        height, width = pixels.shape[:2]
        phases = pixels[..., :PHASES].reshape(height, width, 2, 2).astype(np.float64)
        return phases.transpose(0, 2, 1, 3).reshape(2 * height, 2 * width)
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float64)
    luminance: Floats = 16.0 + pixels.astype(np.float64) @ (np.array(LUMA) / 255.0)
    return luminance


def inside(prediction: _P, target: _P, border: int) -> tuple[_P, _P]:
    """Both pictures (H, W, C), or one plane (H, W) of each, without `border` pixels on every side.

    Raises:
        ValueError: the two sizes differ, or nothing is left.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"the prediction is {prediction.shape} and the target {target.shape}: "
            "pictures of one size are needed"
        )
    if min(prediction.shape[:2]) <= 2 * border:
        raise ValueError(f"a border of {border} leaves nothing of pictures {prediction.shape}")
    window = (slice(border, -border or None),) * 2
    return prediction[window], target[window]

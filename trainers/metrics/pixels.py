"""From what a network puts out to the 8-bit pictures that are judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainers.base import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0


def as_array(output: NDArray[np.floating] | Tensor) -> NDArray[np.floating]:
    """An engine's array as it is; a module's tensor as a float32 array."""
    if isinstance(output, np.ndarray):
        return output
    array: NDArray[np.float32] = output.detach().float().cpu().numpy()
    return array


def to_pixels(output: NDArray[np.floating] | Tensor) -> Pixels:
    """A network's output (1, 3, H, W), nominally in [0, 1] -> (H, W, 3), clipped and rounded.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    array = as_array(output)
    if not np.isfinite(array).all():
        raise FloatingPointError("the network's output has values that are not finite")
    levels = np.clip(np.floor(array[0] * np.float32(255) + np.float32(0.5)), 0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))


def luma(pixels: Pixels) -> Floats:
    """(..., H, W, 3) -> (..., H, W): BT.601 Y in studio range, 16 to 235, not rounded again."""
    luminance: Floats = 16.0 + pixels.astype(np.float64) @ _LUMA
    return luminance


def inside(prediction: Pixels, target: Pixels, border: int) -> tuple[Pixels, Pixels]:
    """Both pictures (H, W, 3) without `border` pixels on every side.

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

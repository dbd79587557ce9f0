"""From a picture to a network's input, and from its output to a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(H, W, C), 0 to 255."""
Floats = NDArray[np.float32]


def as_input(pixels: Pixels) -> Floats:
    """(h, w, C) -> (1, C, h, w) in [0, 1]."""
    channels = pixels.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(channels)


def as_pixels(output: NDArray[np.floating]) -> Pixels:
    """An output (1, C, H, W), nominally in [0, 1] -> (H, W, C), clipped and rounded.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    if not np.isfinite(output).all():
        raise FloatingPointError("the network's output has values that are not finite")
    levels = np.clip(np.floor(output[0] * np.float32(255) + np.float32(0.5)), 0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))

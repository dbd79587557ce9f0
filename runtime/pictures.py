"""From a picture to a network's input, and from its output to a picture."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

Pixels = NDArray[np.uint8]
"""(H, W, C), 0 to 255."""
Levels = NDArray[np.unsignedinteger]
"""The same, or of 16 bits: 0 to 65535."""
Floats = NDArray[np.float32]
IO = Literal["float_nchw", "uint8_nchw", "uint8_nhwc"]
"""How pictures enter and leave a file: numbers in [0, 1] of shape (N, C, H, W); or levels of 8
bits, channels first or last. What is no picture (a state, motion, a vector) is always float."""
IO_KINDS: tuple[IO, ...] = ("float_nchw", "uint8_nchw", "uint8_nhwc")


def as_input(pixels: Levels) -> Floats:
    """(h, w, C) -> (1, C, h, w) in [0, 1]; several pictures (N, h, w, C) -> (N, C, h, w)."""
    several = pixels if pixels.ndim == 4 else pixels[None]
    channels = several.transpose(0, 3, 1, 2).astype(np.float32)
    return np.ascontiguousarray(channels / np.float32(np.iinfo(pixels.dtype).max))


def as_pixels(output: NDArray[np.floating]) -> Pixels:
    """An output (1, C, H, W), nominally in [0, 1] -> (H, W, C), clipped and rounded.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    return np.asarray(as_levels(output, np.uint8)[0], np.uint8)


def as_levels(output: NDArray[np.floating], dtype: DTypeLike) -> Levels:
    """Outputs (N, C, H, W), nominally in [0, 1] -> (N, H, W, C) of 8 or 16 bits.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    if not (np.isfinite(output.min()) and np.isfinite(output.max())):
        raise FloatingPointError("the network's output has values that are not finite")
    count, channels, height, width = output.shape
    peak, made = np.iinfo(np.dtype(dtype)).max, np.empty((count, height, width, channels), dtype)
    for channel in range(channels):
        levels = output[:, channel] * np.float32(peak)
        levels += np.float32(0.5)
        # What is not negative is rounded down where it becomes a whole number.
        made[..., channel] = np.clip(levels, 0, peak, out=levels)
    return made


def entering(values: Floats, io: str) -> NDArray[np.float32] | NDArray[np.uint8]:
    """(N, C, h, w) in [0, 1] as a file takes them; levels are rounded and clipped."""
    if io == "float_nchw":
        return values
    levels = np.clip(np.rint(values * np.float32(255)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1)) if io == "uint8_nhwc" else levels


def leaving(made: NDArray[np.float32] | NDArray[np.uint8], io: str) -> Floats:
    """What a file gives as (N, C, H, W) in [0, 1]."""
    if io == "uint8_nhwc":
        made = made.transpose(0, 3, 1, 2)
    if io == "float_nchw":
        return np.asarray(made, np.float32)
    return np.ascontiguousarray(made.astype(np.float32) / np.float32(255))

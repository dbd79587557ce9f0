"""Colours as networks see them: RGB, the luma alone, or the planes of a video decoder.

Values are those that networks are trained on: BT.601 in studio range (Y from 16 to 235), in whole
levels where the picture has 8 bits.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from runtime.bicubic import enlarge
from runtime.pictures import Floats, Levels, as_input, as_levels

_N = TypeVar("_N", bound=np.generic)
CHANNELS = {"rgb": 3, "luma": 1, "ycbcr420": 6}
_TO_YCBCR = np.array(
    [(65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)]
) / 255.0  # fmt: skip
_ZERO = np.array([16.0, 128.0, 128.0]) / 255.0
_BACK = np.linalg.inv(_TO_YCBCR)


def planes_of(channels: int) -> str:
    """What a network of so many channels sees, where nothing tells; empty for none of these."""
    return next((name for name, count in CHANNELS.items() if count == channels), "")


def cell_of(planes: str) -> int:
    """How many pixels of a picture, along a side, make one of its planes."""
    return 2 if planes == "ycbcr420" else 1


def as_planes(pixels: Levels, planes: str) -> Floats:
    """Pictures as a network takes them.

    Args:
        pixels: (N, h, w, 3) of RGB, or (N, h, w, C) that are planes already.
        planes: what to make of RGB; empty for what is planes already.

    Returns:
        (N, C, h / cell, w / cell) in [0, 1].
    """
    if planes in ("", "rgb"):
        return as_input(pixels)
    ycbcr = _ycbcr(pixels)
    made = ycbcr[:, :1] if planes == "luma" else packed(ycbcr[:, :1], _halved(ycbcr[:, 1:]))
    if pixels.dtype != np.uint8:
        return made
    levels: Floats = np.floor(made * np.float32(255) + np.float32(0.5)) / np.float32(255)
    return levels


def as_picture(output: Floats, pixels: Levels, planes: str) -> Levels:
    """Pictures of what a network made.

    Args:
        output: (N, C, H, W).
        pixels: what `as_planes` was given; where the network makes no colour it is theirs,
            enlarged bicubically.
        planes: what `as_planes` was given.

    Returns:
        (N, H, W, 3) of RGB in as many bits, or (N, H, W, C) where planes were given.

    Raises:
        FloatingPointError: the output has values that are not finite.
    """
    if planes in ("", "rgb"):
        return as_levels(output, pixels.dtype)
    if planes == "luma":
        factor = output.shape[2] // pixels.shape[1]
        return _rgb(output, enlarge(_ycbcr(pixels)[:, 1:], factor), pixels.dtype)
    y, chroma = unpacked(output)
    return _rgb(y, enlarge(chroma, 2), pixels.dtype)


def packed(y: NDArray[_N], chroma: NDArray[_N]) -> NDArray[_N]:
    """Luma (N, 1, H, W) and chroma (N, 2, H / 2, W / 2) -> (N, 6, H / 2, W / 2)."""
    phases = [y[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return np.concatenate([*phases, chroma], axis=1)


def unpacked(planes: NDArray[_N]) -> tuple[NDArray[_N], NDArray[_N]]:
    """(N, 6, h, w) -> luma (N, 1, 2 h, 2 w) and chroma (N, 2, h, w)."""
    count, _, height, width = planes.shape
    phases = planes[:, :4].reshape(count, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
    return phases.reshape(count, 1, 2 * height, 2 * width), planes[:, 4:]


def _ycbcr(rgb: Levels) -> Floats:
    """(N, h, w, 3) -> (N, 3, h, w) in [0, 1], not rounded."""
    matrix, zero = _TO_YCBCR.astype(np.float32), _ZERO.astype(np.float32)
    made = as_input(rgb).transpose(0, 2, 3, 1) @ matrix.T + zero
    return np.ascontiguousarray(made.transpose(0, 3, 1, 2))


def _rgb(y: Floats, chroma: Floats, dtype: DTypeLike) -> Levels:
    ycbcr = np.concatenate([y, chroma], axis=1).transpose(0, 2, 3, 1) - _ZERO.astype(np.float32)
    return as_levels((ycbcr @ _BACK.T.astype(np.float32)).transpose(0, 3, 1, 2), dtype)


def _halved(chroma: Floats) -> Floats:
    count, channels, height, width = chroma.shape
    cells = chroma.reshape(count, channels, height // 2, 2, width // 2, 2)
    return np.asarray(cells.mean(axis=(3, 5)), np.float32)

"""What the channels of a task's pictures are: colours, the luma alone, or a decoder's planes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from trainers.base import DataError, Pixels
from trainers.data.imresize import enlarge
from trainers.metrics.pixels import LUMA, PHASES, luma

CHANNELS = {"rgb": 3, "luma": 1, "ycbcr420": PHASES + 2}

_TO_YCBCR = np.array([LUMA, (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)]) / 255.0
"""BT.601 in studio range: rows are Y, Cb and Cr, columns red, green and blue."""
_ZERO = np.array([16.0, 128.0, 128.0])


@dataclass(frozen=True)
class Planes:
    """Makes of RGB what a network is given, and what it is asked for.

    Attributes:
        name: `rgb`; `luma`: BT.601 Y from 16 to 235 in whole levels, as most papers on upscaling
            train; or `ycbcr420`: what a video decoder hands over, six channels at half the
            picture's size, which are four phases of Y, then Cb and Cr, each the mean of 2 x 2
            pixels.
    """

    name: str = "rgb"

    def __post_init__(self) -> None:
        """Refuse a name that is not known.

        Raises:
            DataError: says which are.
        """
        if self.name not in CHANNELS:
            *others, last = CHANNELS
            known = f"{', '.join(others)} or {last}"
            raise DataError(f"task.planes is '{self.name}': use {known}")

    @property
    def channels(self) -> int:
        """How many a picture has."""
        return CHANNELS[self.name]

    @property
    def cell(self) -> int:
        """How many pixels of a photograph, along a side, make one of its planes."""
        return 2 if self.name == "ycbcr420" else 1

    def of_images(self, rgb: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, H / cell, W / cell), both in [0, 1]."""
        if self.name == "rgb":
            return rgb
        if self.name == "luma":
            levels = torch.einsum("nchw,c->nhw", rgb, rgb.new_tensor(LUMA)).unsqueeze(1)
            return levels.add_(16.5).floor_().div_(255.0)
        matrix, zero = rgb.new_tensor(_TO_YCBCR * 255.0), rgb.new_tensor(_ZERO)
        ycbcr = torch.einsum("nchw,dc->ndhw", rgb, matrix) + zero[:, None, None]
        packed = [pixel_unshuffle(ycbcr[:, :1], 2), avg_pool2d(ycbcr[:, 1:], 2)]
        return torch.cat(packed, 1).add_(0.5).floor_().div_(255.0)

    def of_pixels(self, rgb: Pixels) -> Pixels:
        """(H, W, 3) -> (H / cell, W / cell, C)."""
        if self.name == "rgb":
            return rgb
        if self.name == "luma":
            return _rounded(luma(rgb)[..., None])
        chroma = rgb.astype(np.float64) @ _TO_YCBCR[1:].T + _ZERO[1:]
        height, width = chroma.shape[:2]
        halved = chroma.reshape(height // 2, 2, width // 2, 2, 2).mean(axis=(1, 3))
        return _packed(_rounded(luma(rgb)[..., None]), _rounded(halved))


def enlarge_planes(pixels: Pixels, factor: int) -> Pixels:
    """(H, W, C) -> (H * factor, W * factor, C): each plane enlarged by itself, bicubically."""
    if pixels.shape[-1] != CHANNELS["ycbcr420"]:
        return enlarge(pixels, factor)
    y, chroma = _unpacked(pixels)
    return _packed(enlarge(y, factor), enlarge(chroma, factor))


def shown(pixels: Pixels) -> Pixels:
    """A picture of any planes as people look at it: a decoder's in RGB, others as they are."""
    if pixels.shape[-1] != CHANNELS["ycbcr420"]:
        return pixels
    y, chroma = _unpacked(pixels)
    ycbcr = np.concatenate([y, enlarge(chroma, 2)], axis=-1).astype(np.float64) - _ZERO
    return _rounded(np.clip(ycbcr @ np.linalg.inv(_TO_YCBCR).T, 0.0, 255.0))


def _rounded(levels: NDArray[np.float64]) -> Pixels:
    return np.floor(levels + 0.5).astype(np.uint8)


def _packed(y: Pixels, chroma: Pixels) -> Pixels:
    phases = [y[i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return np.concatenate([*phases, chroma], axis=-1)


def _unpacked(planes: Pixels) -> tuple[Pixels, Pixels]:
    """(H, W, 6) -> luma (2 H, 2 W, 1) and chroma (H, W, 2)."""
    return luma(planes).astype(np.uint8)[..., None], planes[..., PHASES:]

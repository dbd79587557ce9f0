"""What a degradation is, and how one is applied to crops and to whole pictures alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainers.data.draws import Draws
from trainers.data.pictures import mirrored


class Degradation(Protocol):
    """Makes a worse picture of a good one, for many pictures at once."""

    @property
    def scale(self) -> int:
        """Input over output size."""

    @property
    def margin(self) -> int:
        """Pixels of the input, seen from an edge, at which the result depends on the edge."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H / scale, W / scale), values about [0, 1]."""


def check_range(name: str, between: tuple[float, float], *, least: float, most: float) -> None:
    """Refuse a range that is the wrong way round or goes beyond its limits.

    Raises:
        ValueError: names it.
    """
    low, high = between
    if not least <= low <= high <= most:
        raise ValueError(
            f"{name} is {low:g} to {high:g}: it must rise and stay between {least:g} and {most:g}"
        )


def padding(degradation: Degradation) -> int:
    """The margin, rounded up to whole output pixels."""
    return -(-degradation.margin // degradation.scale) * degradation.scale


def degrade_crops(
    cut: Callable[[int], Tensor], degradation: Degradation, draws: Draws
) -> tuple[Tensor, Tensor]:
    """Degrade crops as if they were still inside their pictures.

    Args:
        cut: the crops (N, C, H, W), with so many pixels more on every side.
        degradation: what happens to them.
        draws: its randomness.

    Returns:
        The degraded crops (N, C, H / scale, W / scale), and the clean ones (N, C, H, W).
    """
    margin = padding(degradation)
    wide = cut(margin)
    clean = _without(wide, margin)
    return _without(degradation(wide, draws), margin // degradation.scale), clean


def degrade_whole(images: Tensor, degradation: Degradation, draws: Draws) -> Tensor:
    """Degrade whole pictures (N, C, H, W), mirrored beyond their edges.

    Both sides are multiples of the scale.
    """

    def cut(margin: int) -> Tensor:
        return mirror_pad(images, margin)

    return degrade_crops(cut, degradation, draws)[0]


def mirror_pad(images: Tensor, margin: int) -> Tensor:
    """(N, C, H, W) -> (N, C, H + 2 * margin, W + 2 * margin), the edge pixel itself repeated."""
    if not margin:
        return images
    for axis in (2, 3):
        length = images.shape[axis]
        index = mirrored(np.arange(-margin, length + margin), length)
        images = images.index_select(axis, torch.from_numpy(index).to(images.device))
    return images


def _without(images: Tensor, margin: int) -> Tensor:
    if not margin:
        return images
    return images[..., margin:-margin, margin:-margin].contiguous()

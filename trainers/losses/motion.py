"""Motion in pixels: warping a frame along it, and what of it leaves the picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Fetch each pixel from where it was.

    Args:
        image: the frame before, (N, C, H, W).
        flow: (N, 2, H, W) in pixels, x (to the right) first: the pixel at (x, y) of the frame
            now was at (x + flow[0], y + flow[1]) in the frame before (backward flow).

    Returns:
        The frame before in the place of now, bilinear, (N, C, H, W); and a mask (N, 1, H, W)
        that is 1 where the source lies inside the picture, else 0.

    Raises:
        ValueError: the flow does not fit the image.
    """
    count, _, height, width = image.shape
    if flow.shape != (count, 2, height, width):
        raise ValueError(
            f"a flow of {tuple(flow.shape)} does not fit images of {tuple(image.shape)}: "
            f"({count}, 2, {height}, {width}) is needed, x first, in pixels"
        )
    flow = flow.to(image.dtype)
    x = torch.arange(width, dtype=image.dtype, device=image.device) + flow[:, 0]
    y = torch.arange(height, dtype=image.dtype, device=image.device)[:, None] + flow[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # grid_sample counts from -1 at the first pixel's centre to 1 at the last one's.
    spans = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    moved = grid_sample(image, spans, mode="bilinear", padding_mode="border", align_corners=True)
    return moved, inside[:, None].to(image.dtype)


def translation(x: float, y: float, *, like: Tensor) -> Tensor:
    """The flow of a clip whose content moves by (x, y) pixels per frame.

    Args:
        x: to the right.
        y: down.
        like: the clip, (N, T, C, H, W).

    Returns:
        (N, T - 1, 2, H, W): minus the motion, for the flow points to where things were.
    """
    count, frames, _, height, width = like.shape
    step = torch.tensor((-x, -y), dtype=like.dtype, device=like.device).view(1, 1, 2, 1, 1)
    return step.expand(count, frames - 1, 2, height, width)

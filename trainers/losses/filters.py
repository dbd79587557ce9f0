"""Small fixed filters that several losses share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d


def gaussian(size: int, sigma: float, device: torch.device) -> Tensor:
    """Taps of a sampled Gaussian of standard deviation `sigma` pixels, (size,), their sum 1."""
    return _bell(size, sigma, device)[1].float()


def gaussian_curvature(size: int, sigma: float, device: torch.device) -> Tensor:
    """Taps of a Gaussian's second derivative, (size,), their sum 0.

    Sampling and truncation leave a sum that is not quite zero; it is taken off in proportion to
    the Gaussian, so that a flat picture gives exactly nothing.
    """
    at, bell = _bell(size, sigma, device)
    taps = bell * (at.square() - sigma**2) / sigma**4
    return (taps - taps.sum() * bell).float()


def _bell(size: int, sigma: float, device: torch.device) -> tuple[Tensor, Tensor]:
    # Made anew on the device at every call: some microseconds, no copy from the host, and nothing
    # that a compiler or a captured graph would have to know about.
    at = torch.arange(size, dtype=torch.float64, device=device) - (size - 1) / 2
    bell = torch.exp(-0.5 * (at / sigma).square())
    return at, bell / bell.sum()


def separable(images: Tensor, *, down: Tensor, across: Tensor) -> Tensor:
    """Filter every channel along both axes, only where the taps fit.

    Args:
        images: (N, C, H, W).
        down: taps along H, (k,).
        across: taps along W, (m,).

    Returns:
        (N, C, H - k + 1, W - m + 1).

    Raises:
        ValueError: the images are smaller than the filter.
    """
    height, width = images.shape[-2:]
    if height < len(down) or width < len(across):
        raise ValueError(
            f"the images are {height}x{width}, too small for a filter of "
            f"{len(down)}x{len(across)}: use larger crops, or leave this loss out"
        )
    flat = images.reshape(-1, 1, height, width)
    flat = conv2d(conv2d(flat, down.view(1, 1, -1, 1)), across.view(1, 1, 1, -1))
    return flat.reshape(*images.shape[:-2], *flat.shape[-2:])

"""Losses that look at edges and fine detail, where the eye does."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Gradient:
    """Mean absolute difference of the finite differences along both axes."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar, computed in float32; blind to a constant offset."""
        error = prediction.float() - target.float()
        down = error[..., 1:, :] - error[..., :-1, :]
        across = error[..., :, 1:] - error[..., :, :-1]
        return 0.5 * (down.abs().mean() + across.abs().mean())


@dataclass(frozen=True)
class Laplacian:
    """Mean absolute difference after the five-point Laplacian: the highest frequencies alone."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar, computed in float32; blind to a constant slope."""
        error = prediction.float() - target.float()
        centre = error[..., 1:-1, 1:-1]
        vertical = error[..., 2:, 1:-1] + error[..., :-2, 1:-1]
        horizontal = error[..., 1:-1, 2:] + error[..., 1:-1, :-2]
        return (vertical + horizontal - 4 * centre).abs().mean()

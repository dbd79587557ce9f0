"""Losses that compare pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class L1:
    """Mean absolute difference."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar, computed in float32."""
        return (prediction.float() - target.float()).abs().mean()


@dataclass(frozen=True)
class SquaredError:
    """Mean squared difference: what PSNR is the logarithm of."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar, computed in float32."""
        return (prediction.float() - target.float()).square().mean()


@dataclass(frozen=True)
class Charbonnier:
    """A smooth L1: the mean of sqrt(d^2 + epsilon^2) - epsilon.

    Source: Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for
    computed imaging", 1994; in super-resolution since LapSRN, 2017. The subtrahend makes it zero
    at equality and has no gradient.

    Attributes:
        epsilon: differences well below it count quadratically.
    """

    epsilon: float = 1e-3

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar, computed in float32."""
        difference = prediction.float() - target.float()
        return (difference.square() + self.epsilon**2).sqrt().mean() - self.epsilon

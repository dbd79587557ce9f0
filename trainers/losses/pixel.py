"""Losses that compare pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainers.losses.base import Term


@dataclass(frozen=True, kw_only=True, eq=False)
class L1(Term):
    """Mean absolute difference."""

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar."""
        return (prediction - target).abs().mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class SquaredError(Term):
    """Mean squared difference (MSE): what PSNR is the logarithm of."""

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar."""
        return (prediction - target).square().mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class Charbonnier(Term):
    """A smooth L1: the mean of sqrt(d^2 + epsilon^2) - epsilon.

    Source: Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for
    computed imaging", 1994; in super-resolution since LapSRN, 2017. The subtrahend makes it zero
    at equality and has no gradient.

    Attributes:
        epsilon: differences well below it count quadratically.
    """

    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse what has no gradient at equality.

        Raises:
            ValueError: the epsilon is out of its range.
        """
        super().__post_init__()
        if not 0 < self.epsilon <= 1:
            raise ValueError(
                f"epsilon of Charbonnier is {self.epsilon}: use a number above 0 and at most 1"
            )

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar."""
        difference = prediction - target
        return (difference.square() + self.epsilon**2).sqrt().mean() - self.epsilon


@dataclass(frozen=True, kw_only=True, eq=False)
class TotalVariation(Term):
    """Mean absolute difference of neighbouring pixels of the prediction: a regulariser.

    Source: Rudin, Osher & Fatemi, "Nonlinear total variation based noise removal algorithms",
    1992, in its anisotropic form. It does not look at the target: it is least for a flat picture,
    so give it a small weight beside a term that compares.
    """

    least_at_equality = False

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar; the target is ignored."""
        down = prediction[..., 1:, :] - prediction[..., :-1, :]
        across = prediction[..., :, 1:] - prediction[..., :, :-1]
        return 0.5 * (down.abs().mean() + across.abs().mean())

"""Losses over clips: what flickers between one frame and the next."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.losses.base import Term, same_shape
from trainers.losses.motion import warp


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipTerm(Term):
    """A term over clips (N, T, C, H, W) of two frames or more, and perhaps their motion."""

    takes_clips = True

    def __call__(
        self, prediction: Tensor, target: Tensor, *, flow: Tensor | None = None
    ) -> Tensor:
        """Compare two clips.

        Args:
            prediction: (N, T, C, H, W).
            target: (N, T, C, H, W).
            flow: (N, T - 1, 2, H, W) in pixels, see `motion.warp`; frames are compared in place
                when None, as for a camera that stands still.

        Returns:
            A float32 scalar.

        Raises:
            ValueError: these are no clips, or the shapes differ.
        """
        same_shape(prediction, target)
        if prediction.ndim != 5 or prediction.shape[1] < 2:
            raise ValueError(
                f"{type(self).__name__} compares clips (N, T, C, H, W) of two frames or more, "
                f"but was given {tuple(prediction.shape)}"
            )
        with torch.autocast(prediction.device.type, enabled=False):
            return self.along(prediction.float(), target.float(), flow)

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """In place, without motion."""
        return self.along(prediction, target, None)

    @abstractmethod
    def along(self, prediction: Tensor, target: Tensor, flow: Tensor | None) -> Tensor:
        """Two float32 clips and their motion, if it is known -> a scalar."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TemporalConsistency(ClipTerm):
    """Mean absolute difference between the change of the prediction and that of the target.

    The change is a frame less the frame before, warped into its place; places that were outside
    the picture do not count. A prediction that is off by the same amount in every frame does not
    flicker and costs nothing. Without motion it is the temporal loss of Chaitanya et al.,
    "Interactive reconstruction of Monte Carlo image sequences using a recurrent denoising
    autoencoder", 2017.
    """

    def along(self, prediction: Tensor, target: Tensor, flow: Tensor | None) -> Tensor:
        """(N, T, C, H, W) twice -> a scalar."""
        # Warping is linear, so the two may be subtracted first.
        change, seen = _change(prediction - target, flow)
        return _mean(change.abs(), seen)


@dataclass(frozen=True, kw_only=True, eq=False)
class WarpingError(ClipTerm):
    """Mean absolute difference between a frame and the frame before, where the target agrees.

    Source: Lai et al., "Learning blind video temporal consistency", 2018: places where the target
    itself differs from its warped frame before count less, by exp(-alpha * difference^2). It asks
    for a calm prediction whatever the target's colours, which is what a style and other tasks with
    many right answers need. A target that changes is not free of it.

    Attributes:
        alpha: how quickly a place stops counting, for values in [0, 1].
    """

    alpha: float = 50.0
    least_at_equality = False

    def along(self, prediction: Tensor, target: Tensor, flow: Tensor | None) -> Tensor:
        """(N, T, C, H, W) twice -> a scalar."""
        change, seen = _change(prediction, flow)
        reference, _ = _change(target, flow)
        agrees = (-self.alpha * reference.square().sum(dim=2, keepdim=True)).exp()
        return (change.abs() * (agrees * seen)).sum() / _count(seen, change)


def _change(clip: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor]:
    """Each frame less the frame before, (N, T - 1, C, H, W), and where that is known."""
    before, now = clip[:, :-1], clip[:, 1:]
    if flow is None:
        return now - before, now.new_ones(*now.shape[:2], 1, *now.shape[-2:])
    moved, seen = warp(before.flatten(0, 1), flow.flatten(0, 1))
    return now - moved.view_as(now), seen.view(*now.shape[:2], 1, *now.shape[-2:])


def _mean(values: Tensor, seen: Tensor) -> Tensor:
    return (values * seen).sum() / _count(seen, values)


def _count(seen: Tensor, like: Tensor) -> Tensor:
    # A clip that leaves the picture altogether has no error that could be known.
    return (seen.sum() * like.shape[2]).clamp_min(1.0)

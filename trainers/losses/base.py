"""What every term of a loss has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

_HEAVIEST = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class Term(ABC):
    """One weighted comparison of a prediction with its target.

    It is always computed in float32, also inside autocast and on half-precision inputs: a mean
    over a hundred thousand small differences has no place in eight bits of mantissa.

    Attributes:
        weight: what `Terms` multiplies it by; a call returns the bare value.
        least_at_equality: whether no prediction is better than the target itself. Regularisers
            and opponents are the exceptions.
        takes_clips: whether it needs successive frames; every other term takes a clip apart.
    """

    weight: float = 1.0
    least_at_equality: ClassVar[bool] = True
    takes_clips: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a term that would count for nothing or the wrong way.

        Raises:
            ValueError: the weight is not positive, or so large that nothing else is left of it.
        """
        if not 0 < self.weight <= _HEAVIEST:
            raise ValueError(
                f"the weight of {type(self).__name__} is {self.weight}: it must be positive and "
                f"at most {_HEAVIEST:g}"
            )

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare images (N, C, H, W) or clips (N, T, C, H, W), nominally in [0, 1].

        Returns:
            A float32 scalar.

        Raises:
            ValueError: the shapes differ.
        """
        same_shape(prediction, target)
        if prediction.ndim == 5:
            prediction, target = prediction.flatten(0, 1), target.flatten(0, 1)
        with torch.autocast(prediction.device.type, enabled=False):
            return self.compare(prediction.float(), target.float())

    @abstractmethod
    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Two float32 tensors of one shape -> a scalar, outside autocast."""


@runtime_checkable
class LearningTerm(Protocol):
    """A loss that owns parameters, which learn while the network does (an adversary).

    The training loop starts one for each training, lets it learn after each of its own steps and
    keeps its state in the checkpoint.
    """

    def for_training(self, seed: int) -> Self:
        """A fresh copy for one training; the same seed gives the same one."""

    def learn(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """One optimizer step on what the network has just produced.

        Returns:
            The losses that were minimised, by name, detached.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put it back."""


def same_shape(prediction: Tensor, target: Tensor) -> None:
    """Refuse two tensors that would only be compared by broadcasting.

    Raises:
        ValueError: their shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"the prediction is {tuple(prediction.shape)} and the target {tuple(target.shape)}: "
            "a loss compares images of one size"
        )

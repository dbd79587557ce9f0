"""A loss made of weighted, named terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from trainers.base import Loss


class Terms:
    """The weighted sum of several losses."""

    def __init__(self, terms: Mapping[str, tuple[float, Loss]]) -> None:
        """Take the terms over.

        Args:
            terms: name -> (weight, loss).

        Raises:
            ValueError: there is none, or a weight is not positive.
        """
        if not terms:
            raise ValueError("a loss needs at least one term")
        for name, (weight, _) in terms.items():
            if not weight > 0:
                raise ValueError(f"the weight of term '{name}' is {weight}: it must be positive")
        self._terms = dict(terms)

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Each term by its name, weighted."""
        return {
            name: weight * loss(prediction, target)
            for name, (weight, loss) in self._terms.items()
        }

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> the scalar sum."""
        values = iter(self.parts(prediction, target).values())
        total = next(values)
        for value in values:
            total = total + value
        return total

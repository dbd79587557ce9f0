"""A loss made of weighted, named terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from trainers.losses.base import LearningTerm, Term
from trainers.losses.temporal import ClipTerm


class Terms:
    """The weighted sum of several losses.

    In yaml, where a name is free and each term brings its weight:

        _target_: trainers.losses.terms.Terms
        terms:
          pixels: {_target_: trainers.losses.pixel.L1, weight: 1.0}
          edges: {_target_: trainers.losses.frequency.Gradient, weight: 0.5}
    """

    def __init__(self, terms: Mapping[str, Term | None]) -> None:
        """Take the terms over.

        Args:
            terms: name -> term. None takes a term out that a settings file has put in.

        Raises:
            ValueError: there is none, or one of them is no term.
        """
        self._terms = {name: term for name, term in terms.items() if term is not None}
        if not self._terms:
            raise ValueError("a loss needs at least one term")
        for name, term in self._terms.items():
            if not isinstance(term, Term):
                raise ValueError(
                    f"term '{name}' is {term!r}: write it as "
                    "{_target_: trainers.losses.<file>.<class>, weight: <number>}"
                )

    def parts(
        self, prediction: Tensor, target: Tensor, *, flow: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Each term by its name, weighted; `flow` reaches those that compare along motion."""
        found = {}
        for name, term in self._terms.items():
            if isinstance(term, ClipTerm):
                value = term(prediction, target, flow=flow)
            else:
                value = term(prediction, target)
            found[name] = term.weight * value
        return found

    def __call__(
        self, prediction: Tensor, target: Tensor, *, flow: Tensor | None = None
    ) -> Tensor:
        """Add the terms up.

        Args:
            prediction: images (N, C, H, W) or clips (N, T, C, H, W).
            target: the same.
            flow: of clips, (N, T - 1, 2, H, W) in pixels, see `motion.warp`; None where nothing
                moves or it is not known.

        Returns:
            The scalar sum.
        """
        values = iter(self.parts(prediction, target, flow=flow).values())
        total = next(values)
        for value in values:
            total = total + value
        return total

    @property
    def learns(self) -> bool:
        """Whether a term has parameters of its own, for which `learn` must be called."""
        return bool(self._learning())

    def for_training(self, seed: int) -> Self:
        """The same terms, those that learn started afresh; the others are shared."""
        fresh = {name: term.for_training(seed) for name, term in self._learning().items()}
        return type(self)({**self._terms, **fresh})

    def learn(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """One step of every term that learns, before the loss of this prediction is computed."""
        losses = {}
        for name, term in self._learning().items():
            for part, value in term.learn(prediction, target).items():
                losses[f"{name}.{part}"] = value
        return losses

    def state_dict(self) -> dict[str, Any]:
        """The state of every term that learns, by its name."""
        return {name: term.state_dict() for name, term in self._learning().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put it back.

        Raises:
            ValueError: the state is of other terms.
        """
        learning = self._learning()
        if set(state) != set(learning):
            raise ValueError(
                f"the checkpoint has the learning terms {sorted(state)}, "
                f"this loss has {sorted(learning)}: resume with the loss it was written with"
            )
        for name, term in learning.items():
            term.load_state_dict(state[name])

    def _learning(self) -> dict[str, Any]:
        return {name: t for name, t in self._terms.items() if isinstance(t, LearningTerm)}

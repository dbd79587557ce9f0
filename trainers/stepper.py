"""What the optimizers of this room share: their groups, and the frame of a step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Stepper(torch.optim.Optimizer):
    """An optimizer with a rate, two betas and a decoupled decay per group of parameters."""

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        """Take the parameters over; groups may have a rate and a decay of their own."""
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; returns what the closure gave."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if moved:
                self.move(group, moved)
        return loss

    @abstractmethod
    def move(self, group: dict[str, Any], moved: list[Tensor]) -> None:
        """Move the parameters of a group that have a gradient, in place."""

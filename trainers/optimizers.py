"""How parameters are stepped: their groups, the optimizers and the learning-rate schedules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from trainers.base import Quantizer
from trainers.budget import Budget
from trainers.soap import Soap
from trainers.stepper import Stepper

_BETA1 = 0.9
_CYCLED_BETA1 = (0.85, 0.95)


class Lion(Stepper):
    """Steps of equal size along the sign of an interpolated momentum.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023,
    Algorithm 2: c = b1 m + (1 - b1) g; w -= rate (sign(c) + decay w); m = b2 m + (1 - b2) g.
    Its steps are larger than AdamW's at one rate: the paper takes a third to a tenth of it.
    """

    def move(self, group: dict[str, Any], moved: list[Tensor]) -> None:
        """All at once: a small network has many small tensors."""
        gradients: list[Tensor] = [p.grad for p in moved if p.grad is not None]
        momenta = [self._momentum(p) for p in moved]
        beta1, beta2 = group["betas"]
        directions = torch._foreach_lerp(momenta, gradients, 1 - beta1)
        torch._foreach_sign_(directions)
        if group["weight_decay"]:
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(moved, directions, alpha=-group["lr"])
        torch._foreach_lerp_(momenta, gradients, 1 - beta2)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum


def optimizer_for(groups: list[dict[str, Any]], budget: Budget) -> torch.optim.Optimizer:
    """The budget's optimizer over these groups."""
    betas = (_BETA1, budget.beta2)
    if budget.optimizer == "lion":
        return Lion(groups, lr=budget.learning_rate, betas=betas)
    if budget.optimizer == "soap":
        return Soap(groups, lr=budget.learning_rate, betas=betas)
    # One call for a small network's many small tensors: 0.18 ms a step instead of 0.66. With
    # fp16 Lightning cannot clip what a fused optimizer scales back by itself.
    fused = budget.precision != "fp16"
    return torch.optim.AdamW(groups, lr=budget.learning_rate, betas=betas, fused=fused)


def schedule_for(optimizer: torch.optim.Optimizer, budget: Budget) -> LRScheduler:
    """The budget's schedule, stepped at every batch.

    `one_cycle` is Smith and Topin's ("Super-Convergence", 2018) with its rise over
    `warmup_share` of the steps; beta1 falls while the rate rises, and the reverse.
    """
    if budget.schedule == "one_cycle":
        low, high = _CYCLED_BETA1
        return OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=budget.max_steps,
            # A share below one step would divide by zero.
            pct_start=max(budget.warmup_share, 2 / budget.max_steps),
            base_momentum=low,
            max_momentum=high,
        )
    return LambdaLR(optimizer, lambda step: learning_rate_share(step, budget))


def learning_rate_share(step: int, budget: Budget) -> float:
    """Learning rate of a step over its peak: a linear rise, then a cosine to zero."""
    warmup = max(1, round(budget.warmup_share * budget.max_steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, budget.max_steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def parameter_groups(module: nn.Module, budget: Budget) -> list[dict[str, Any]]:
    """Parameters by how they are stepped: kernels decay, biases and other vectors do not.

    The scales of a quantized network (`base.Quantizer` says which they are) have a rate of their
    own: being logarithms, it is a relative one, the same for large and small scales.
    """
    quantized = any(isinstance(part, Quantizer) for part in module.modules())
    kernels: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    scales: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if quantized and _is_scale(name):
            scales.append(parameter)
        else:
            (kernels if parameter.ndim > 1 else vectors).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": budget.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
        {"params": scales, "weight_decay": 0.0, "lr": budget.quant_scale_rate},
    ]
    return [group for group in groups if group["params"]]


def _is_scale(name: str) -> bool:
    *parents, own = name.split(".")
    return own.endswith("scale") or any(parent.endswith("scales") for parent in parents)

"""SOAP: Adam along the directions in which a kernel's gradients vary on their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainers.stepper import Stepper

_EPS = 1e-8
_MEMORY = 0.95
_REFRESH_EVERY = 10
_WIDEST = 1024
_SIDES = (("rows", "row_basis", 0), ("columns", "column_basis", 1))


class Soap(Stepper):
    """Adam in the eigenbasis of Shampoo's two gradient covariances.

    Source: Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025,
    Algorithm 3. A kernel is read as a matrix W, its first axis against all others, axes of length
    1 left out. With L and R the running means of G G' and G' G, and Q_L and Q_R their
    eigenvectors, Adam's second moment is that of Q_L' G Q_R, and its step is turned back. The
    eigenvectors follow by one power iteration and a QR decomposition every ten steps. The first
    gradient only founds the bases. A side longer than 1024 is not turned; vectors are stepped by
    Adam.

    What a filter sees is correlated from tap to tap and from channel to channel, which Adam,
    scaling each weight by itself, cannot undo; small networks pay for it in steps.
    """

    def move(self, group: dict[str, Any], moved: list[Tensor]) -> None:
        """One by one, each in bases of its own."""
        for parameter in moved:
            assert parameter.grad is not None
            gradient = _as_matrix(parameter.grad)
            state = self.state[parameter]
            if not state:
                _found(state, gradient)
                if "rows" in state or "columns" in state:
                    continue
            direction = _direction(state, gradient, *group["betas"])
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(direction.reshape(parameter.shape), alpha=-group["lr"])
            _remember(state, gradient)


def _as_matrix(kernel: Tensor) -> Tensor:
    kernel = kernel.squeeze()
    return kernel.reshape(1, -1) if kernel.ndim < 2 else kernel.reshape(len(kernel), -1)


def _found(state: dict[str, Any], gradient: Tensor) -> None:
    state["step"] = 0
    state["momentum"] = torch.zeros_like(gradient)
    state["squares"] = torch.zeros_like(gradient)
    if 1 in gradient.shape:
        return
    for side, basis, axis in _SIDES:
        if gradient.shape[axis] <= _WIDEST:
            state[side] = (1 - _MEMORY) * _covariance(gradient, axis)
            state[basis] = _eigenvectors(state[side])


def _covariance(gradient: Tensor, axis: int) -> Tensor:
    return gradient @ gradient.mT if axis == 0 else gradient.mT @ gradient


def _eigenvectors(covariance: Tensor) -> Tensor:
    if not covariance.isfinite().all():
        # The next loss tells; LAPACK would raise here.
        return torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    vectors = _eigh(covariance)
    if not vectors.isfinite().all():
        # In single precision LAPACK gives up on wide covariances of a few tiny gradients: some
        # versions raise, others give values that are not finite.
        vectors = _eigh(covariance.double() / covariance.abs().max()).to(covariance.dtype)
    return vectors.flip(1).contiguous()


def _eigh(covariance: Tensor) -> Tensor:
    """Eigenvectors as columns, the least first; all NaN where none were found."""
    try:
        vectors: Tensor = torch.linalg.eigh(covariance)[1]
    except RuntimeError:
        return torch.full_like(covariance, torch.nan)
    return vectors


def _direction(state: dict[str, Any], gradient: Tensor, beta1: float, beta2: float) -> Tensor:
    """What is subtracted, times the learning rate: Adam's step in the bases, turned back."""
    state["step"] += 1
    momentum, squares = state["momentum"], state["squares"]
    momentum.lerp_(gradient, 1 - beta1)
    squares.lerp_(_turned(gradient, state).square_(), 1 - beta2)
    deviation = (squares / (1 - beta2 ** state["step"])).sqrt_().add_(_EPS)
    direction = _turned(momentum, state).div_(deviation)
    return _turned_back(direction, state).div_(1 - beta1 ** state["step"])


def _turned(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    if "rows" in state:
        matrix = state["row_basis"].mT @ matrix
    if "columns" in state:
        matrix = matrix @ state["column_basis"]
    return matrix.clone() if "rows" not in state and "columns" not in state else matrix


def _turned_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    if "rows" in state:
        matrix = state["row_basis"] @ matrix
    if "columns" in state:
        matrix = matrix @ state["column_basis"].mT
    return matrix


def _remember(state: dict[str, Any], gradient: Tensor) -> None:
    """Add the gradient to the covariances; now and then bring the bases after them."""
    for side, basis, axis in _SIDES:
        if side not in state:
            continue
        covariance: Tensor = state[side]
        covariance.lerp_(_covariance(gradient, axis), 1 - _MEMORY)
        if state["step"] % _REFRESH_EVERY == 0:
            images = covariance @ state[basis]
            # Largest first, and the second moments in the same order.
            order = (state[basis] * images).sum(0).argsort(descending=True)
            state["squares"] = state["squares"].index_select(axis, order)
            state[basis] = torch.linalg.qr(images[:, order])[0]

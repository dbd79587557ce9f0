"""SOAP against its algorithm written out, and what it is for."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainers.soap import Soap

Matrix = NDArray[np.float64]
RATE, BETA1, BETA2, MEMORY = 0.01, 0.9, 0.99, 0.95


def drawn(*shape: int, count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def stepped(start: torch.Tensor, gradients: list[torch.Tensor], **settings: float) -> torch.Tensor:
    parameter = nn.Parameter(start.clone())
    soap = Soap([parameter], lr=RATE, betas=(BETA1, BETA2), **settings)
    for gradient in gradients:
        parameter.grad = gradient.reshape(start.shape)
        soap.step()
    return parameter.detach()


def soap_by_the_paper(weight: Matrix, gradients: list[Matrix], *, decay: float) -> Matrix:
    """Algorithm 3 for one matrix, bases brought up to date at every tenth step."""
    first = gradients[0]
    left, right = (1 - MEMORY) * first @ first.T, (1 - MEMORY) * first.T @ first
    rows, columns = np.linalg.eigh(left)[1][:, ::-1], np.linalg.eigh(right)[1][:, ::-1]
    momentum, squares = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(gradients[1:], start=1):
        momentum = BETA1 * momentum + (1 - BETA1) * gradient
        squares = BETA2 * squares + (1 - BETA2) * (rows.T @ gradient @ columns) ** 2
        turned = rows.T @ momentum @ columns / (1 - BETA1**step)
        step_taken = turned / (np.sqrt(squares / (1 - BETA2**step)) + 1e-8)
        weight = weight * (1 - RATE * decay) - RATE * rows @ step_taken @ columns.T
        left = MEMORY * left + (1 - MEMORY) * gradient @ gradient.T
        right = MEMORY * right + (1 - MEMORY) * gradient.T @ gradient
        if step % 10 == 0:
            order = np.argsort(-np.diag(rows.T @ left @ rows))
            rows, squares = np.linalg.qr(left @ rows[:, order])[0], squares[order]
            order = np.argsort(-np.diag(columns.T @ right @ columns))
            columns = np.linalg.qr(right @ columns[:, order])[0]
            squares = squares[:, order]
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_steps_as_its_paper_says(decay: float) -> None:
    # Square, so that one gradient decides all directions.
    start, *gradients = drawn(5, 5, count=26)
    expected = soap_by_the_paper(start.numpy(), [g.numpy() for g in gradients], decay=decay)
    found = stepped(start, gradients, weight_decay=decay)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-9)


def test_a_kernel_is_the_matrix_of_its_first_axis_against_all_others() -> None:
    start, *gradients = drawn(4, 18, count=15)
    flat = stepped(start, gradients)
    for shape in ((4, 2, 3, 3), (1, 4, 18), (4, 1, 18, 1)):
        assert torch.equal(stepped(start.reshape(shape), gradients).reshape(4, 18), flat)


def test_vectors_are_stepped_by_adam() -> None:
    start, *gradients = drawn(7, count=13)
    other = nn.Parameter(start.clone())
    adam = torch.optim.Adam([other], lr=RATE, betas=(BETA1, BETA2))
    for gradient in gradients:
        other.grad = gradient
        adam.step()
    torch.testing.assert_close(stepped(start, gradients), other.detach())


def test_mixing_the_features_first_changes_nothing_but_the_mix() -> None:
    """Adam's steps depend on the axes that weights are written in; these do not."""
    start, *gradients = drawn(5, 5, count=40)
    left, right = (torch.linalg.qr(matrix)[0] for matrix in drawn(5, 5, count=2, seed=1))
    mixed = stepped(left @ start @ right, [left @ g @ right for g in gradients])
    torch.testing.assert_close(mixed, left @ stepped(start, gradients) @ right)


def test_correlated_inputs_are_no_obstacle() -> None:
    """A linear layer behind inputs that nearly agree, as neighbouring pixels do."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(256, 1, generator=generator)
    inputs = shared + 0.03 * torch.randn(256, 9, generator=generator)
    targets = inputs @ torch.randn(9, 4, generator=generator)
    left: dict[str, float] = {}
    for name, optimizer in (("soap", Soap), ("adamw", torch.optim.AdamW)):
        weight = nn.Parameter(torch.zeros(4, 9))
        stepper = optimizer([weight], lr=0.02, betas=(0.9, 0.99), weight_decay=0.0)
        for _ in range(300):
            loss = (inputs @ weight.T - targets).square().mean()
            stepper.zero_grad()
            loss.backward()
            stepper.step()
        left[name] = loss.item()
    assert left["soap"] < 0.1 * left["adamw"]


def test_it_goes_on_from_its_saved_state() -> None:
    gradients = drawn(4, 6, count=34)
    whole, first = (nn.Parameter(torch.zeros(4, 6, dtype=torch.float64)) for _ in range(2))
    one, two = Soap([whole], lr=RATE), Soap([first], lr=RATE)
    for stepper, parameter in ((one, whole), (two, first)):
        for gradient in gradients[:17]:
            parameter.grad = gradient
            stepper.step()
    again = nn.Parameter(first.detach().clone())
    resumed = Soap([again], lr=RATE)
    resumed.load_state_dict(copy.deepcopy(two.state_dict()))
    for stepper, parameter in ((one, whole), (resumed, again)):
        for gradient in gradients[17:]:
            parameter.grad = gradient
            stepper.step()
    assert torch.equal(whole, again)


def test_a_side_too_long_is_not_turned() -> None:
    parameter = nn.Parameter(torch.zeros(2, 1500))
    soap = Soap([parameter], lr=RATE)
    for gradient in drawn(2, 1500, count=3):
        parameter.grad = gradient.float()
        soap.step()
    state = soap.state[parameter]
    assert state["row_basis"].shape == (2, 2)
    assert "column_basis" not in state
    assert parameter.abs().sum() > 0


def test_a_kernel_that_nothing_reaches_stays_as_it_is() -> None:
    parameter = nn.Parameter(torch.ones(4, 6))
    soap = Soap([parameter], lr=RATE)
    for _ in range(25):
        parameter.grad = torch.zeros(4, 6)
        soap.step()
    assert torch.equal(parameter, torch.ones(4, 6))


def test_a_gradient_that_is_not_finite_reaches_the_weights_instead_of_raising() -> None:
    parameter = nn.Parameter(torch.ones(4, 6))
    soap = Soap([parameter], lr=RATE)
    for _ in range(12):
        parameter.grad = torch.full((4, 6), float("nan"))
        soap.step()
    assert parameter.isnan().all()


@pytest.mark.parametrize("gives_up", ["raises", "is not finite"])
def test_bases_are_found_where_lapack_gives_up_in_single_precision(
    gives_up: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did with gradients of 1e-4 of a classifier's 3x3 layer of 24 features."""
    real = torch.linalg.eigh

    def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
        if matrix.dtype == torch.float64:
            return real(matrix)
        if gives_up == "raises":
            raise torch._C._LinAlgError("linalg.eigh: The algorithm failed to converge")
        return matrix[0], torch.full_like(matrix, torch.nan)

    def stepped() -> Tensor:
        weight = nn.Parameter(torch.zeros(8, 8))
        optimizer = Soap([weight], lr=1.0)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            weight.grad = 1e-4 * torch.randn(8, 8, generator=generator)
            optimizer.step()
        return weight.detach()

    expected = stepped()
    monkeypatch.setattr(torch.linalg, "eigh", eigh)
    assert stepped().isfinite().all()
    assert (stepped() - expected).abs().max() < 0.05 * expected.abs().max()

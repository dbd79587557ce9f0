import copy

import pytest
import torch
from torch import nn

from tests.trainers.conftest import TinyNet
from tests.trainers.test_qat import QuantizedNet
from trainers.budget import Budget
from trainers.optimizers import (
    Lion,
    learning_rate_share,
    optimizer_for,
    parameter_groups,
    schedule_for,
)


def quadratic(parameter: nn.Parameter) -> torch.Tensor:
    """Least where every entry is 3."""
    return (parameter - 3).square().sum()


def lion_by_the_paper(
    weight: torch.Tensor, gradients: list[torch.Tensor], *, rate: float, decay: float
) -> torch.Tensor:
    """Algorithm 2 of the paper, written out."""
    momentum = torch.zeros_like(weight)
    for gradient in gradients:
        update = 0.9 * momentum + 0.1 * gradient
        weight = weight - rate * (update.sign() + decay * weight)
        momentum = 0.99 * momentum + 0.01 * gradient
    return weight


def test_lion_steps_as_its_paper_says() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(4, 3, generator=generator) for _ in range(7)]
    parameter = nn.Parameter(torch.randn(4, 3, generator=generator))
    expected = lion_by_the_paper(parameter.detach(), gradients, rate=0.01, decay=0.1)
    lion = Lion([parameter], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    for gradient in gradients:
        parameter.grad = gradient
        lion.step()
    torch.testing.assert_close(parameter.detach(), expected)


def test_lion_goes_on_from_its_saved_state() -> None:
    whole, first = (nn.Parameter(torch.zeros(5)) for _ in range(2))
    one, two = Lion([whole], lr=0.1), Lion([first], lr=0.1)
    for lion, parameter in ((one, whole), (two, first)):
        for _ in range(3):
            lion.zero_grad()
            quadratic(parameter).backward()
            lion.step()
    again = nn.Parameter(first.detach().clone())
    resumed = Lion([again], lr=0.1)
    resumed.load_state_dict(copy.deepcopy(two.state_dict()))
    for lion, parameter in ((one, whole), (resumed, again)):
        lion.zero_grad()
        quadratic(parameter).backward()
        lion.step()
    assert torch.equal(whole, again)


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "soap"])
def test_every_optimizer_finds_the_least_of_a_bowl(optimizer: str) -> None:
    budget = Budget(optimizer=optimizer, max_steps=200, learning_rate=0.1)  # type: ignore[arg-type]
    parameter = nn.Parameter(torch.zeros(5))
    stepper = optimizer_for([{"params": [parameter]}], budget)
    schedule = schedule_for(stepper, budget)
    for _ in range(200):
        stepper.zero_grad()
        quadratic(parameter).backward()
        stepper.step()
        schedule.step()
    assert quadratic(parameter) < 1e-2


def test_one_cycle_rises_to_the_peak_and_ends_near_nothing() -> None:
    budget = Budget(schedule="one_cycle", max_steps=100, warmup_share=0.3, learning_rate=0.5)
    stepper = optimizer_for([{"params": [nn.Parameter(torch.zeros(1))]}], budget)
    schedule = schedule_for(stepper, budget)
    rates, momenta = [], []
    for _ in range(100):
        rates.append(stepper.param_groups[0]["lr"])
        momenta.append(stepper.param_groups[0]["betas"][0])
        stepper.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates.index(max(rates)) == 29
    assert max(rates) == pytest.approx(0.5)
    assert rates[-1] < 1e-5
    assert momenta[29] == pytest.approx(0.85)
    assert momenta[0] == momenta[-1] == pytest.approx(0.95)


def test_one_cycle_fits_a_training_of_very_few_steps() -> None:
    budget = Budget(schedule="one_cycle", max_steps=4)
    stepper = optimizer_for([{"params": [nn.Parameter(torch.zeros(1))]}], budget)
    schedule = schedule_for(stepper, budget)
    for _ in range(4):
        stepper.step()
        schedule.step()


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nearly_zero() -> None:
    budget = Budget(max_steps=100, warmup_share=0.1)
    shares = [learning_rate_share(step, budget) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[9] == 1.0
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert shares[-1] < 0.001


def test_only_kernels_decay() -> None:
    kernels, vectors = parameter_groups(TinyNet(), Budget(weight_decay=0.1))
    assert kernels["weight_decay"] == 0.1
    assert all(p.ndim == 4 for p in kernels["params"])
    assert vectors["weight_decay"] == 0.0
    assert all(p.ndim == 1 for p in vectors["params"])


def test_scales_of_a_quantized_network_have_a_rate_of_their_own() -> None:
    net = QuantizedNet(TinyNet())
    *_, scales = parameter_groups(net, Budget(quant_scale_rate=0.003))
    assert scales["lr"] == 0.003
    assert {id(p) for p in scales["params"]} == {id(net.quantizer.scale),
                                                 id(net.weight_scales["last"])}  # fmt: skip


def test_a_parameter_called_scale_is_ordinary_without_a_quantizer() -> None:
    net = nn.Module()
    net.scale = nn.Parameter(torch.ones(3))
    (group,) = parameter_groups(net, Budget())
    assert "lr" not in group

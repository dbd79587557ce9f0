import pytest
import torch
from torch import nn

from tests.trainers.conftest import TinyNet
from tests.trainers.test_qat import QuantizedNet
from trainers.base import Budget
from trainers.module import Learner, learning_rate_share, parameter_groups
from trainers.tasks.super_resolution import SuperResolution


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


def test_frozen_parameters_are_left_alone(task: SuperResolution) -> None:
    net = TinyNet()
    net.first.requires_grad_(False)
    budget = Budget()
    trained = [p for group in parameter_groups(net, budget) for p in group["params"]]
    assert all(p is not net.first.weight for p in trained)
    Learner(net, task, budget, seed=0).update_average()


def test_the_averaged_state_takes_buffers_from_the_network(task: SuperResolution) -> None:
    net = TinyNet()
    learner = Learner(net, task, Budget(), seed=0)
    with torch.no_grad():
        net.first.weight += 1
    assert net.norm.running_mean is not None
    net.norm.running_mean.fill_(5.0)
    state = learner.averaged_state()
    assert torch.all(state["norm.running_mean"] == 5.0)
    assert torch.equal(state["first.weight"], TinyNet().first.weight)

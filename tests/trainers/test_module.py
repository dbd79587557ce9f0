import torch

from tests.trainers.conftest import TinyNet
from trainers.budget import Budget
from trainers.module import Learner
from trainers.optimizers import parameter_groups
from trainers.tasks.super_resolution import SuperResolution


def test_frozen_parameters_are_left_alone(task: SuperResolution) -> None:
    net = TinyNet()
    net.first.requires_grad_(False)
    budget = Budget()
    trained = [p for group in parameter_groups(net, budget) for p in group["params"]]
    assert all(p is not net.first.weight for p in trained)
    Learner(net, task, budget, seed=0).update_average(1)


def test_the_averaged_state_takes_buffers_from_the_network(task: SuperResolution) -> None:
    net = TinyNet()
    learner = Learner(net, task, Budget(), seed=0)
    with torch.no_grad():
        net.first.weight += 1
    assert net.norm.running_mean is not None
    net.norm.running_mean.fill_(5.0)
    state = learner.averaged_network().state_dict()
    assert torch.all(state["norm.running_mean"] == 5.0)
    assert torch.equal(state["first.weight"], TinyNet().first.weight)

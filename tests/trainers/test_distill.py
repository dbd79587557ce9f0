"""A teacher pulls, answers once for what comes again, and leaves no trace."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runtime.signature import INPUT, OUTPUT
from tests.trainers.conftest import TinyNet
from trainers.budget import Budget
from trainers.calls import pair
from trainers.distill import Distillation, TermWeights, relations
from trainers.fit import fit
from trainers.fixed_batches import FixedBatches
from trainers.tasks.super_resolution import SuperResolution


class Counting(nn.Module):
    """A teacher that counts how often it is asked."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.asked = inner, 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        output: Tensor = self.inner(x)
        return output


@pytest.fixture
def inputs() -> Tensor:
    return torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def flat(net: nn.Module) -> Tensor:
    return torch.cat([value.double().flatten() for value in net.state_dict().values()])


def test_the_output_term_is_nothing_for_a_network_that_is_its_teacher(inputs: Tensor) -> None:
    net = TinyNet().eval()
    distillation = Distillation(net)
    distillation.attach(net)
    assert distillation.loss({INPUT: inputs}, {OUTPUT: net(inputs)}).item() == 0
    off = distillation.loss({INPUT: inputs}, {OUTPUT: net(inputs) + 0.5})
    assert off.item() == pytest.approx(0.5)


def test_the_relation_term_is_nothing_for_features_that_only_differ_in_scale(
    inputs: Tensor,
) -> None:
    features = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(relations(features), relations(3 * features))
    assert relations(features).shape == (2, 36, 36)
    torch.testing.assert_close(
        relations(features).diagonal(dim1=1, dim2=2), torch.ones(2, 36), rtol=0, atol=1e-6
    )


def test_many_places_are_averaged_before_they_are_related() -> None:
    assert relations(torch.rand(1, 4, 40, 50)).shape == (1, 256, 256)


@pytest.mark.parametrize(
    "weights", [TermWeights(output=0, feature=1.0), TermWeights(output=0, relation=1.0)],
    ids=["feature", "relation"],
)  # fmt: skip
def test_features_are_compared_across_sizes_with_a_gradient_to_the_student(
    inputs: Tensor, weights: TermWeights
) -> None:
    teacher = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ReLU())
    net = TinyNet()
    distillation = Distillation(teacher, weights=weights, taps={"first": "0"})
    distillation.attach(net)
    distillation.loss({INPUT: inputs}, {OUTPUT: net(inputs)}).backward()
    assert net.first.weight.grad is not None and net.first.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


def test_a_student_learns_its_teacher_better_with_it_than_without(
    task: SuperResolution, budget: Budget
) -> None:
    teacher = TinyNet(seed=5).eval()
    inputs, _ = pair(task.batch(999, seed=9, size=4))
    longer = replace(budget, max_steps=60, ema_decay=0.9)
    distance = {}
    for weight in (0.001, 10.0):
        net = TinyNet(seed=0)
        distillation = Distillation(teacher, weights=TermWeights(output=weight))
        fit(net, task, longer, seed=0, teacher=distillation)
        distance[weight] = (net(inputs) - teacher(inputs)).abs().mean().item()
    assert distance[10.0] < 0.7 * distance[0.001]


def test_a_distilled_training_resumes_exactly_and_leaves_no_hooks(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    def distillation() -> Distillation:
        return Distillation(
            TinyNet(seed=5), weights=TermWeights(1.0, 0.1, 0.1), taps={"first": "first"}, seed=3
        )

    whole, net = TinyNet(), TinyNet()
    fit(whole, task, budget, seed=7, teacher=distillation())
    for until_step in (8, None):
        fit(net, task, budget, seed=7, until_step=until_step, checkpoint=tmp_path / "c.ckpt",
            teacher=distillation())  # fmt: skip
    assert torch.equal(flat(net), flat(whole))
    assert not net.first._forward_hooks
    saved = torch.load(tmp_path / "c.ckpt", weights_only=True)["state_dict"]
    ours = {key for key in saved if key.startswith("teacher.")}
    assert ours == {"teacher.adapters.0.weight"}, "not its own weights"


def test_the_teacher_is_not_changed(task: SuperResolution, budget: Budget) -> None:
    teacher = TinyNet(seed=5)
    before = flat(teacher).clone()
    fit(TinyNet(), task, budget, seed=0, teacher=Distillation(teacher))
    assert torch.equal(flat(teacher), before)


def test_a_teacher_is_asked_once_for_each_batch_that_comes_again(
    task: SuperResolution, budget: Budget
) -> None:
    teacher = Counting(TinyNet(seed=5))
    again = FixedBatches(task, 4)
    cached, asked = TinyNet(), TinyNet()
    fit(cached, again, budget, seed=0, teacher=Distillation(teacher, cache_gib=0.1))
    assert teacher.asked == 4
    fit(asked, again, budget, seed=0, teacher=Distillation(teacher))
    assert teacher.asked == 4 + budget.max_steps
    assert torch.equal(flat(cached), flat(asked))


def test_a_full_cache_keeps_what_it_has(task: SuperResolution, inputs: Tensor) -> None:
    teacher = Counting(TinyNet(seed=5))
    one_answer = inputs.numel() * 4 * 4
    distillation = Distillation(teacher, cache_gib=1.5 * one_answer / 2**30)
    for _ in range(3):
        distillation.ask(inputs)
        distillation.ask(inputs + 0.1)
    assert teacher.asked == 1 + 3


def test_only_the_batches_of_a_wrapped_task_change(task: SuperResolution) -> None:
    again = FixedBatches(task, 3)
    one, other, next_one = (pair(again.batch(step, seed=0, size=2))[0] for step in (1, 4, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, next_one)
    assert (again.metric, again.signature, again.crop) == (
        task.metric, task.signature, task.crop
    )
    assert again.baseline() == task.baseline()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TermWeights(output=-1.0), "none negative"),
        (lambda: TermWeights(output=0.0), "not all zero"),
        (lambda: Distillation(TinyNet(), weights=TermWeights(feature=1.0)), "give taps"),
        (lambda: Distillation(TinyNet(), taps={"nope": "last"}).attach(TinyNet()), "no layer"),
        (lambda: Distillation(TinyNet(), taps={"first": "nope"}).ask(torch.zeros(1, 3, 8, 8)),
         "the teacher has no layer"),
    ],
    ids=["negative", "zero", "taps", "student", "teacher"],
)  # fmt: skip
def test_what_cannot_be_distilled_is_refused(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=words):
        make()

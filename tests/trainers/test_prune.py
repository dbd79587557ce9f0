import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.conftest import TinyNet
from trainers.budget import Budget
from trainers.fit import fit, judge
from trainers.prune import CRITERIA, channel_scores, hold_zeros, let_go, sensitivity
from trainers.tasks.super_resolution import SuperResolution


@pytest.fixture(scope="module")
def trained(task: SuperResolution) -> TinyNet:
    net = TinyNet()
    fit(net, task, Budget(max_steps=60, batch_size=4, learning_rate=5e-3), seed=0)
    return net


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_gives_one_finite_number_per_channel_and_changes_nothing(
    task: SuperResolution, trained: TinyNet, criterion: str
) -> None:
    before = {key: value.clone() for key, value in trained.state_dict().items()}
    scores = channel_scores(
        trained, ["first", "last"], task, criterion=criterion, inputs=8  # type: ignore[arg-type]
    )
    assert scores["first"].shape == (8,) and scores["last"].shape == (12,)
    assert all(np.isfinite(score).all() and (score >= 0).all() for score in scores.values())
    assert all(torch.equal(value, before[key]) for key, value in trained.state_dict().items())
    assert not trained.first._forward_hooks


def test_l1_is_the_sum_of_magnitudes(task: SuperResolution) -> None:
    net = TinyNet()
    with torch.no_grad():
        net.first.weight[3] = 0
    scores = channel_scores(net, ["first"], task)["first"]
    assert scores[3] == 0
    assert scores[0] == pytest.approx(net.first.weight[0].abs().sum().item())


def test_a_channel_that_is_silent_scores_nothing_by_its_activations(
    task: SuperResolution,
) -> None:
    net = TinyNet()
    with torch.no_grad():
        net.first.weight[3] = 0
        net.first.bias[3] = 0  # type: ignore[index]
    for criterion in ("mean_activation", "apoz"):
        scores = channel_scores(
            net, ["first"], task, criterion=criterion, inputs=8  # type: ignore[arg-type]
        )["first"]
        assert scores[3] == 0
        assert (np.delete(scores, 3) > 0).any()


def test_random_scores_are_those_of_their_seed(task: SuperResolution) -> None:
    one, same, other = (
        channel_scores(TinyNet(), ["first"], task, criterion="random", seed=seed)["first"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_a_layer_is_as_sensitive_as_the_metric_says(
    task: SuperResolution, trained: TinyNet
) -> None:
    whole = judge(trained, task)
    without = copy.deepcopy(trained)
    with torch.no_grad():
        without.last.weight.zero_()
        without.last.bias.zero_()  # type: ignore[union-attr]
    scores = channel_scores(trained, ["last"], task)
    drops = sensitivity(trained, scores, task, share=1.0)
    assert drops["last"] == pytest.approx(max(0.001, whole - judge(without, task)))
    assert judge(trained, task) == whole


def test_zeros_that_are_held_stay_zero_through_a_training(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    net = TinyNet()
    mask = np.random.default_rng(0).random(tuple(net.last.weight.shape)) < 0.5
    hold_zeros(net, {"last": mask})
    fit(net, task, budget, seed=0, until_step=5, checkpoint=tmp_path / "c.ckpt")
    fit(net, task, budget, seed=0, checkpoint=tmp_path / "c.ckpt")
    let_go(net, ["last"])
    weight = net.last.weight.detach().numpy()
    assert (weight[~mask] == 0).all()
    assert (weight[mask] != 0).all()


@pytest.mark.parametrize(
    ("layer", "criterion", "words"),
    [("first", "l3", "there are: l1"), ("nope", "l1", "no layer 'nope'"),
     ("drop", "l1", "no layer 'drop' with weights")],
)  # fmt: skip
def test_what_cannot_be_scored_is_refused(
    task: SuperResolution, layer: str, criterion: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        channel_scores(TinyNet(), [layer], task, criterion=criterion)  # type: ignore[arg-type]

import numpy as np
import pytest
import torch

from tests.trainers.conftest import TinyNet
from trainers.budget import Budget
from trainers.fit import fit
from trainers.prune import CRITERIA, channel_scores
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

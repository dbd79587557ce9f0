from __future__ import annotations

import pytest
import torch

from tests.trainers.feature_networks import two_images
from trainers.losses.adversarial import Adversarial, PatchDiscriminator
from trainers.losses.base import LearningTerm


def test_it_learns_to_tell_predictions_from_targets() -> None:
    term = Adversarial(width=8, learning_rate=2e-3).for_training(0)
    prediction, target = two_images()
    losses = [term.learn(prediction, target)["discriminator"].item() for _ in range(30)]
    assert losses[-1] < 0.7 * losses[0]
    assert isinstance(term, LearningTerm)


def test_the_network_s_loss_is_high_where_it_is_found_out() -> None:
    term = Adversarial(width=8, learning_rate=2e-3).for_training(0)
    prediction, target = two_images()
    for _ in range(30):
        term.learn(prediction, target)
    assert term(prediction, target) > term(target, target)


def test_an_adversary_that_never_learned_is_refused_in_training_only() -> None:
    term = Adversarial(width=8)
    prediction, target = two_images()
    with pytest.raises(RuntimeError, match="learn"):
        term(prediction, target)
    with torch.no_grad():
        assert term(prediction, target) > 0


def test_the_network_s_backward_pass_leaves_the_discriminator_alone() -> None:
    term = Adversarial(width=8).for_training(0)
    prediction, target = two_images()
    term.learn(prediction, target)
    before = {k: v.clone() for k, v in term.discriminator.state_dict().items()}
    leaf = prediction.clone().requires_grad_()
    term(leaf, target).backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in term.discriminator.parameters())
    after = term.discriminator.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_learning_does_not_reach_the_network() -> None:
    term = Adversarial(width=8).for_training(0)
    prediction, target = two_images()
    leaf = prediction.clone().requires_grad_()
    term.learn(leaf, target)
    assert leaf.grad is None


def test_the_same_seed_gives_the_same_discriminator() -> None:
    one, again, other = (
        PatchDiscriminator(channels=3, width=8, halvings=2, seed=seed)(two_images()[0])
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize(("halvings", "patch"), [(2, 22), (3, 46)])
def test_a_logit_sees_a_patch(halvings: int, patch: int) -> None:
    net = PatchDiscriminator(channels=1, width=4, halvings=halvings, seed=0).eval()
    image = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = net(image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].abs().sum(dim=0).nonzero()
    assert int(seen.max() - seen.min()) + 1 == patch


def test_a_resumed_optimizer_follows_the_discriminator_to_its_device() -> None:
    term = Adversarial(width=8).for_training(0)
    term.learn(*two_images())
    term._on(torch.empty(1, device="meta"))
    devices = {
        value.device.type
        for state in term.optimizer.state.values()
        for name, value in state.items() if name != "step"
    }  # fmt: skip
    assert devices == {"meta"}


def test_a_setting_that_makes_no_discriminator_is_refused() -> None:
    with pytest.raises(ValueError, match="halvings is 0"):
        Adversarial(halvings=0)

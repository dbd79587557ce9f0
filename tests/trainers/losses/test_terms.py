from __future__ import annotations

import pytest
import torch

from tests.trainers.feature_networks import two_images
from trainers.losses.adversarial import Adversarial
from trainers.losses.base import LearningTerm
from trainers.losses.frequency import Gradient
from trainers.losses.motion import translation
from trainers.losses.pixel import L1
from trainers.losses.temporal import TemporalConsistency
from trainers.losses.terms import Terms


def test_terms_add_up_to_the_whole() -> None:
    prediction, target = two_images()
    terms = Terms({"pixel": L1(weight=2.0), "edges": Gradient(weight=0.5)})
    parts = terms.parts(prediction, target)
    assert parts["pixel"].item() == pytest.approx(2 * L1()(prediction, target).item())
    assert terms(prediction, target).item() == pytest.approx(sum(p.item() for p in parts.values()))


def test_a_term_may_be_taken_out_of_a_settings_file() -> None:
    prediction, target = two_images()
    assert set(Terms({"a": L1(), "b": None}).parts(prediction, target)) == {"a"}


def test_a_loss_without_terms_or_with_a_useless_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one term"):
        Terms({})
    with pytest.raises(ValueError, match="at least one term"):
        Terms({"a": None})
    with pytest.raises(ValueError, match="weight of Gradient is 0"):
        Gradient(weight=0)


def test_the_old_way_to_write_a_term_is_refused_with_the_new_one() -> None:
    with pytest.raises(ValueError, match="term 'edges' is .* write it as .*weight: <number>"):
        Terms({"edges": (0.5, Gradient())})  # type: ignore[dict-item]


def test_motion_reaches_the_terms_that_compare_along_it() -> None:
    frame = two_images(count=1)[1]
    moving = torch.stack((frame, frame.roll(2, dims=-1)), dim=1)
    terms = Terms({"pixel": L1(), "calm": TemporalConsistency()})
    wrong = moving + torch.stack((frame, frame.roll(2, dims=-1)), dim=1) * 0.1
    along = terms.parts(wrong, moving, flow=translation(2, 0, like=moving))
    in_place = terms.parts(wrong, moving)
    assert along["pixel"] == in_place["pixel"]
    assert along["calm"].item() == pytest.approx(0.0, abs=1e-6)
    assert in_place["calm"] > 1e-3


def test_terms_that_learn_are_fresh_in_each_training_and_the_others_shared() -> None:
    pixel = L1()
    terms = Terms({"pixel": pixel, "adversary": Adversarial(width=8)})
    assert terms.learns and isinstance(terms, LearningTerm)
    one, again, other = (terms.for_training(seed) for seed in (0, 0, 1))
    images = two_images()
    for each in (one, again, other):
        each.learn(*images)
    assert one(*images) == again(*images) != other(*images)
    assert one._terms["pixel"] is pixel


def test_learning_is_told_by_term_and_resumes_exactly() -> None:
    images = two_images()
    terms = Terms({"pixel": L1(), "adversary": Adversarial(width=8)}).for_training(0)
    assert set(terms.learn(*images)) == {"adversary.discriminator"}
    state = terms.state_dict()
    resumed = Terms({"pixel": L1(), "adversary": Adversarial(width=8)}).for_training(0)
    resumed.load_state_dict(state)
    for each in (terms, resumed):
        each.learn(*images)
    assert terms(*images) == resumed(*images)


def test_a_loss_that_does_not_learn_has_nothing_to_save() -> None:
    terms = Terms({"pixel": L1()})
    assert not terms.learns and terms.state_dict() == {} and terms.learn(*two_images()) == {}


def test_the_state_of_another_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="'adversary'.*resume with the loss"):
        Terms({"pixel": L1()}).load_state_dict({"adversary": {}})

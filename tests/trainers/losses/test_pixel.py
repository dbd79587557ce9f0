import pytest
import torch
from torchmetrics.functional.image import total_variation

from tests.trainers.feature_networks import two_images
from trainers.losses.pixel import Charbonnier, TotalVariation


def test_charbonnier_is_the_absolute_difference_far_from_zero() -> None:
    zero = torch.zeros(1, 3, 4, 4)
    assert Charbonnier()(zero + 0.5, zero).item() == pytest.approx(0.499, abs=1e-5)


def test_total_variation_is_that_of_torchmetrics_over_the_number_of_differences() -> None:
    images, _ = two_images(12)
    differences = images[..., 1:, :].numel()
    theirs = total_variation(images, reduction="sum").item() / (2 * differences)
    assert TotalVariation()(images, images).item() == pytest.approx(theirs, rel=1e-6)


def test_total_variation_is_least_for_a_flat_picture_and_ignores_the_target() -> None:
    prediction, target = two_images()
    flat = torch.full_like(target, 0.3)
    assert TotalVariation()(flat, target) == 0
    assert TotalVariation()(prediction, target) == TotalVariation()(prediction, flat)

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchmetrics.functional.image import structural_similarity_index_measure

from tests.trainers.feature_networks import two_images
from trainers.losses.structure import SSIM, MultiScaleSSIM


def their_ssim(prediction: Tensor, target: Tensor) -> float:
    """Torchmetrics also averages over its reflected rim; here only windows inside count."""
    _, every = structural_similarity_index_measure(
        prediction, target, data_range=1.0, return_full_image=True
    )
    return every[..., 5:-5, 5:-5].mean().item()


def their_structure(prediction: Tensor, target: Tensor) -> float:
    _, structure = structural_similarity_index_measure(
        prediction, target, data_range=1.0, return_contrast_sensitivity=True
    )
    return structure.mean().item()


def test_ssim_is_that_of_torchmetrics() -> None:
    prediction, target = two_images()
    theirs = their_ssim(prediction, target)
    assert SSIM()(prediction, target).item() == pytest.approx(1 - theirs, abs=1e-5)


@pytest.mark.parametrize("scales", [1, 3])
def test_multi_scale_ssim_of_a_grey_picture_is_that_of_torchmetrics(scales: int) -> None:
    prediction, target = (images[:1, :1] for images in two_images(64, noise=0.05))
    one, other = prediction, target
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)[:scales]
    theirs = 1.0
    for weight in weights[:-1]:
        theirs *= their_structure(one, other) ** (weight / sum(weights))
        one, other = avg_pool2d(one, 2), avg_pool2d(other, 2)
    theirs *= their_ssim(one, other) ** (weights[-1] / sum(weights))
    value = MultiScaleSSIM(scales=scales)(prediction, target)
    assert value.item() == pytest.approx(1 - theirs, abs=1e-5)


def test_five_scales_need_176_pixels() -> None:
    _, target = two_images(175)
    with pytest.raises(ValueError, match="176x176, these are 175x175"):
        MultiScaleSSIM()(target, target)
    _, target = two_images(176, count=1)
    assert MultiScaleSSIM()(target, target).item() == pytest.approx(0.0, abs=1e-6)


def test_a_negative_picture_has_a_finite_loss_and_gradient() -> None:
    _, target = two_images()
    leaf = (1 - target).requires_grad_()
    loss = MultiScaleSSIM(scales=2)(leaf, target)
    loss.backward()
    assert leaf.grad is not None and torch.isfinite(leaf.grad).all()
    assert 0.5 < loss.item() <= 1


def test_scales_without_published_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 5 scales, not 6"):
        MultiScaleSSIM(scales=6)

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_laplace, sobel

from tests.trainers.feature_networks import two_images
from trainers.losses.base import Term
from trainers.losses.frequency import HFEN, FocalFrequency, Gradient, Laplacian, Sobel
from trainers.losses.pixel import SquaredError


@pytest.mark.parametrize("term", [Gradient(), Sobel(), Laplacian(), HFEN()], ids=repr)
def test_edges_ignore_a_constant_offset(term: Term) -> None:
    _, target = two_images()
    assert term(target + 0.1, target).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("term", [Gradient(), Sobel()], ids=repr)
def test_a_ramp_of_one_per_pixel_has_a_gradient_of_one(term: Term) -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert term(ramp, torch.zeros_like(ramp)).item() == pytest.approx(0.5)


def test_sobel_is_that_of_scipy_inside_the_picture() -> None:
    prediction, target = two_images(16, count=1)
    error = (prediction - target)[0].double().numpy()
    edges = np.array([[sobel(channel, axis) for axis in (0, 1)] for channel in error])
    theirs = np.abs(edges[..., 1:-1, 1:-1]).mean() / 8
    assert Sobel()(prediction, target).item() == pytest.approx(theirs, rel=1e-5)


def test_hfen_is_the_laplacian_of_gaussian_of_scipy_inside_the_picture() -> None:
    prediction, target = two_images(32, count=1)
    error = (prediction - target)[0].double().numpy()
    filtered = [gaussian_laplace(channel, 1.5, truncate=7 / 1.5) for channel in error]
    theirs = np.abs(np.array(filtered)[:, 7:-7, 7:-7]).mean()
    assert HFEN()(prediction, target).item() == pytest.approx(theirs, rel=1e-4)


def test_hfen_asks_for_pictures_as_large_as_its_filter() -> None:
    small = torch.zeros(1, 3, 14, 20)
    with pytest.raises(ValueError, match="14x20, too small for a filter of 15x"):
        HFEN()(small, small)


def test_focal_frequency_without_focus_is_the_mean_squared_error() -> None:
    prediction, target = two_images()
    flat = FocalFrequency(alpha=0.0)(prediction, target)
    assert flat.item() == pytest.approx(SquaredError()(prediction, target).item(), rel=1e-5)


def test_focal_frequency_is_the_paper_s_in_numpy() -> None:
    prediction, target = two_images(15, count=1)
    total = 0.0
    for one, other in zip(prediction[0].numpy(), target[0].numpy(), strict=True):
        distance = np.abs(np.fft.fft2(one - other) / np.sqrt(one.size))
        total += float(np.mean(distance / distance.max() * distance**2))
    assert FocalFrequency()(prediction, target).item() == pytest.approx(total / 3, rel=1e-4)


def test_no_gradient_passes_through_the_focus() -> None:
    prediction, target = two_images(8, count=1)
    leaf = prediction.clone().requires_grad_()
    FocalFrequency()(leaf, target).backward()
    spectrum = torch.fft.fft2(prediction - target, norm="ortho")
    focus = spectrum.abs() / spectrum.abs().amax(dim=(-2, -1), keepdim=True)
    expected = 2 * torch.fft.ifft2(focus * spectrum, norm="ortho").real / prediction.numel()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, expected, atol=1e-6, rtol=1e-3)

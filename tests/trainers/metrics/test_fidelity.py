from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests.trainers.feature_networks import DATA
from trainers.data.imresize import crop_to_multiple, enlarge, shrink
from trainers.losses.structure import SSIM, MultiScaleSSIM
from trainers.metrics.fidelity import (
    MOST_DB,
    credited,
    ms_ssim_rgb,
    ms_ssim_y,
    psnr_rgb,
    psnr_y,
    ssim_rgb,
    ssim_y,
)
from trainers.metrics.pixels import luma

ALL = [psnr_y, psnr_rgb, ssim_y, ssim_rgb, ms_ssim_y, ms_ssim_rgb]
# Bicubic enlargement as MATLAB does it, Set5, mean of five: the bicubic rows of SRCNN (2014) and
# of all papers after it.
PUBLISHED = {2: (33.66, 0.9299), 3: (30.39, 0.8682), 4: (28.42, 0.8104)}
SET5 = DATA / "val" / "set5"


def two_pictures(side: int = 40) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    one = random.integers(0, 256, (side, side + 10, 3)).astype(np.uint8)
    noise = random.integers(-20, 21, one.shape)
    return one, np.clip(one.astype(int) + noise, 0, 255).astype(np.uint8)


def as_tensor(image: NDArray[np.generic]) -> torch.Tensor:
    """(H, W) or (H, W, 3) -> (1, C, H, W) in [0, 1]."""
    channels = image[..., None] if image.ndim == 2 else image
    return torch.from_numpy(channels.transpose(2, 0, 1)[None] / 255.0).float()


def theirs(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    _, full = structural_similarity(
        one, other, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    return float(full[5:-5, 5:-5].mean())


def test_psnr_is_that_of_scikit_image_inside_the_border() -> None:
    one, other = two_pictures()
    inside = (slice(2, -2), slice(2, -2))
    grey = peak_signal_noise_ratio(luma(other)[inside], luma(one)[inside], data_range=255)
    assert psnr_y(one, other, border=2) == pytest.approx(grey, abs=1e-9)
    colour = peak_signal_noise_ratio(other[inside], one[inside], data_range=255)
    assert psnr_rgb(one, other, border=2) == pytest.approx(colour, abs=1e-9)


def test_ssim_is_that_of_scikit_image_where_the_window_fits() -> None:
    one, other = two_pictures()
    inside = (slice(2, -2), slice(2, -2))
    grey = theirs(luma(one)[inside], luma(other)[inside])
    assert ssim_y(one, other, border=2) == pytest.approx(grey, abs=1e-9)
    channels = [image[inside].astype(float).transpose(2, 0, 1) for image in (one, other)]
    colour = np.mean([theirs(*pair) for pair in zip(*channels, strict=True)])
    assert ssim_rgb(one, other, border=2) == pytest.approx(colour, abs=1e-9)


def test_the_metrics_agree_with_the_losses_computed_in_torch() -> None:
    one, other = two_pictures(180)
    ours, wanted = as_tensor(one), as_tensor(other)
    single = SSIM()(ours, wanted)
    assert ssim_rgb(one, other, border=0) == pytest.approx(1 - single.item(), abs=1e-5)
    loss = MultiScaleSSIM()(ours, wanted)
    assert ms_ssim_rgb(one, other, border=0) == pytest.approx(1 - loss.item(), abs=1e-5)
    grey = MultiScaleSSIM()(as_tensor(luma(one)), as_tensor(luma(other)))
    assert ms_ssim_y(one, other, border=0) == pytest.approx(1 - grey.item(), abs=1e-5)


@pytest.mark.parametrize("metric", ALL)
def test_equal_pictures_have_the_best_value(metric: Callable[..., float]) -> None:
    one, other = two_pictures(180)
    best = metric(one, one, border=2)
    assert best == pytest.approx(1.0) or best == float("inf")
    assert metric(one, other, border=2) < best


@pytest.mark.parametrize("metric", ALL)
def test_the_border_does_not_count(metric: Callable[..., float]) -> None:
    one, _ = two_pictures(180)
    other = one.copy()
    other[:2], other[-2:], other[:, :2], other[:, -2:] = 0, 0, 0, 0
    assert metric(one, other, border=2) == metric(one, one, border=2)
    assert metric(one, other, border=0) < metric(one, one, border=0)


@pytest.mark.parametrize("metric", ALL)
def test_pictures_of_two_sizes_or_of_none_are_refused(metric: Callable[..., float]) -> None:
    one, other = two_pictures()
    with pytest.raises(ValueError, match="one size"):
        metric(one, other[:-1], border=0)
    with pytest.raises(ValueError, match="a border of 20 leaves nothing"):
        metric(one, other, border=20)


def test_pictures_too_small_for_their_window_are_refused() -> None:
    one, other = two_pictures(12)
    with pytest.raises(ValueError, match="SSIM needs 11x11 pixels, these are 10x20"):
        ssim_y(one, other, border=1)
    with pytest.raises(ValueError, match="MS-SSIM needs 176x176"):
        ms_ssim_y(one, other, border=0)


@pytest.mark.skipif(not SET5.is_dir(), reason="no Set5 beside the project")
@pytest.mark.parametrize("scale", PUBLISHED)
def test_bicubic_enlargement_of_set5_has_the_published_figures(scale: int) -> None:
    figures = []
    for path in sorted(SET5.glob("*.png")):
        with Image.open(path) as opened:
            high = crop_to_multiple(np.array(opened.convert("RGB")), scale)
        bicubic = enlarge(shrink(high, scale), scale)
        figures.append(
            (psnr_y(bicubic, high, border=scale), ssim_y(bicubic, high, border=scale))
        )
    psnr, ssim = np.mean(figures, axis=0)
    expected_psnr, expected_ssim = PUBLISHED[scale]
    assert psnr == pytest.approx(expected_psnr, abs=0.03)
    assert ssim == pytest.approx(expected_ssim, abs=0.001)


def test_a_psnr_counts_what_rounding_leaves_of_a_perfect_picture_at_most() -> None:
    random = np.random.default_rng(0)
    perfect = random.uniform(20, 230, (200, 200, 3))
    rounding = perfect - np.round(perfect)
    limit = 10 * np.log10(255**2 / np.mean(rounding**2))
    assert MOST_DB == pytest.approx(limit, abs=0.02)
    assert credited(float("inf")) == MOST_DB
    assert credited(33.66) == 33.66

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from trainers.metrics import luma, psnr_y, ssim_y, to_pixels


def two_pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    one = random.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    noise = random.integers(-20, 21, one.shape)
    return one, np.clip(one.astype(int) + noise, 0, 255).astype(np.uint8)


def test_white_and_black_have_the_studio_range_in_luma() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(luma(ends), [[16.0, 235.0]], atol=1e-3)


def test_psnr_is_that_of_scikit_image_on_the_luma_inside_the_border() -> None:
    one, other = two_pictures()
    inside = (slice(2, -2), slice(2, -2))
    theirs = peak_signal_noise_ratio(luma(other)[inside], luma(one)[inside], data_range=255)
    assert psnr_y(one, other, border=2) == pytest.approx(theirs, abs=1e-9)


def test_ssim_is_that_of_scikit_image_where_the_window_fits() -> None:
    one, other = two_pictures()
    _, theirs = structural_similarity(
        luma(one)[2:-2, 2:-2], luma(other)[2:-2, 2:-2], data_range=255, gaussian_weights=True,
        sigma=1.5, use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert ssim_y(one, other, border=2) == pytest.approx(theirs[5:-5, 5:-5].mean(), abs=1e-9)


def test_the_border_does_not_count() -> None:
    one, _ = two_pictures()
    other = one.copy()
    other[:2], other[-2:], other[:, :2], other[:, -2:] = 0, 0, 0, 0
    assert psnr_y(one, other, border=2) == float("inf")
    assert ssim_y(one, other, border=2) == pytest.approx(1.0)
    assert psnr_y(one, other, border=0) < 30


def test_pictures_of_two_sizes_are_refused() -> None:
    one, other = two_pictures()
    with pytest.raises(ValueError, match="one size"):
        psnr_y(one, other[:-1], border=0)


def test_outputs_are_clipped_and_rounded_half_up() -> None:
    output = np.array([-0.1, 0.5 / 255, 0.49 / 255, 1.2], np.float32)
    assert to_pixels(np.tile(output, (1, 3, 1, 1)))[0, :, 0].tolist() == [0, 1, 0, 255]


def test_an_output_that_is_not_finite_has_no_metric() -> None:
    with pytest.raises(FloatingPointError):
        to_pixels(np.full((1, 3, 2, 2), np.nan, np.float32))

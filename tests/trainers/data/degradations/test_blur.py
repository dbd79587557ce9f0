import numpy as np
import pytest
import torch
from scipy import ndimage

from trainers.data.degradations.base import degrade_whole
from trainers.data.degradations.blur import GaussianBlur, gaussian_kernels
from trainers.data.draws import Draws


@pytest.mark.parametrize("sigma", [0.6, 1.3, 2.5])
def test_a_round_blur_is_scipys_gaussian_filter(sigma: float) -> None:
    image = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    ours = degrade_whole(image, GaussianBlur((sigma, sigma), radius=9), Draws.of(0))
    theirs = ndimage.gaussian_filter(
        image.double().numpy(), (0, 0, sigma, sigma), mode="reflect", radius=(0, 0, 9, 9)
    )
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 90.0])
def test_an_elongated_blur_along_an_axis_is_two_filters(degrees: float) -> None:
    image = torch.rand(1, 1, 40, 50, generator=torch.Generator().manual_seed(0))
    blur = GaussianBlur((2.0, 2.0), ratio=(0.4, 0.4), angle=(degrees, degrees), radius=8)
    ours = degrade_whole(image, blur, Draws.of(0))[0, 0].numpy()
    along_rows, along_columns = (2.0, 0.8) if degrees == 90 else (0.8, 2.0)
    theirs = ndimage.gaussian_filter(
        image[0, 0].double().numpy(), (along_rows, along_columns), mode="reflect", radius=(8, 8)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_kernel_has_the_covariance_that_was_asked_for() -> None:
    longer, shorter, degrees = 2.5, 1.2, 30.0
    axes = (torch.tensor([float(n)]) for n in (longer, shorter, np.radians(degrees)))
    kernel = gaussian_kernels(*axes, radius=15)[0]
    along = torch.arange(-15.0, 16.0)
    xx = (kernel * along**2).sum().item()
    yy = (kernel * along[:, None] ** 2).sum().item()
    xy = (kernel * along * along[:, None]).sum().item()
    turn = np.array([[np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))],
                     [np.sin(np.radians(degrees)), np.cos(np.radians(degrees))]])  # fmt: skip
    expected = turn @ np.diag([longer**2, shorter**2]) @ turn.T
    np.testing.assert_allclose([[xx, xy], [xy, yy]], expected, atol=2e-3)
    assert kernel.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_each_image_is_blurred_by_a_kernel_of_its_own() -> None:
    dot = torch.zeros(6, 1, 21, 21)
    dot[..., 10, 10] = 1.0
    peaks = GaussianBlur((0.5, 2.0))(dot, Draws.of(1))[:, 0, 10, 10]
    assert len(set(peaks.tolist())) == 6
    assert peaks.min() >= 1 / (2 * np.pi * 2.0**2) * 0.99


def test_frames_of_a_clip_share_their_kernel() -> None:
    dot = torch.zeros(6, 1, 21, 21)
    dot[..., 10, 10] = 1.0
    peaks = GaussianBlur((0.5, 2.0), ratio=(0.3, 0.9))(dot, Draws.of(1, repeat=3))[:, 0, 10, 10]
    assert len({round(peak, 5) for peak in peaks.tolist()}) == 2
    assert torch.allclose(peaks[:3], peaks[0])


def test_senseless_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma is 2 to 1"):
        GaussianBlur((2.0, 1.0))
    with pytest.raises(ValueError, match="ratio is 0.5 to 1.5"):
        GaussianBlur(ratio=(0.5, 1.5))

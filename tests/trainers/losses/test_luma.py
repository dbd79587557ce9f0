import numpy as np
import pytest
import torch

from tests.trainers.feature_networks import two_images
from trainers.data.planes import Planes
from trainers.losses.adversarial import Adversarial
from trainers.losses.base import Term
from trainers.losses.frequency import Gradient
from trainers.losses.luma import Luma
from trainers.losses.pixel import L1
from trainers.losses.temporal import WarpingError
from trainers.metrics.pixels import LUMA, luma


def test_it_is_the_difference_of_what_psnr_y_judges() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    value = Luma(of=L1())(images[:1], images[1:]).item()
    expected = np.abs(luma(pictures[0]) - luma(pictures[1])).mean() / sum(LUMA)
    assert value == pytest.approx(expected, rel=1e-5)


def test_colours_of_one_brightness_are_equal_to_it() -> None:
    target = torch.full((1, 3, 4, 4), 0.5)
    red_for_green = torch.tensor([LUMA[1], -LUMA[0], 0.0]).view(1, 3, 1, 1) * 1e-3
    assert Luma(of=L1())(target + red_for_green, target).item() == pytest.approx(0, abs=1e-6)
    assert L1()(target + red_for_green, target).item() > 0.05


def test_a_luma_picture_is_compared_as_it_is_and_a_decoders_planes_at_full_size() -> None:
    one, other = (image[:, :1] for image in two_images(16))
    assert torch.equal(Luma(of=Gradient())(one, other), Gradient()(one, other))
    rgb = two_images(16)
    planes = [Planes("ycbcr420").of_images(images) for images in rgb]
    y = [Planes("luma").of_images(images) for images in rgb]
    assert Luma(of=Gradient())(*planes).item() == pytest.approx(Gradient()(*y).item(), rel=1e-6)


def test_the_weight_of_the_term_inside_counts() -> None:
    images = two_images()
    assert Luma(of=L1(weight=3.0))(*images) == 3 * Luma(of=L1())(*images)


@pytest.mark.parametrize("term", [Adversarial(width=8), WarpingError()], ids=["learns", "clips"])
def test_terms_that_need_more_than_two_pictures_are_refused(term: Term) -> None:
    with pytest.raises(ValueError, match="cannot be taken of the luma"):
        Luma(of=term)


def test_pictures_without_a_luma_are_refused() -> None:
    pictures = torch.zeros(1, 4, 8, 8)
    with pytest.raises(ValueError, match="4 channels"):
        Luma(of=L1())(pictures, pictures)

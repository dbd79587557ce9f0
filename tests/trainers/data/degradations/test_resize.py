from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from tests.trainers.data.test_imresize import research_data
from trainers.data import bundled
from trainers.data.degradations.base import degrade_whole
from trainers.data.degradations.mixed import Chain
from trainers.data.degradations.resize import Area, Bicubic
from trainers.data.degradations.rounding import Rounded
from trainers.data.draws import Draws
from trainers.data.imresize import crop_to_multiple, shrink, taps


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_whole_photograph_is_reduced_as_by_the_papers(scale: int) -> None:
    pixels = bundled.validation_photos()[1].pixels[:240, 120:360]
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    ours = degrade_whole(image, Chain([Bicubic(scale), Rounded()]), Draws.of(0))
    difference = np.asarray((ours[0] * 255).round().permute(1, 2, 0)) - shrink(pixels, scale)
    # A tie may be rounded the other way in single precision.
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 1e-3


def test_double_precision_agrees_with_the_reference_to_the_last_level() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 60, 3)).astype(np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    ours = degrade_whole(image, Bicubic(2), Draws.of(0))
    rounded = torch.floor(ours + 0.5).clamp(0, 255)
    assert np.array_equal(np.asarray(rounded[0].permute(1, 2, 0)), shrink(pixels, 2))


def test_a_scale_of_one_changes_nothing() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(Bicubic(1)(image, Draws.of(0)), image)


def test_the_area_is_the_mean_of_squares() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert Area(2)(image, Draws.of(0)).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_a_senseless_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="the scale is 0"):
        Bicubic(0)


def enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    """Bicubic enlargement (H, W) along rows, then along columns, in double precision."""
    for _ in range(2):
        index, weight = taps(len(image), Fraction(scale))
        image = np.einsum("yk,ykx->xy", weight, image[index])
    return image


@pytest.mark.skipif(
    not (research_data() / "val" / "set5").is_dir(),
    reason="the research data with Set5 is not here; FREEWAY_DATA may name it",
)
@pytest.mark.parametrize(("scale", "published"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_reduced_and_enlarged_luma_of_set5_has_the_published_psnr(
    scale: int, published: float
) -> None:
    """As SRCNN's MATLAB code does it: luma of whole numbers, reduced without rounding."""
    psnrs = []
    for path in sorted((research_data() / "val" / "set5").glob("*.png")):
        with Image.open(path) as image:
            pixels = crop_to_multiple(np.asarray(image.convert("RGB")), scale)
        luma = np.round(pixels @ np.array([65.481, 128.553, 24.966]) / 255 + 16)
        low = degrade_whole(torch.from_numpy(luma)[None, None], Bicubic(scale), Draws.of(0))
        error = np.round(enlarged(low[0, 0].numpy(), scale)) - luma
        inner = error[scale:-scale, scale:-scale]
        psnrs.append(10 * np.log10(255**2 / np.mean(inner**2)))
    assert len(psnrs) == 5
    assert np.mean(psnrs) == pytest.approx(published, abs=0.01)

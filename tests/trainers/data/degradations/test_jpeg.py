import io

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data import bundled
from trainers.data.degradations.jpeg import Jpeg, Subsampling, jpeg_round_trip
from trainers.data.draws import Draws

PILLOWS: dict[Subsampling, int] = {"4:4:4": 0, "4:2:0": 2}


def photo(height: int, width: int) -> np.ndarray:
    return bundled.validation_photos()[1].pixels[100 : 100 + height, 150 : 150 + width].copy()


def as_image(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


def by_pillow(pixels: np.ndarray, quality: int, subsampling: Subsampling) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG", quality=quality, subsampling=PILLOWS[subsampling]
    )
    return np.asarray(Image.open(file)).astype(int)


@pytest.mark.parametrize("size", [(96, 112), (90, 101)], ids=str)
@pytest.mark.parametrize("subsampling", PILLOWS)
@pytest.mark.parametrize("quality", [10, 40, 75, 95])
def test_it_is_what_pillow_writes_and_reads(
    size: tuple[int, int], subsampling: Subsampling, quality: int
) -> None:
    pixels = photo(*size)
    theirs = by_pillow(pixels, quality, subsampling)
    coded = jpeg_round_trip(as_image(pixels), torch.tensor([float(quality)]),
                            subsampling=subsampling)  # fmt: skip
    ours = np.asarray((coded[0] * 255).round().permute(1, 2, 0)).astype(int)
    # libjpeg computes in whole numbers; now and then a frequency is rounded the other way.
    assert np.abs(ours - theirs).mean() < 0.5
    assert np.abs(ours - theirs).mean() < 0.25 * np.abs(theirs - pixels).mean()
    assert np.mean(np.abs(ours - theirs) > 3) < 0.02


def test_each_image_has_a_quality_of_its_own() -> None:
    image = as_image(photo(48, 48))
    both = jpeg_round_trip(image.repeat(2, 1, 1, 1), torch.tensor([10.0, 90.0]),
                           subsampling="4:2:0")  # fmt: skip
    alone = jpeg_round_trip(image, torch.tensor([90.0]), subsampling="4:2:0")
    assert torch.equal(both[1], alone[0])
    errors = (both - image).abs().mean(dim=(1, 2, 3))
    assert errors[0] > 2 * errors[1]


def test_the_grid_of_blocks_begins_anywhere() -> None:
    image = as_image(photo(64, 64))
    jpeg = Jpeg((20.0, 20.0), "4:4:4")
    steps = []
    for seed in range(12):
        out = jpeg(image, Draws.of(seed))[0].mean(dim=(0, 1))
        steps.append(int((out[1:] - out[:-1]).abs()[:56].view(7, 8).mean(dim=0).argmax()))
    assert len(set(steps)) > 3


def test_a_flat_picture_survives_any_quality() -> None:
    flat = torch.full((1, 3, 20, 20), 128 / 255)
    assert torch.equal(jpeg_round_trip(flat, torch.tensor([5.0]), subsampling="4:2:0"), flat)


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="quality is 0 to 50"):
        Jpeg((0.0, 50.0))
    with pytest.raises(ValueError, match="4:4:4 and 4:2:0 are possible"):
        Jpeg(subsampling="4:1:1")  # type: ignore[arg-type]

"""Every degradation, alone and combined, keeps the promises of the protocol."""

import numpy as np
import pytest
import torch

from trainers.data.crops import DegradedCrops
from trainers.data.degradations.base import Degradation, degrade_whole, mirror_pad
from trainers.data.degradations.blur import GaussianBlur
from trainers.data.degradations.jpeg import Jpeg
from trainers.data.degradations.mixed import Chain, OneOf, Shuffled
from trainers.data.degradations.noise import GaussianNoise, PoissonNoise
from trainers.data.degradations.resize import Area, Bicubic
from trainers.data.degradations.rounding import Rounded
from trainers.data.draws import Draws
from trainers.data.photo import Photo

BLUR = GaussianBlur(sigma=(0.5, 1.5), ratio=(0.4, 1.0))
EVERY: dict[str, Degradation] = {
    "bicubic": Bicubic(3),
    "area": Area(2),
    "blur": BLUR,
    "gaussian noise": GaussianNoise((5.0, 25.0)),
    "poisson noise": PoissonNoise((10.0, 1000.0)),
    "jpeg": Jpeg((20.0, 80.0)),
    "rounded": Rounded(8),
    "chain": Chain([BLUR, Bicubic(2), GaussianNoise((1.0, 9.0)), Jpeg(), Rounded()]),
    "one of": OneOf([Chain([]), BLUR, Jpeg((10.0, 20.0))]),
    "shuffled": Shuffled([BLUR, GaussianNoise((1.0, 9.0)), Jpeg()]),
}
WITHOUT_NOISE = {"bicubic", "area", "blur", "rounded"}


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def photos() -> list[Photo]:
    random = np.random.default_rng(0)
    return [Photo(str(k), random.integers(0, 256, (60, 72, 3)).astype(np.uint8)) for k in range(2)]


@pytest.mark.parametrize("name", EVERY)
def test_it_declares_what_becomes_of_the_size(name: str) -> None:
    degradation = EVERY[name]
    out = degrade_whole(noise(3, 3, 48, 60), degradation, Draws.of(0))
    assert out.shape == (3, 3, 48 // degradation.scale, 60 // degradation.scale)
    assert out.dtype == torch.float32
    assert torch.isfinite(out).all()
    assert -1 < out.min() < out.max() < 3


@pytest.mark.parametrize("name", EVERY)
def test_the_same_step_and_seed_give_the_same_batch_and_others_do_not(name: str) -> None:
    crops = DegradedCrops(photos(), EVERY[name], crop=12)
    (low, high), again = (crops.batch(3, seed=1, size=4) for _ in range(2))
    assert torch.equal(low, again[0])
    assert torch.equal(high, again[1])
    for step, seed in ((4, 1), (3, 2)):
        assert not torch.equal(low, crops.batch(step, seed=seed, size=4)[0])


@pytest.mark.parametrize("name", EVERY)
def test_global_randomness_is_neither_used_nor_touched(name: str) -> None:
    crops = DegradedCrops(photos(), EVERY[name], crop=12)
    torch.manual_seed(0)
    first = crops.batch(0, seed=0, size=2)[0]
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))
    torch.manual_seed(99)
    assert torch.equal(first, crops.batch(0, seed=0, size=2)[0])


@pytest.mark.parametrize("name", sorted(WITHOUT_NOISE))
def test_beyond_its_margin_the_edge_does_not_matter(name: str) -> None:
    degradation = EVERY[name]
    image = noise(1, 3, 48, 48)
    margin = -(-degradation.margin // degradation.scale)
    one = degradation(image, Draws.of(0))
    framed = mirror_pad(image, 6)
    framed[..., :6], framed[..., -6:] = 9.0, 9.0
    other = degradation(framed, Draws.of(0))
    skip = 6 // degradation.scale
    inner = slice(margin, one.shape[2] - margin)
    shifted = slice(margin + skip, one.shape[2] + skip - margin)
    torch.testing.assert_close(one[..., inner, inner], other[..., shifted, shifted])


@pytest.mark.parametrize("name", ["bicubic", "area", "rounded"])
def test_a_crop_is_degraded_as_inside_its_picture(name: str) -> None:
    """With one crop as large as the picture, edges included, turns aside."""
    degradation = EVERY[name]
    side = 12 * degradation.scale
    photo = Photo("", np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8))
    low, high = DegradedCrops([photo], degradation, crop=12).batch(0, seed=0, size=1)
    torch.testing.assert_close(low, degrade_whole(high, degradation, Draws.of(0)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", EVERY)
def test_it_works_on_a_gpu_with_the_same_choices_per_image(name: str) -> None:
    crops = DegradedCrops(photos(), EVERY[name], crop=12)
    here, there = (crops.batch(0, seed=0, size=8, device=d) for d in ("cpu", "cuda"))
    assert there[0].is_cuda
    assert torch.equal(here[1], there[1].cpu())
    if name in WITHOUT_NOISE:
        torch.testing.assert_close(here[0], there[0].cpu(), atol=1e-4, rtol=0)

import numpy as np
import pytest
import torch
from scipy import stats

from trainers.data.degradations.noise import GaussianNoise, PoissonNoise, poisson
from trainers.data.draws import Draws


def test_gaussian_noise_is_normal_with_the_sigma_that_was_asked_for() -> None:
    noise = GaussianNoise((25.0, 25.0))(torch.zeros(1, 3, 100, 100), Draws.of(0)).flatten() * 255
    assert stats.kstest(noise.numpy() / 25, "norm").pvalue > 1e-3


def test_each_image_has_a_sigma_of_its_own_inside_the_range() -> None:
    noise = GaussianNoise((5.0, 50.0))(torch.zeros(200, 3, 24, 24), Draws.of(1)) * 255
    sigmas = noise.flatten(1).std(dim=1).numpy()
    assert stats.kstest(sigmas, stats.uniform(5.0, 45.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.3, 4.0, 23.0, 25.0, 80.0, 900.0])
def test_photons_are_poisson_distributed(mean: float) -> None:
    counts = poisson(torch.full((40000,), mean), Draws.of(2)).numpy()
    assert np.array_equal(counts, np.round(counts))
    assert counts.min() >= 0
    edges = stats.poisson.ppf(np.linspace(0.02, 0.98, 12), mean)
    for edge in np.unique(edges):
        share, expected = np.mean(counts <= edge), stats.poisson.cdf(edge, mean)
        assert share == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 40000))
    assert stats.skew(counts) == pytest.approx(1 / np.sqrt(mean), abs=0.06)


def test_shot_noise_grows_with_the_root_of_the_light() -> None:
    image = torch.full((1, 1, 400, 400), 0.2)
    image[..., 200:] = 0.8
    noisy = PoissonNoise((500.0, 500.0))(image, Draws.of(3))
    dark, bright = noisy[..., :200], noisy[..., 200:]
    assert dark.mean().item() == pytest.approx(0.2, rel=0.01)
    assert dark.var().item() == pytest.approx(0.2 / 500, rel=0.03)
    assert bright.var().item() == pytest.approx(0.8 / 500, rel=0.03)


def test_black_stays_black_in_shot_noise() -> None:
    assert not PoissonNoise()(torch.zeros(2, 3, 8, 8), Draws.of(0)).any()


def test_noise_is_new_in_every_frame_of_a_clip_but_equally_strong() -> None:
    noise = GaussianNoise((1.0, 50.0))(torch.zeros(8, 3, 40, 40), Draws.of(0, repeat=4))
    sigmas = noise.flatten(1).std(dim=1)
    assert torch.allclose(sigmas[:4], sigmas[0], rtol=0.1)
    assert not torch.equal(noise[0], noise[1])


def test_senseless_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="sigma is -1 to 5"):
        GaussianNoise((-1.0, 5.0))
    with pytest.raises(ValueError, match="photons is 0 to 5"):
        PoissonNoise((0.0, 5.0))

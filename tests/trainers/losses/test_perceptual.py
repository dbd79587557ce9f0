from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.trainers.feature_networks import needs_real, random_network, real_network, two_images
from trainers.base import DataError
from trainers.features.distance import uncalibrated
from trainers.losses.perceptual import Content, Perceptual, Style, gram, read_painting

LAYERS = {"relu1": 1.0, "fire5": 0.5}


def test_content_is_the_squared_difference_of_features() -> None:
    network, (prediction, target) = random_network(), two_images()
    got, wanted = (network(images, tuple(LAYERS)) for images in (prediction, target))
    expected = sum(w * (got[n] - wanted[n]).square().mean().item() for n, w in LAYERS.items())
    value = Content(network=network, layers=LAYERS)(prediction, target)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_style_does_not_care_where_things_are() -> None:
    network, (_, target) = random_network(), two_images()
    style = Style(network=network, layers={"relu1": 1e6})
    content = Content(network=network, layers={"relu1": 1.0})
    mirrored, other = target.flip(-1).flip(-1).roll(8, dims=-1), target.flip(0)
    assert content(mirrored, target) > 1e-4
    assert style(mirrored, target) < 0.2 * style(1 - other, target)


def test_a_gram_matrix_is_the_mean_product_of_two_channels() -> None:
    features = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = (features[1, 0] * features[1, 2]).mean() / 3
    torch.testing.assert_close(gram(features)[1, 0, 2], expected)


def test_the_style_of_a_painting_is_wanted_whatever_the_target(tmp_path: Path) -> None:
    _, (painting, *_) = two_images(48, seed=3)
    pixels = (painting * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "painting.png")
    style = Style(
        network=random_network(), layers={"relu1": 1e6}, image=str(tmp_path / "painting.png")
    )
    prediction, target = two_images(48)
    assert style(prediction, target) == style(prediction, 1 - target) > 0
    exact = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    assert style(exact, target[:1]).item() == pytest.approx(0.0, abs=1e-6)


def test_a_painting_is_reduced_and_a_missing_one_told(tmp_path: Path) -> None:
    Image.new("L", (60, 40)).save(tmp_path / "grey.png")
    assert read_painting(tmp_path / "grey.png", 20).shape == (1, 3, 20, 30)
    assert read_painting(tmp_path / "grey.png", 100).shape == (1, 3, 40, 60)
    with pytest.raises(DataError, match="nothing.png cannot be read"):
        read_painting(tmp_path / "nothing.png", 20)


def test_layers_the_network_does_not_have_are_refused_with_those_it_has() -> None:
    with pytest.raises(ValueError, match="no layer relu9; there are: relu1, fire2"):
        Content(network=random_network(), layers={"relu9": 1.0})
    with pytest.raises(ValueError, match="asked for a layer"):
        Style(network=random_network(), layers={})


@needs_real
def test_a_network_that_has_seen_pictures_minds_blur_more_than_as_much_brightness() -> None:
    term = Perceptual(distance=uncalibrated(real_network(), ("relu1", "fire4", "fire7")))
    sharp, _ = two_images(64)
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, stride=1, padding=2)
    brighter = sharp + (sharp - blurred).square().mean().sqrt()
    assert term(blurred, sharp) > 2 * term(brighter, sharp)

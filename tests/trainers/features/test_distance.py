from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainers.feature_networks import random_network, random_state, two_images
from trainers.base import DataError
from trainers.features import distance
from trainers.features.distance import (
    LPIPS_LAYERS,
    FeatureDistance,
    linear_weights,
    lpips,
    uncalibrated,
)
from trainers.features.network import FeatureNetwork
from trainers.features.networks import layout

# Channels of the layers, which are the lengths of the lpips package's linear weights.
CHANNELS = {
    "alexnet": (64, 192, 384, 256, 256),
    "vgg16": (64, 128, 256, 512, 512),
    "squeezenet1_1": (64, 128, 256, 384, 384, 512, 512),
}


def put_linear(path: Path, name: str) -> Path:
    """A file laid out as the lpips package's."""
    generator = torch.Generator().manual_seed(0)
    torch.save(
        {
            f"lin{k}.model.1.weight": torch.rand(1, channels, 1, 1, generator=generator)
            for k, channels in enumerate(CHANNELS[name])
        },
        path,
    )
    return path


@pytest.mark.parametrize("name", LPIPS_LAYERS)
def test_the_layers_have_as_many_channels_as_the_linear_weights(name: str) -> None:
    side = 64
    with torch.device("meta"):
        x, network = torch.empty(1, 3, side, side), layout(name).build()
    channels = {}
    for index, part in enumerate(network):
        x = part(x)
        channels[index] = x.shape[1]
    taps = layout(name).taps
    assert tuple(channels[taps[layer]] for layer in LPIPS_LAYERS[name]) == CHANNELS[name]


def test_it_is_the_paper_s_equation_in_numpy(tmp_path: Path) -> None:
    file = put_linear(tmp_path / "squeeze.pth", "squeezenet1_1")
    weights = linear_weights(file, "squeezenet1_1")
    network = random_network("squeezenet1_1")
    prediction, target = two_images(count=1)
    expected = 0.0
    for layer, weight in weights.items():
        one, other = (network(im, (layer,))[layer][0].numpy() for im in (prediction, target))
        one, other = (f / (np.sqrt((f**2).sum(0)) + 1e-10) for f in (one, other))
        expected += float((weight.numpy()[:, None, None] * (one - other) ** 2).sum(0).mean())
    value = FeatureDistance(network, weights)(prediction, target)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_each_picture_of_a_batch_has_its_own_value() -> None:
    term = uncalibrated(random_network(), ("relu1", "fire3"))
    prediction, target = two_images(count=3)
    prediction[1] = target[1]
    values = term(prediction, target)
    assert values.shape == (3,) and values[1] == 0 and values[0] > 0 and values[2] > 0


def test_dark_places_where_nothing_fires_have_a_finite_gradient() -> None:
    state = {key: -value.abs() for key, value in random_state("squeezenet1_1").items()}
    network = FeatureNetwork("squeezenet1_1", state, mean=(0, 0, 0), std=(1, 1, 1))
    leaf = two_images()[0].requires_grad_()
    uncalibrated(network, ("relu1", "fire2"))(leaf, two_images(seed=1)[1]).sum().backward()
    assert leaf.grad is not None and torch.isfinite(leaf.grad).all()


def test_lpips_is_put_together_from_both_published_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put_linear(tmp_path / "squeeze.pth", "squeezenet1_1")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(distance._LINEAR, "squeezenet1_1", ("squeeze.pth", digest))
    monkeypatch.setattr(distance, "published", lambda name, path: random_network(name))
    found = lpips("squeezenet1_1", linear=file)
    weights = linear_weights(file, "squeezenet1_1")
    expected = FeatureDistance(random_network("squeezenet1_1"), weights)
    assert found.name == "lpips"
    assert torch.equal(found(*two_images()), expected(*two_images()))


def test_linear_weights_of_another_origin_are_refused(tmp_path: Path) -> None:
    file = put_linear(tmp_path / "alex.pth", "alexnet")
    with pytest.raises(DataError, match="is not alex.pth of lpips v0.1"):
        lpips("alexnet", linear=file)
    with pytest.raises(DataError, match="does not have lin0.* not of vgg16|lin0.*lin6"):
        linear_weights(file, "squeezenet1_1")


@pytest.mark.parametrize(
    ("name", "file"),
    [("alexnet", "alex.pth"), ("vgg16", "vgg.pth"), ("squeezenet1_1", "squeeze.pth")],
)
def test_missing_linear_weights_are_named(name: str, file: str) -> None:
    with pytest.raises(DataError, match=f"give `linear` the path of {file} of the lpips package"):
        lpips(name)
    with pytest.raises(DataError, match="no file /nowhere.pth"):
        lpips(name, linear="/nowhere.pth")


def test_there_is_no_lpips_for_other_networks() -> None:
    with pytest.raises(ValueError, match="no LPIPS for 'vgg19'; there is: alexnet, vgg16"):
        lpips("vgg19")


def test_negative_weights_are_refused() -> None:
    with pytest.raises(DataError, match="weights of relu1 must be finite and not negative"):
        FeatureDistance(random_network(), {"relu1": -torch.ones(64)})


def test_an_uncalibrated_distance_is_not_called_lpips() -> None:
    assert uncalibrated(random_network(), ("relu1",)).name == (
        "squeezenet1_1 distance, uncalibrated"
    )

from __future__ import annotations

import pytest
import torch

from trainers.features.networks import LAYOUTS, layout

# Convolutional parts of the counts torchvision publishes for the whole networks.
PARAMETERS = {
    "vgg16": 138_357_544 - 123_642_856,
    "vgg19": 143_667_240 - 123_642_856,
    "alexnet": 61_100_840 - 58_631_144,
    "squeezenet1_0": 1_248_424 - 513_000,
    "squeezenet1_1": 1_235_496 - 513_000,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        network = layout(name).build()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_feature_is_what_an_activation_puts_out_and_fits_its_smallest_image(
    name: str,
) -> None:
    found = layout(name)
    side = found.smallest
    with torch.device("meta"):
        x, network = torch.empty(1, 3, side, side), found.build()
    kinds = {}
    for index, part in enumerate(network):
        x = part(x)
        kinds[index] = type(part).__name__
    assert min(x.shape[-2:]) >= 1
    assert {kinds[index] for index in found.taps.values()} <= {"ReLU", "Fire"}


def test_the_file_s_name_carries_the_start_of_its_hash() -> None:
    for found in LAYOUTS.values():
        assert len(bytes.fromhex(found.file.removesuffix(".pth").rpartition("-")[2])) == 4


def test_an_unknown_network_is_told_which_there_are() -> None:
    with pytest.raises(ValueError, match="no feature network 'resnet'; there are: vgg16, vgg19"):
        layout("resnet")

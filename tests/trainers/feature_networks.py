"""Feature networks for tests: with random weights, or with the real ones where they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainers.features.network import FeatureNetwork, own
from trainers.features.networks import layout

DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = DATA / "weights" / "squeezenet_v1.0_imagenet_rgb01.npz"
needs_real = pytest.mark.skipif(not REAL.is_file(), reason=f"no {REAL.name} beside the project")


def random_state(name: str, *, seed: int = 0) -> dict[str, Tensor]:
    """A state dict with torchvision's names, drawn anew."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = layout(name).build()
    return {f"features.{key}": value for key, value in layers.state_dict().items()}


@cache
def random_network(name: str = "squeezenet1_1") -> FeatureNetwork:
    """A network that has learned nothing: features of random filters."""
    return FeatureNetwork(name, random_state(name))


@cache
def real_network() -> FeatureNetwork:
    """SqueezeNet 1.0 with its ImageNet weights; the normalisation is part of them."""
    return own("squeezenet1_0", path=REAL, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def two_images(
    side: int = 40, *, count: int = 2, noise: float = 0.2, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """A batch of smooth pictures with noise, and the pictures."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=generator)
    target = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    prediction = target + noise * torch.randn(target.shape, generator=generator)
    return prediction.clamp(0, 1), target

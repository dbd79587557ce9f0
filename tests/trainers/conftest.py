"""Small networks and a small task that train in well under a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.tasks.super_resolution import SuperResolution


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small only wait for each other's threads."""
    torch.set_num_threads(1)


class TinyNet(nn.Module):
    """Two convolutions and a pixel shuffle beside a nearest-neighbour path."""

    def __init__(self, *, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(dropout)
        self.last = nn.Conv2d(8, 12, 3, padding=1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in (self.first.weight, self.last.weight):
                parameter.normal_(0.0, 0.1, generator=generator)
            for bias in (self.first.bias, self.last.bias):
                assert bias is not None
                bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        features = self.drop(torch.relu(self.norm(self.first(x))))
        enlarged = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        return nn.functional.pixel_shuffle(self.last(features), 2) + enlarged


def write_photo(path: Path, *, size: tuple[int, int] = (48, 64), seed: int = 0) -> None:
    """A smooth random colour picture of height and width `size`."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four small pictures."""
    folder = tmp_path_factory.mktemp("photos")
    for k in range(4):
        write_photo(folder / f"photo{k}.png", seed=k)
    return folder


@pytest.fixture(scope="session")
def task(photos: Path) -> SuperResolution:
    """Super-resolution x2 of these pictures in crops of 12."""
    return SuperResolution(data=Sources(str(photos)), crop=12)


@pytest.fixture
def budget() -> Budget:
    """Thirty steps of four crops."""
    return Budget(max_steps=30, batch_size=4, learning_rate=5e-3, quant_steps=10)

"""Losses that compare what a network trained on ImageNet sees in two pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from trainers.base import DataError
from trainers.features.distance import FeatureDistance
from trainers.features.network import FeatureNetwork
from trainers.losses.base import Term


@dataclass(frozen=True, kw_only=True, eq=False)
class Content(Term):
    """Mean squared difference of features, summed over layers: the perceptual loss.

    Source: Johnson, Alahi & Fei-Fei, "Perceptual losses for real-time style transfer and
    super-resolution", 2016, eq. 2.

    Attributes:
        network: the feature network.
        layers: name of a feature -> what it counts.
    """

    network: FeatureNetwork
    layers: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuse layers the network does not have.

        Raises:
            ValueError: there is one, or there is none, or a weight is not positive.
        """
        super().__post_init__()
        self.network.check(tuple(self.layers))

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) twice -> a scalar."""
        with torch.no_grad():
            wanted = self.network(target, tuple(self.layers))
        got = self.network(prediction, tuple(self.layers))
        total = prediction.new_zeros(())
        for layer, weight in self.layers.items():
            total = total + weight * (got[layer] - wanted[layer]).square().mean()
        return total


@dataclass(frozen=True, kw_only=True, eq=False)
class Style(Term):
    """Squared difference of the features' Gram matrices, summed over layers.

    Source: Gatys, Ecker & Bethge, "Image style transfer using convolutional neural networks",
    2016; normalised as in Johnson et al., 2016, eq. 3 and 4.

    Attributes:
        network: the feature network.
        layers: name of a feature -> what it counts.
        image: file of a painting whose style is wanted; the target's own style when None.
        size: the painting's shorter side is reduced to it, pixels. Strokes keep that size.
    """

    network: FeatureNetwork
    layers: Mapping[str, float]
    image: str | None = None
    size: int = 256
    _wanted: dict[str, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Read the painting, once.

        Raises:
            ValueError: the network has no such layer, or a weight is not positive.
            DataError: the painting cannot be read.
        """
        super().__post_init__()
        self.network.check(tuple(self.layers))
        if self.image is not None:
            painting = read_painting(Path(self.image).expanduser(), self.size)
            self._wanted.update(self._grams(painting))

    def _grams(self, images: Tensor) -> dict[str, Tensor]:
        features = self.network(images, tuple(self.layers))
        return {layer: gram(features[layer]) for layer in self.layers}

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) twice -> a scalar."""
        if self._wanted:
            wanted = {layer: g.to(prediction.device) for layer, g in self._wanted.items()}
        else:
            with torch.no_grad():
                wanted = self._grams(target)
        got = self._grams(prediction)
        total = prediction.new_zeros(())
        for layer, weight in self.layers.items():
            squared = (got[layer] - wanted[layer]).square()
            total = total + weight * squared.sum(dim=(-2, -1)).mean()
        return total


@dataclass(frozen=True, kw_only=True, eq=False)
class Perceptual(Term):
    """A distance of pictures in a network's features, averaged over the batch: LPIPS.

    In yaml, `distance: {_target_: trainers.features.distance.lpips, name: alexnet, linear: ...}`.
    """

    distance: FeatureDistance

    def compare(self, prediction: Tensor, target: Tensor) -> Tensor:
        """RGB in [0, 1], (N, 3, H, W) twice -> a scalar."""
        value: Tensor = self.distance(prediction, target)
        return value.mean()


def gram(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, C): products of channels, over C * H * W."""
    count, channels, height, width = features.shape
    flat = features.reshape(count, channels, height * width)
    return flat @ flat.transpose(1, 2) / (channels * height * width)


def read_painting(path: Path, size: int) -> Tensor:
    """A picture as (1, 3, h, w) in [0, 1], its shorter side reduced to `size`.

    Raises:
        DataError: it is missing or no picture.
    """
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"the painting {path} cannot be read: give an image file") from error
    shrink = min(1.0, size / min(picture.size))
    width, height = (max(1, round(side * shrink)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    return pixels.float() / 255

"""Random crops as training batches: cut, turned and degraded where the network is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainers.base import Pixels
from trainers.data.degradations.base import Degradation, degrade_crops
from trainers.data.draws import Draws
from trainers.data.photo import Photo
from trainers.data.pictures import Pictures


class Crops:
    """Aligned crops of two sets of pictures; the same step and seed give the same batch.

    Every position in every picture is equally likely, and so are the eight ways to flip and turn
    a crop.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Photo | Pixels, Photo | Pixels]],
        *,
        crop: int,
        scale: int,
    ) -> None:
        """Take the pictures over.

        Args:
            pairs: low (h, w, 3) and high (h * scale, w * scale, 3); both sides of a low picture
                are at least `crop`.
            crop: height and width of a low-resolution crop.
            scale: high over low size.

        Raises:
            ValueError: a picture is too small, or a pair does not fit together.
        """
        lows = [_photo(low) for low, _ in pairs]
        highs = [_photo(high) for _, high in pairs]
        for low, high in zip(lows, highs, strict=True):
            small, large = low.stored.shape[:2], high.stored.shape[:2]
            if min(small) < crop:
                raise ValueError(f"a picture of {small} is smaller than a crop of {crop}")
            if large != (small[0] * scale, small[1] * scale):
                raise ValueError(f"{large} is not {scale} times {small}")
        self._low, self._high = Pictures.of(lows), Pictures.of(highs)
        self._crop, self._scale = crop, scale

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Low (size, 3, crop, crop) and high (size, 3, crop * scale, crop * scale) in [0, 1]."""
        random = np.random.default_rng((seed, step))
        picks = self._low.draw(random, size=size, side=self._crop)
        low = self._low.cut(picks, side=self._crop, device=device)
        side = self._crop * self._scale
        return low, self._high.cut(picks.scaled(self._scale), side=side, device=device)


class DegradedCrops:
    """Crops of clean pictures and what a degradation makes of them, new at every step.

    A crop is cut with as much around it as the degradation reaches, so that it is degraded exactly
    as it would be inside its picture. Crops begin at multiples of the scale.
    """

    def __init__(self, photos: Sequence[Photo], degradation: Degradation, *, crop: int) -> None:
        """Take the pictures over.

        Args:
            photos: clean ones; both sides are at least `crop` times the degradation's scale.
            degradation: what makes the inputs.
            crop: height and width of an input, after the degradation.

        Raises:
            ValueError: a picture is too small.
        """
        side = crop * degradation.scale
        for photo in photos:
            if min(photo.stored.shape[:2]) < side:
                raise ValueError(
                    f"{photo.name} of {photo.stored.shape[:2]} is smaller than a crop of {side}"
                )
        self._pictures, self._side = Pictures.of(photos), side
        self._degradation = degradation

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Inputs (size, 3, crop, crop) and clean crops (size, 3, crop * scale, crop * scale)."""
        draws = Draws.of(seed, step, device=device)
        scale = self._degradation.scale
        picks = self._pictures.draw(draws.host, size=size, side=self._side, step=scale)

        def cut(margin: int) -> Tensor:
            return self._pictures.cut(picks, side=self._side, margin=margin, device=device)

        return degrade_crops(cut, self._degradation, draws)


def _photo(picture: Photo | Pixels) -> Photo:
    return picture if isinstance(picture, Photo) else Photo("", picture)

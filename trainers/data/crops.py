"""Random aligned crops of low- and high-resolution pictures that are held in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainers.base import Pixels


class Crops:
    """Cuts training batches; the same step and seed give the same batch.

    Every position in every picture is equally likely, and so are the eight ways to flip and turn
    a crop.
    """

    def __init__(self, pairs: Sequence[tuple[Pixels, Pixels]], *, crop: int, scale: int) -> None:
        """Take the pictures over.

        Args:
            pairs: low (h, w, 3) and high (h * scale, w * scale, 3); both sides of a low picture
                are at least `crop`.
            crop: height and width of a low-resolution crop.
            scale: high over low size.

        Raises:
            ValueError: a picture is too small, or a pair does not fit together.
        """
        for low, high in pairs:
            if min(low.shape[:2]) < crop:
                raise ValueError(f"a picture of {low.shape[:2]} is smaller than a crop of {crop}")
            if high.shape[:2] != (low.shape[0] * scale, low.shape[1] * scale):
                raise ValueError(f"{high.shape[:2]} is not {scale} times {low.shape[:2]}")
        self._low = [np.ascontiguousarray(low.transpose(2, 0, 1)) for low, _ in pairs]
        self._high = [np.ascontiguousarray(high.transpose(2, 0, 1)) for _, high in pairs]
        self._crop, self._scale = crop, scale
        places = [(p.shape[1] - crop + 1) * (p.shape[2] - crop + 1) for p in self._low]
        self._ends = np.cumsum(places)

    def batch(self, step: int, *, seed: int, size: int) -> tuple[Tensor, Tensor]:
        """Low (size, 3, crop, crop) and high (size, 3, crop * scale, crop * scale) in [0, 1]."""
        random = np.random.default_rng((seed, step))
        places = random.integers(self._ends[-1], size=size)
        turns = random.integers(8, size=size).tolist()
        pictures = np.searchsorted(self._ends, places, side="right").tolist()
        crop, scale = self._crop, self._scale
        low = np.empty((size, 3, crop, crop), np.uint8)
        high = np.empty((size, 3, crop * scale, crop * scale), np.uint8)
        for n, (picture, place, turn) in enumerate(
            zip(pictures, places.tolist(), turns, strict=True)
        ):
            columns = self._low[picture].shape[2] - crop + 1
            place -= int(self._ends[picture - 1]) if picture else 0
            y, x = divmod(place, columns)
            low[n] = _turned(self._low[picture][:, y : y + crop, x : x + crop], turn)
            y, x, side = y * scale, x * scale, crop * scale
            high[n] = _turned(self._high[picture][:, y : y + side, x : x + side], turn)
        return _to_unit(low), _to_unit(high)


def _turned(picture: Pixels, turn: int) -> Pixels:
    """One of the eight symmetries of the square, as a view of (3, H, W)."""
    if turn & 1:
        picture = picture[:, ::-1]
    if turn & 2:
        picture = picture[:, :, ::-1]
    return picture.transpose(0, 2, 1) if turn & 4 else picture


def _to_unit(pixels: Pixels) -> Tensor:
    # In numpy, because torch would share this small work among threads and wait for all of them:
    # on a busy machine that takes milliseconds instead of a tenth of one.
    return torch.from_numpy(np.divide(pixels, np.float32(255), dtype=np.float32))

"""Randomness as an argument: what a batch draws follows from its seed and step alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Range = tuple[float, float]
"""Lower and upper end of what is drawn, uniformly."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Two sources of random numbers for one batch.

    Attributes:
        host: for a few numbers per image; the same ones on every device.
        device: for a number per pixel, drawn where the images are. Its sequence is the same
            whenever it is asked for, but differs between a processor and a GPU.
        repeat: images in a row that share what is drawn per image, as the frames of a clip do.
    """

    host: np.random.Generator
    device: torch.Generator
    repeat: int = 1

    @classmethod
    def of(cls, *key: int, device: torch.device | str = "cpu", repeat: int = 1) -> Self:
        """The draws that belong to some whole numbers, such as a seed and a step."""
        sequence = np.random.SeedSequence(key)
        generator = torch.Generator(device=device)
        generator.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return cls(np.random.default_rng(sequence), generator, repeat)

    def uniform(self, between: Range, count: int) -> Tensor:
        """(count,) float32 on the device, evenly spread over `between`."""
        drawn = self.host.uniform(*between, size=self._groups(count)).astype(np.float32)
        return self._to_device(drawn)[:count]

    def choices(self, weights: NDArray[np.float64], count: int) -> NDArray[np.intp]:
        """(count,): which of several things each image gets, kept on the host."""
        drawn = self.host.choice(len(weights), size=self._groups(count), p=weights)
        return np.repeat(drawn, self.repeat)[:count].astype(np.intp)

    def orders(self, things: int, count: int) -> NDArray[np.intp]:
        """(count, things): in which order each image meets several things, kept on the host."""
        keys = self.host.random((self._groups(count), things))
        return np.repeat(keys.argsort(axis=1), self.repeat, axis=0)[:count].astype(np.intp)

    def normal_like(self, images: Tensor) -> Tensor:
        """Standard normal numbers, one per element."""
        return torch.randn(
            images.shape, generator=self.device, device=images.device, dtype=images.dtype
        )

    def _groups(self, count: int) -> int:
        return -(-count // self.repeat)

    def _to_device(self, drawn: NDArray[np.float32]) -> Tensor:
        repeated = np.repeat(drawn, self.repeat)
        return torch.from_numpy(repeated).to(self.device.device, non_blocking=True)

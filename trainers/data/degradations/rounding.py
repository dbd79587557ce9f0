"""The few levels that a file or a camera keeps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainers.data.draws import Draws


@dataclass(frozen=True)
class Rounded:
    """Clip to [0, 1] and round to whole levels, halves up.

    Attributes:
        bits: per channel.
    """

    bits: int = 8

    def __post_init__(self) -> None:
        """Refuse numbers of bits that no file has.

        Raises:
            ValueError: says so.
        """
        if not 1 <= self.bits <= 16:
            raise ValueError(f"{self.bits} bits per channel: 1 to 16 are possible")

    @property
    def scale(self) -> int:
        """The size stays."""
        return 1

    @property
    def margin(self) -> int:
        """A pixel is on its own."""
        return 0

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        most = float(2**self.bits - 1)
        return (images * most).add_(0.5).floor_().clamp_(0.0, most).div_(most)

"""JPEG compression and decompression of many images at once, step by step as libjpeg does it.

Sources: ITU-T Recommendation T.81 (transform, example tables K.1 and K.2), JFIF 1.02 (colours);
libjpeg-turbo's `jcparam.c` (quality), `jcsample.c` and `jdsample.c` (halved colour and back).
Entropy coding loses nothing and is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from trainers.data.degradations.base import check_range
from trainers.data.draws import Draws, Range

Subsampling = Literal["4:4:4", "4:2:0"]

_BLOCK = 8
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)  # fmt: skip
# In 65536ths, a row for luma and each colour difference.
_ONE, _HALF = 65536.0, 32768.0
_TO_YCC = ((19595.0, 38470.0, 7471.0), (-11059.0, -21709.0, 32768.0), (32768.0, -27439.0, -5329.0))


@dataclass(frozen=True)
class Jpeg:
    """What JPEG leaves of an image, whose grid of blocks may begin anywhere.

    Attributes:
        quality: 1 to 100 as libjpeg and Pillow count it, drawn anew for each image.
        subsampling: of the colour differences; 4:2:0, usual in files, halves both their sides.
    """

    quality: Range = (30.0, 95.0)
    subsampling: Subsampling = "4:2:0"

    def __post_init__(self) -> None:
        """Refuse senseless qualities and kinds of subsampling.

        Raises:
            ValueError: says what is possible.
        """
        check_range("quality", self.quality, least=1.0, most=100.0)
        if self.subsampling not in ("4:4:4", "4:2:0"):
            raise ValueError(f"subsampling {self.subsampling!r}: 4:4:4 and 4:2:0 are possible")

    @property
    def scale(self) -> int:
        """The size stays."""
        return 1

    @property
    def margin(self) -> int:
        """The block that a pixel belongs to may lie to one side of it."""
        return _BLOCK if self.subsampling == "4:4:4" else 2 * _BLOCK

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, 3, H, W) -> (N, 3, H, W)."""
        quality = draws.uniform(self.quality, len(images)).round()
        down, right = draws.host.integers(self.margin, size=2).tolist()
        height, width = images.shape[2:]
        shifted = functional.pad(images, (right, 0, down, 0), mode="replicate")
        coded = jpeg_round_trip(shifted, quality, subsampling=self.subsampling)
        return coded[..., down : down + height, right : right + width]


def jpeg_round_trip(images: Tensor, quality: Tensor, *, subsampling: Subsampling) -> Tensor:
    """Compress and decompress.

    Args:
        images: (N, 3, H, W) in [0, 1]; rounded to 8 bits first.
        quality: (N,), whole numbers from 1 to 100.
        subsampling: of the colour differences.

    Returns:
        (N, 3, H, W), whole levels of 8 bits over 255.
    """
    height, width = images.shape[2:]
    luma, chroma = _to_ycc(_eight_bits(images.float() * 255.0))
    halved = subsampling == "4:2:0"
    if halved:
        chroma = _halve(chroma)
    luma = _code(luma, quality_tables(_LUMA, quality))
    chroma = _code(chroma, quality_tables(_CHROMA, quality))
    if halved:
        chroma = chroma[..., : -(-height // 2), : -(-width // 2)]
        chroma = _double(chroma)[..., :height, :width]
    return (_to_rgb(luma, chroma) / 255.0).to(images.dtype)


def quality_tables(base: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """(N, 8, 8): the step of each frequency, as libjpeg scales the example tables."""
    percent = torch.where(quality < 50, (5000.0 / quality).floor(), 200.0 - 2.0 * quality)
    table = torch.tensor(base, dtype=torch.float32, device=quality.device)
    return ((table * percent[:, None, None] + 50.0) / 100.0).floor().clamp(1.0, 255.0)


def _eight_bits(levels: Tensor) -> Tensor:
    return (levels + 0.5).floor_().clamp_(0.0, 255.0)


def _to_ycc(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) -> luma (N, 1, H, W) and colour differences (N, 2, H, W), all 0 to 255.

    In libjpeg's whole numbers, which single precision holds exactly: halves are common.
    """
    weights = torch.tensor(_TO_YCC, dtype=rgb.dtype, device=rgb.device)
    mixed = torch.einsum("kc,nchw->nkhw", weights, rgb)
    luma = ((mixed[:, :1] + _HALF) / _ONE).floor_()
    return luma, ((mixed[:, 1:] + (_HALF - 1)) / _ONE).floor_() + 128.0


def _to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    to_blue, to_red = chroma[:, :1] - 128.0, chroma[:, 1:] - 128.0
    green = luma - 0.344136286 * to_blue - 0.714136286 * to_red
    return _eight_bits(torch.cat([luma + 1.402 * to_red, green, luma + 1.772 * to_blue], dim=1))


def _halve(chroma: Tensor) -> Tensor:
    """Means of 2 x 2, rounded down and up in turn along a row, as libjpeg does."""
    _, _, height, width = chroma.shape
    padded = functional.pad(chroma, (0, -width % (2 * _BLOCK), 0, height % 2), mode="replicate")
    total = functional.avg_pool2d(padded, 2, divisor_override=1)
    bias = torch.ones(total.shape[-1], dtype=total.dtype, device=total.device)
    bias[1::2] = 2.0
    return ((total + bias) / 4.0).floor()


def _double(chroma: Tensor) -> Tensor:
    """Twice as large by the triangle filter: 9, 3, 3 and 1 sixteenths of the four nearest."""
    padded = functional.pad(chroma, (0, 0, 1, 1), mode="replicate")
    own = 3.0 * chroma
    rows = torch.stack([own + padded[..., :-2, :], own + padded[..., 2:, :]], dim=3)
    rows = rows.flatten(2, 3)
    padded = functional.pad(rows, (1, 1, 0, 0), mode="replicate")
    even = (3.0 * rows + padded[..., :-2] + 8.0) / 16.0
    odd = (3.0 * rows + padded[..., 2:] + 7.0) / 16.0
    return torch.stack([even, odd], dim=4).flatten(3, 4).floor_()


def _code(planes: Tensor, tables: Tensor) -> Tensor:
    """Round the frequencies of 8 x 8 blocks of planes (N, C, H, W) to multiples of their steps."""
    count, channels, height, width = planes.shape
    padding = (0, -width % _BLOCK, 0, -height % _BLOCK)
    padded = functional.pad(planes, padding, mode="replicate") - 128.0
    down, across = padded.shape[2] // _BLOCK, padded.shape[3] // _BLOCK
    blocks = padded.view(count, channels * down, _BLOCK, across, _BLOCK).transpose(2, 3)
    transform = _cosines(planes.device)
    steps = tables.flatten(1)[:, None]
    scaled = (blocks.reshape(count, -1, _BLOCK * _BLOCK) @ transform.T).div_(steps)
    # Halves go away from zero.
    kept = (scaled.abs() + 0.5).floor_().copysign_(scaled).mul_(steps)
    decoded = _eight_bits(kept @ transform + 128.0)
    decoded = decoded.view(count, channels * down, across, _BLOCK, _BLOCK).transpose(2, 3)
    return decoded.reshape(padded.shape)[..., :height, :width]


@lru_cache(maxsize=8)
def _cosines(device: torch.device) -> Tensor:
    """(64, 64): the orthonormal cosine transform of a flattened block, a frequency per row."""
    place = torch.arange(_BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi * (2 * place + 1) * place[:, None] / (2 * _BLOCK)) / 2
    rows[0] /= math.sqrt(2)
    # Eighths are made exact: ties between two steps are common there, and go away from zero.
    return torch.kron(rows, rows).round(decimals=12).to(device=device, dtype=torch.float32)

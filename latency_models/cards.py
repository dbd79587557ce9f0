"""What the data sheets of some graphics cards promise, for estimates where no card is at hand.

The figures are the peaks of the "GPU Architecture" papers by NVIDIA on Turing (2018), GA102
(2021), Ada (2022) and RTX Blackwell (2025): dense tensor cores with fp16 sums for fp16, with
int32 sums for int8, TF32 or plain arithmetic for fp32, and the memory's bandwidth. No network
reaches them, and small ones with tensors that stay in the cache can move data faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latency_models.base import Precision
from latency_models.roofline import Peaks

_PER_MAC = 2
"""Operations that a data sheet counts for one multiply-add."""


@dataclass(frozen=True)
class Card:
    """One card by its data sheet.

    Attributes:
        title: as it is sold.
        kind: its compute capability.
        tera_ops: operations per second in 1e12, by precision.
        gbytes_per_s: of its memory, in 1e9 bytes.
    """

    title: str
    kind: str
    tera_ops: Mapping[Precision, float]
    gbytes_per_s: float

    def peaks(self, precision: Precision) -> Peaks:
        """Its roofs at this precision."""
        gmacs_per_s = self.tera_ops[precision] * 1e3 / _PER_MAC
        return Peaks(precision, gmacs_per_s, self.gbytes_per_s)


def _card(
    title: str, kind: str, *, fp32: float, fp16: float, int8: float, gbytes_per_s: float
) -> Card:
    return Card(title, kind, {"fp32": fp32, "fp16": fp16, "int8": int8}, gbytes_per_s)


CARDS: Mapping[str, Card] = {
    "rtx_2080_ti": _card(
        "GeForce RTX 2080 Ti", "sm75", fp32=14.2, fp16=113.8, int8=227.7, gbytes_per_s=616
    ),
    "rtx_3080": _card(
        "GeForce RTX 3080", "sm86", fp32=29.8, fp16=119.0, int8=238.0, gbytes_per_s=760
    ),
    "rtx_3090": _card(
        "GeForce RTX 3090", "sm86", fp32=35.6, fp16=142.0, int8=284.0, gbytes_per_s=936
    ),
    "rtx_4080": _card(
        "GeForce RTX 4080", "sm89", fp32=48.7, fp16=194.9, int8=389.9, gbytes_per_s=717
    ),
    "rtx_4090": _card(
        "GeForce RTX 4090", "sm89", fp32=82.6, fp16=330.3, int8=660.6, gbytes_per_s=1008
    ),
    "rtx_5080": _card(
        "GeForce RTX 5080", "sm120", fp32=56.3, fp16=225.1, int8=450.2, gbytes_per_s=960
    ),
    "rtx_5090": _card(
        "GeForce RTX 5090", "sm120", fp32=104.8, fp16=419.0, int8=838.0, gbytes_per_s=1792
    ),
}

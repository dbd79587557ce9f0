"""The roofline: what a device could do at best, measured, and how near a network comes.

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", Communications of the ACM 52(4), 2009. Both roofs are measured on the
engine that runs the network, not read from a data sheet: the best multiply-adds per second of
some dense convolutions, and the bytes per second of an addition over tensors larger than caches
(on a processor numpy's copy where that is faster: some engines' additions are no match for it).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latency_models.base import LatencyModel, Precision
from latency_models.file_work import FileWork, work_of_file
from latency_models.peak_nets import COPY_BYTES, copy_net, dense_net

_LADDER = ((64, 56), (128, 56), (256, 56), (512, 112), (512, 224))
"""Channels and side of the dense networks: small ones do not fill a GPU, large ones take seconds
on one core."""
_WORTH_MORE = 1.05
_LONGEST_MS = 1000.0
_COPIES = 8


@dataclass(frozen=True)
class Peaks:
    """The roofs of one engine on one device, at one precision.

    Attributes:
        gmacs_per_s: the best multiply-adds per second that were seen, in billions.
        gbytes_per_s: memory traffic, read and written, in 1e9 bytes.
    """

    precision: Precision
    gmacs_per_s: float
    gbytes_per_s: float

    @property
    def ridge(self) -> float:
        """Multiply-adds per byte above which arithmetic is the roof."""
        return self.gmacs_per_s / self.gbytes_per_s


@dataclass(frozen=True)
class Roof:
    """One network under the roofs.

    Attributes:
        compute_ms: its multiply-adds at the peak rate.
        memory_ms: its bytes at the memory's rate. Tensors that stay in a cache move faster, so a
            small network may take less.
    """

    work: FileWork
    compute_ms: float
    memory_ms: float

    @property
    def nearer(self) -> Literal["compute", "memory"]:
        """The lower roof, which the network would meet first."""
        return "compute" if self.compute_ms >= self.memory_ms else "memory"

    @property
    def bound_ms(self) -> float:
        """The longer of the two times."""
        return max(self.compute_ms, self.memory_ms)

    def share(self, median_ms: float) -> float:
        """How much of that roof was reached: 1 is all of it."""
        return self.bound_ms / median_ms


def roof(work: FileWork, peaks: Peaks) -> Roof:
    """The two times that the peaks give this work."""
    return Roof(
        work, work.macs / peaks.gmacs_per_s / 1e6, work.bytes_moved / peaks.gbytes_per_s / 1e6
    )


def measure_peaks(
    latency: LatencyModel,
    precision: Precision,
    *,
    weight_max: int = 127,
    copy_rate: Callable[[], float] | None = None,
) -> Peaks:
    """Measure both roofs; a `CachedLatency` runs each network once per device.

    Args:
        weight_max: largest int8 weight, see `int8_support`.
        copy_rate: bytes per second of a plain copy on the host, `numpy_copy_rate` by default.

    Raises:
        CompileError: the engine has no such precision.
        DeviceError: the machine failed, or has no such arithmetic.
    """
    best = 0.0
    for channels, side in _LADDER:
        onnx = dense_net(precision, channels=channels, side=side, weight_max=weight_max)
        median_ms = latency.measure(onnx, precision).median_ms
        rate = work_of_file(onnx).macs / median_ms / 1e6
        enough = rate < best * _WORTH_MORE or median_ms * _next_factor(channels) > _LONGEST_MS
        best = max(best, rate)
        if enough:
            break
    copied = copy_net()
    report = latency.measure(copied, "fp32")
    gbytes_per_s = work_of_file(copied).bytes_moved / report.median_ms / 1e6
    if report.clock != "device":
        gbytes_per_s = max(gbytes_per_s, (copy_rate or numpy_copy_rate)() / 1e9)
    return Peaks(precision, best, gbytes_per_s)


def numpy_copy_rate() -> float:
    """Bytes per second, read and written, of the fastest of a few copies by one thread."""
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.zeros_like(source)
    fastest_s = float("inf")
    for _ in range(_COPIES):
        started = time.perf_counter()
        np.copyto(target, source)
        fastest_s = min(fastest_s, time.perf_counter() - started)
    return 2 * COPY_BYTES / fastest_s


def _next_factor(channels: int) -> int:
    """How much more work the step after this one is, at most."""
    return 16 if channels >= _LADDER[2][0] else 4

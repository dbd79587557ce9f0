"""By how much the front is expected to grow: hypervolume of quality and latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Belief:
    """What is thought of several networks, each number as mean and standard deviation, (N,).

    Attributes:
        gain: quality, larger is better.
        log_ms: natural logarithm of the latency in ms.
    """

    gain: Floats
    gain_std: Floats
    log_ms: Floats
    log_ms_std: Floats


def expected_improvement(
    belief: Belief, front: Sequence[tuple[float, float]], *, worst_gain: float, limit_ms: float
) -> Floats:
    """Expected growth of the front's hypervolume by each network alone, in quality x ms, (N,).

    The front divides the latencies below the limit into strips, in each of which a network adds
    the length that it is fast enough for times what it is better by. Both are independent here,
    so the expectation of the product is that of the factors: of a normal gain, and of a
    log-normal latency (Emmerich, Deutz and Klinkenberg, "Hypervolume-based expected
    improvement", CEC 2011, for two objectives).

    Args:
        front: (latency in ms, gain) of the points that are there; those that others dominate
            or that are over the limit change nothing.
        worst_gain: a gain that counts for nothing.
    """
    ends, heights = _steps(front, worst_gain, limit_ms)
    faster = np.array([_expected_below(belief, end) for end in ends])
    better = np.array([_expected_above(belief, height) for height in heights])
    lengths = np.diff(faster, axis=0, prepend=np.zeros((1, len(belief.gain))))
    total: Floats = (lengths * better).sum(axis=0)
    return total


def _steps(
    front: Sequence[tuple[float, float]], worst_gain: float, limit_ms: float
) -> tuple[list[float], list[float]]:
    """Where each strip of latencies ends, and the gain that is had in it already."""
    ends: list[float] = []
    heights = [worst_gain]
    for ms, gain in sorted(front, key=lambda point: (point[0], -point[1])):
        if gain > heights[-1] and ms < limit_ms:
            ends.append(ms)
            heights.append(gain)
    return [*ends, limit_ms], heights


def _expected_below(belief: Belief, end_ms: float) -> Floats:
    """E[max(end - T, 0)] of a log-normal T."""
    std = np.maximum(belief.log_ms_std, 1e-9)
    distance = (np.log(end_ms) - belief.log_ms) / std
    mean = np.exp(belief.log_ms + std**2 / 2)
    below: Floats = end_ms * ndtr(distance) - mean * ndtr(distance - std)
    return np.maximum(below, 0.0)


def _expected_above(belief: Belief, height: float) -> Floats:
    """E[max(G - height, 0)] of a normal G."""
    std = np.maximum(belief.gain_std, 1e-9)
    distance = (belief.gain - height) / std
    density = np.exp(-(distance**2) / 2) / np.sqrt(2 * np.pi)
    above: Floats = std * (distance * ndtr(distance) + density)
    return np.maximum(above, 0.0)

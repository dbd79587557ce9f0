"""Confidence intervals of a median that assume nothing about the shape of the noise.

The interval between two order statistics follows from the binomial distribution of the number of
values below the median (W. J. Conover, Practical Nonparametric Statistics, 3rd ed. 1999, section
3.2). Looking at the data again and again needs wider intervals: those here are repeated
confidence intervals (C. Jennison, B. W. Turnbull, "Interim analyses: the repeated confidence
interval approach", J. R. Statist. Soc. B 51, 1989), with the error spent over the looks by the
union bound, so that it holds for looks that depend on each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

import numpy as np

TAIL_SHARE = 0.05
"""Declared, not estimated: at most this share of the values on one side lies beyond `far_factor`
times the median. It is used only while there are too few values for order statistics."""
_ROUNDING = 1e-9
"""Relative, of sums of probabilities: what equals the allowed one exactly is allowed."""


def median_interval(
    values: Sequence[float], *, error: float, far_factor: float
) -> tuple[float, float]:
    """The interval that misses the median with at most this probability (both sides together).

    With too few values for order statistics: if a value beyond `far_factor` times the median has
    a probability of at most `TAIL_SHARE`, all n of them do with at most `TAIL_SHARE ** n`, so
    the median is between the least value divided by the factor and the greatest times it. With
    too few values even for that, nothing is known: (0, inf).
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    rank = _outer_rank(count, error / 2)
    if rank:
        return float(ordered[rank - 1]), float(ordered[count - rank])
    if count and TAIL_SHARE**count <= error / 2:
        return float(ordered[0] / far_factor), float(ordered[-1] * far_factor)
    return 0.0, inf


def _outer_rank(count: int, tail: float) -> int:
    """The greatest r with P(Binomial(count, 1/2) < r) <= tail; 0 when there is none."""
    factorials = np.cumsum(np.log(np.maximum(np.arange(count + 1), 1)))
    below = np.arange(count // 2)
    logs = factorials[count] - factorials[below] - factorials[count - below] - count * log(2)
    return int(np.searchsorted(np.cumsum(np.exp(logs)), tail * (1 + _ROUNDING), side="right"))


def error_at_look(look: int, error: float) -> float:
    """The share of the error that look 1, 2, 3 ... may spend; all of them together spend it all.

    1 / (k (k + 1)) sums to one, and leaves half for the first look, where few values are known.
    """
    return error / (look * (look + 1))


def looks(first: int, growth: float = 1.3) -> list[int]:
    """Counts of values after which to look: few and growing, for each look costs error."""
    counts = [first]
    while counts[-1] < 100_000:
        counts.append(max(counts[-1] + 2, int(counts[-1] * growth)))
    return counts

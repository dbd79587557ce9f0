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

Tails = Sequence[tuple[float, float]]
"""Declared, not estimated, as (factor, share): at most this share of the values on one side lies
beyond so many times the median. Used only while there are too few values for order statistics."""
FAR: Tails = ((2.0, 0.05),)
CLOSE: Tails = ((1.15, 0.2), (1.25, 0.1), *FAR)
"""What lets a few values settle what is not very far from a limit (`benchmarks/screening.py`
counts what lay beyond)."""
_ROUNDING = 1e-9
"""Relative, of sums of probabilities: what equals the allowed one exactly is allowed."""


def median_interval(
    values: Sequence[float], *, error: float, tails: Tails = FAR
) -> tuple[float, float]:
    """The interval that misses the median with at most this probability (both sides together).

    With too few values for order statistics: if a value beyond `factor` times the median has a
    probability of at most `share`, all n of them do with at most `share ** n`, so the median is
    between the least value divided by the factor and the greatest times it. The first of `tails`
    that n values suffice for counts: their number alone chooses it, never what they are. With
    too few values even for the last, nothing is known: (0, inf).
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    count = len(ordered)
    rank = _outer_rank(count, error / 2)
    if rank:
        return float(ordered[rank - 1]), float(ordered[count - rank])
    for factor, share in tails:
        if count and share**count <= error / 2:
            return float(ordered[0] / factor), float(ordered[-1] * factor)
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

"""The intervals hold what they promise, also when looked at again and again."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from latency_models.intervals import error_at_look, looks, median_interval


def test_ten_values_give_the_second_and_ninth_at_ninety_five_percent() -> None:
    # P(Binomial(10, 1/2) < 2) = 11 / 1024 <= 0.025 < 56 / 1024; a textbook value.
    low, high = median_interval(range(1, 11), error=0.05, far_factor=2.0)
    assert (low, high) == (2.0, 9.0)


def test_too_few_values_for_order_statistics_give_the_wide_interval() -> None:
    low, high = median_interval([10.0, 11.0, 12.0], error=0.05, far_factor=2.0)
    assert (low, high) == (5.0, 24.0)


def test_one_value_says_nothing_at_a_small_error() -> None:
    assert median_interval([10.0], error=0.01, far_factor=2.0) == (0.0, inf)


@pytest.mark.parametrize("count", [8, 25, 60])
def test_the_interval_misses_the_median_as_rarely_as_promised(count: int) -> None:
    random = np.random.default_rng(count)
    missed = 0
    for _ in range(4000):
        values = random.lognormal(0.0, 0.3, count).tolist()
        low, high = median_interval(values, error=0.05, far_factor=2.0)
        missed += not low <= 1.0 <= high
    assert missed / 4000 <= 0.06


def test_the_looks_together_spend_the_error_and_no_more() -> None:
    spent = sum(error_at_look(look, 0.01) for look in range(1, 10_000))
    assert 0.0099 < spent <= 0.01


def test_looks_grow() -> None:
    first = looks(3)[:8]
    assert first[0] == 3
    assert all(b - a >= 2 for a, b in zip(first, first[1:], strict=False))
    assert first[-1] - first[-2] > first[1] - first[0]

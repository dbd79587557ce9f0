"""The intervals hold what they promise, also when looked at again and again."""

from __future__ import annotations

from math import comb, inf

import numpy as np
import pytest

from latency_models.intervals import CLOSE, FAR, error_at_look, looks, median_interval


def test_ten_values_give_the_second_and_ninth_at_ninety_five_percent() -> None:
    # P(Binomial(10, 1/2) < 2) = 11 / 1024 <= 0.025 < 56 / 1024; a textbook value.
    low, high = median_interval(range(1, 11), error=0.05)
    assert (low, high) == (2.0, 9.0)


def test_too_few_values_for_order_statistics_give_the_wide_interval() -> None:
    low, high = median_interval([10.0, 11.0, 12.0], error=0.05)
    assert (low, high) == (5.0, 24.0)


@pytest.mark.parametrize(("count", "factor"), [(2, 2.0), (3, 1.25), (5, 1.15)])
def test_more_values_suffice_for_a_closer_tail(count: int, factor: float) -> None:
    low, high = median_interval([10.0] * count, error=0.006, tails=CLOSE)
    assert (low, high) == (pytest.approx(10 / factor), pytest.approx(10 * factor))


def test_the_values_themselves_never_choose_the_tail() -> None:
    calm = median_interval([10.0, 10.0, 10.0], error=0.005, tails=CLOSE)
    wild = median_interval([1.0, 10.0, 100.0], error=0.005, tails=CLOSE)
    assert wild == (pytest.approx(calm[0] / 10), pytest.approx(calm[1] * 10))


def test_order_statistics_come_before_any_tail() -> None:
    values = [float(v) for v in range(1, 11)]
    assert median_interval(values, error=0.05, tails=CLOSE) == median_interval(
        values, error=0.05, tails=FAR
    )


def test_one_value_says_nothing_at_a_small_error() -> None:
    assert median_interval([10.0], error=0.01) == (0.0, inf)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 100, 1023])
@pytest.mark.parametrize("error", [0.05, 0.01, 1e-4, 2.0**-9])
def test_the_order_statistics_are_those_of_the_exact_binomial_distribution(
    count: int, error: float
) -> None:
    below, rank = 0, 0
    while rank < count // 2 and below + comb(count, rank) <= error / 2 * 2.0**count:
        below += comb(count, rank)
        rank += 1
    found = median_interval(range(1, count + 1), error=error)
    if rank:
        assert found == (rank, count + 1 - rank)
    else:
        assert found[0] < 1 and found[1] > count


@pytest.mark.parametrize("count", [1024, 5000, 100_000])
def test_thousands_of_values_give_the_normal_distributions_order_statistics(count: int) -> None:
    low, high = median_interval(range(1, count + 1), error=0.05)
    middle, reach = (count + 1) / 2, 1.96 * count**0.5 / 2
    assert low + high == 2 * middle
    assert low == pytest.approx(middle - reach, abs=2)


@pytest.mark.parametrize("count", [8, 25, 60])
def test_the_interval_misses_the_median_as_rarely_as_promised(count: int) -> None:
    random = np.random.default_rng(count)
    missed = 0
    for _ in range(4000):
        values = random.lognormal(0.0, 0.3, count).tolist()
        low, high = median_interval(values, error=0.05)
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

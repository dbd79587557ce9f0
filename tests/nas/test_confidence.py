"""How sure a comparison of two networks on the same pictures is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from finished_studies import PSNR, trained
from numpy.typing import NDArray

from nas.confidence import FEWEST_PICTURES, Gain, Scored, gain_over, paired_gain
from nas.report.describe import compared, interval
from trainers.base import Metric

LPIPS = Metric("lpips", "", "min")
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def pictures(seed: int = 0, count: int = 12) -> NDArray[np.float64]:
    """PSNR of pictures that differ by several decibels."""
    return np.random.default_rng(seed).normal(31.0, 3.0, count)


def held(draw: Draw, truth: float, *, studies: int = 600, count: int = 12) -> float:
    """How often the interval holds the mean that differences are drawn around."""
    random, hits = np.random.default_rng(7), 0
    for seed in range(studies):
        base = pictures(seed, count)
        gain = paired_gain(PSNR, base + draw(random, count), base, seed=seed)
        assert gain.low is not None and gain.high is not None
        hits += gain.low <= truth <= gain.high
    return hits / studies


@pytest.mark.parametrize(
    ("draw", "truth", "least"),
    [
        (lambda r, n: r.standard_normal(n), 0.0, 0.92),
        (lambda r, n: r.standard_t(3, n), 0.0, 0.92),
        (lambda r, n: r.laplace(size=n), 0.0, 0.91),
        (lambda r, n: r.exponential(size=n), 1.0, 0.88),
    ],
    ids=["normal", "student 3", "laplace", "exponential"],
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(
    draw: Draw, truth: float, least: float
) -> None:
    assert least <= held(draw, truth) <= 0.98


def test_with_five_pictures_it_holds_the_truth_less_often() -> None:
    assert 0.86 <= held(lambda r, n: r.standard_normal(n), 0.0, count=5) <= 0.96


@pytest.mark.parametrize("of_seed", [0.01, 0.1])
def test_what_seeds_differ_by_is_in_the_interval_where_there_are_several(of_seed: float) -> None:
    random, hits = np.random.default_rng(3), 0
    for seed in range(400):
        base = pictures(seed)
        one, other = (
            base + random.normal(0, 0.05, 12)
            + random.normal(0, of_seed, (4, 1)) + random.normal(0, 0.02, (4, 12))
            for _ in range(2)
        )
        gain = paired_gain(PSNR, one, other, seed=seed)
        assert gain.low is not None and gain.high is not None
        hits += gain.low <= 0 <= gain.high
    assert 0.91 <= hits / 400


def test_one_seed_of_a_network_may_stand_beside_several_of_another() -> None:
    base = pictures()
    gain = paired_gain(PSNR, base + 0.1, np.stack([base - 0.02, base, base + 0.02]))
    assert gain.mean == pytest.approx(0.1)
    assert gain.low is not None and gain.high is not None
    assert 0.06 < gain.low < 0.1 < gain.high < 0.14


def test_pictures_that_differ_far_more_than_networks_do_not_hide_a_difference() -> None:
    base = pictures()
    noise = np.random.default_rng(1).normal(0.0, 0.02, 12)
    gain = paired_gain(PSNR, base + 0.05 + noise, base)
    assert gain.low is not None and gain.low > 0
    assert (gain.side, gain.pictures) == ("better", 12)
    assert paired_gain(PSNR, base, base + 0.05 + noise).side == "worse"


def test_a_network_is_level_with_itself() -> None:
    assert paired_gain(PSNR, pictures(), pictures()) == Gain(0.0, 0.0, 0.0, 12)
    assert paired_gain(PSNR, pictures(), pictures()).side == "level"


def test_where_less_is_better_a_lower_value_is_a_gain() -> None:
    base = np.linspace(0.1, 0.4, 12)
    gain = paired_gain(LPIPS, base - 0.02, base)
    assert gain.mean == pytest.approx(0.02) and gain.side == "better"


def test_the_same_scores_give_the_same_interval_and_another_seed_nearly_that() -> None:
    base, other = pictures(), pictures() + np.random.default_rng(4).normal(0.05, 0.1, 12)
    assert paired_gain(PSNR, other, base) == paired_gain(PSNR, other, base)
    again = paired_gain(PSNR, other, base, seed=1)
    assert again.low == pytest.approx(paired_gain(PSNR, other, base).low, abs=0.02)


def test_other_pictures_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="12 scores beside 8"):
        paired_gain(PSNR, pictures(), pictures(count=8))


@pytest.mark.parametrize("count", [1, FEWEST_PICTURES - 1])
def test_a_few_pictures_give_no_interval(count: int) -> None:
    gain = paired_gain(PSNR, pictures(count=count) + 0.1, pictures(count=count))
    assert (gain.low, gain.high, gain.pictures) == (None, None, count)
    assert gain.mean == pytest.approx(0.1) and gain.side == "better"


def test_a_perfect_picture_gives_no_interval() -> None:
    assert paired_gain(PSNR, [*pictures()[1:], np.inf], pictures()).low is None


def test_reports_without_scores_are_compared_by_their_means_alone() -> None:
    old, new = trained(32.0), Scored(32.5, tuple(pictures()))
    assert gain_over(PSNR, new, old) == Gain(0.5)
    assert gain_over(LPIPS, new, old) == Gain(-0.5)
    fewer = Scored(32.1, tuple(pictures(count=8)))
    assert gain_over(PSNR, new, fewer).low is None


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Gain(0.05, 0.02, 0.09, 12), "0.05 dB better than espcn (0.02 to 0.09)"),
        (Gain(-0.03, -0.06, -0.01, 12), "0.03 dB worse than espcn (0.01 to 0.06)"),
        (Gain(0.004, -0.012, 0.02, 12), "level with espcn (-0.01 to 0.02 dB)"),
        (Gain(0.004, -0.001, 0.02, 12), "level with espcn (0.00 to 0.02 dB)"),
        (Gain(0.05), "0.05 dB better than espcn (no interval)"),
        (Gain(0.02, 0.002, 0.04, 12), "0.020 dB better than espcn (0.002 to 0.040)"),
    ],
)
def test_a_comparison_in_words_says_how_sure_it_is(gain: Gain, words: str) -> None:
    assert compared(PSNR, gain, other="espcn") == words


def test_a_metric_without_a_unit_is_told_with_four_decimals() -> None:
    assert compared(LPIPS, Gain(0.0123, 0.01, 0.015, 12)) == "0.0123 better (0.0100 to 0.0150)"
    assert compared(LPIPS, Gain(0.0, -0.01, 0.015, 12)) == "level (-0.0100 to 0.0150)"
    assert interval(LPIPS, Gain(0.1)) == "no interval"

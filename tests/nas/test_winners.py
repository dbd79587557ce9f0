"""Which candidates are better than which."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from finished_studies import PSNR, finished_study, probed, proposal, receipt, too_slow, winner

from nas.candidate import Candidate
from nas.evidence import TRAINED
from nas.winners import best_within, dominates, front
from trainers.base import Metric

LOSS = Metric("loss", "", "min")


def cloud(count: int, *, seed: int = 0) -> list[Candidate]:
    """Candidates scattered over latency and quality."""
    draw = random.Random(seed)
    return [probed(k, draw.uniform(5, 50), draw.uniform(30, 33)) for k in range(count)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((10.0, 32.0), (11.0, 31.0), True),
        ((10.0, 32.0), (10.0, 31.0), True),
        ((10.0, 32.0), (11.0, 32.0), True),
        ((10.0, 32.0), (10.0, 32.0), False),
        ((10.0, 31.0), (11.0, 32.0), False),
        ((11.0, 32.0), (10.0, 31.0), False),
    ],
)
def test_dominating_is_no_worse_in_both_and_better_in_one(
    one: tuple[float, float], other: tuple[float, float], expected: bool
) -> None:
    assert dominates(probed(1, *one), probed(2, *other), PSNR) is expected


def test_what_is_ahead_of_a_network_counts_as_far_as_it_is_told() -> None:
    quick, deep = (winner(k, 10.0 + k, 32.0 - 0.01 * k) for k in (1, 2))
    assert front([quick, deep], PSNR) == [quick]
    known = [replace(quick, outlook=32.4), replace(deep, outlook=32.5)]
    assert front(known, PSNR) == known
    assert best_within(known, 20.0, PSNR) is known[1]
    # What quantization took off is not forgotten.
    assert known[1].has(TRAINED) and known[1].quality is not None
    drop = known[1][TRAINED].metric - known[1].quality
    assert known[1].standing == pytest.approx(32.5 - drop)


def test_where_less_is_better_the_lower_value_dominates() -> None:
    assert dominates(probed(1, 10.0, 0.1), probed(2, 10.0, 0.2), LOSS)
    assert not dominates(probed(1, 10.0, 0.2), probed(2, 10.0, 0.1), LOSS)


def test_a_candidate_without_a_metric_neither_dominates_nor_is_dominated() -> None:
    timed = proposal(3, screened=receipt(1.0))
    assert not dominates(timed, probed(1, 10.0, 32.0), PSNR)
    assert not dominates(probed(1, 0.5, 32.0), timed, PSNR)


def test_no_one_on_the_front_is_dominated_and_everyone_else_is() -> None:
    candidates = cloud(60)
    best = front(candidates, PSNR)
    for candidate in candidates:
        beaten = any(dominates(other, candidate, PSNR) for other in candidates)
        assert (candidate in best) != beaten


def test_the_front_is_sorted_by_latency_and_so_by_quality() -> None:
    best = front(cloud(60), PSNR)
    assert [c.latency_ms for c in best] == sorted(c.latency_ms for c in best)
    qualities = [c.quality or 0.0 for c in best]
    assert qualities == sorted(qualities)


def test_those_that_were_never_trained_are_not_on_the_front() -> None:
    assert front([too_slow(1, 60.0), proposal(2, screened=receipt(1.0))], PSNR) == []


def test_the_best_within_a_limit_is_not_slower_than_it() -> None:
    candidates = finished_study()
    best = best_within(candidates, 33.4, PSNR)
    assert best is not None
    assert best.latency_ms <= 33.4
    rivals = [c for c in candidates if c.quality and c.latency_ms <= 33.4]
    assert best.quality == max(c.quality or 0 for c in rivals)
    assert best_within(candidates, 1.0, PSNR) is None

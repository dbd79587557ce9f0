"""Proposals in their order, and the best that some of them give."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from finished_studies import PSNR, broken, long_study, probed, published, too_slow

from nas.candidate import Candidate
from nas.confidence import Judged
from nas.evidence import EXPORTED, PROBED
from nas.report.proposals import best_of, field_of, in_order
from trainers.base import Metric


def by_probe(candidate: Candidate) -> Judged | None:
    return candidate.get(PROBED)


def test_proposals_come_in_the_order_of_their_numbers_without_the_published_ones() -> None:
    found = in_order([probed(10, 9.0, 31.0), published("espcn", 9.0, 32.0), too_slow(2, 60.0)])
    assert [c.name for c in found] == ["trial-2", "trial-10"]


def test_the_mean_best_of_a_few_is_that_over_all_ways_to_take_them() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(3, 9))
    values[1, :4] = values[1, 0]
    chosen = np.stack([random.permutation([True] * 6 + [False] * 3) for _ in range(4)])
    found = best_of(values, chosen, 3)
    for limit in range(3):
        for draw in range(4):
            taken = values[limit, chosen[draw]]
            wanted = np.mean([max(some) for some in combinations(taken, 3)])
            assert found[limit, draw] == pytest.approx(wanted)


def test_all_of_a_group_have_its_best() -> None:
    values = np.array([[1.0, 5.0, 3.0, 9.0]])
    chosen = np.array([[True, True, True, False]])
    assert best_of(values, chosen, 3)[0, 0] == pytest.approx(5.0)
    assert best_of(values, chosen, 1)[0, 0] == pytest.approx(3.0)


def test_a_network_counts_only_within_the_limits_that_it_keeps() -> None:
    proposals = [probed(k, 10.0 + 10 * k, 31.0 + k) for k in range(4)]
    field = field_of([*proposals, too_slow(9, 60.0), broken(10)], PSNR, 50.0, by_probe)
    assert field is not None
    assert list(field.at_limit) == [31.0, 32.0, 33.0, 34.0, -np.inf, -np.inf]
    assert field.values[0].max() < field.values[-1].max() == 34.0
    assert (np.diff(field.values, axis=0) >= 0).all()


def test_where_less_is_better_the_lowest_is_the_best() -> None:
    loss = Metric("loss", "", "min")
    field = field_of([probed(1, 10.0, 0.3), probed(2, 10.0, 0.1)], loss, 50.0, by_probe)
    assert field is not None and int(field.at_limit.argmax()) == 1


def test_nothing_fast_enough_is_no_field() -> None:
    assert field_of([too_slow(1, 60.0)], PSNR, 50.0, by_probe) is None
    assert field_of([], PSNR, 50.0, by_probe) is None


def test_the_made_up_study_is_as_it_says() -> None:
    study = long_study()
    assert sum(c.origin.by in ("start", "random") for c in study) == 12
    assert sum(c.has(EXPORTED) for c in study) == 8

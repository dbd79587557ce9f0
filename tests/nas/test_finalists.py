"""Who is trained in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_search import FakeStages, experiment, quality, searched
from finished_studies import probed, receipt, trained

from nas.candidate import Rejection
from nas.evidence import PROBED, SETTLED, TRAINED
from nas.finalists import choose_finalists, contenders, pick
from nas.forecast import Forecast
from nas.ledger import Ledger

SURE = 1e-6


def gains(values: list[float], sd: float = SURE) -> list[Forecast]:
    return [Forecast(value, sd) for value in values]


def test_the_best_comes_first_and_then_who_adds_most_area() -> None:
    ms, expected = [10.0, 20.0, 40.0, 41.0], [1.0, 1.4, 2.0, 1.99]
    assert pick(ms, gains(expected), 3, limit_ms=50.0, aim="front") == [2, 0, 1]


def test_where_only_the_best_counts_the_fast_end_gets_nothing() -> None:
    ms, expected = [10.0, 20.0, 40.0, 41.0], [1.0, 1.4, 2.0, 1.99]
    forecast = gains(expected, sd=0.05)
    assert set(pick(ms, forecast, 2, limit_ms=50.0, aim="best")) == {2, 3}


def test_each_is_chosen_once_and_as_many_as_there_are() -> None:
    random = np.random.default_rng(0)
    ms, expected = random.uniform(5, 50, 12), random.uniform(0, 2, 12)
    chosen = pick(list(ms), gains(list(expected), 0.1), 20, limit_ms=50.0, aim="front")
    assert sorted(chosen) == list(range(12))


def test_a_longer_list_begins_as_the_shorter_one() -> None:
    random = np.random.default_rng(1)
    ms, forecast = list(random.uniform(5, 50, 30)), gains(list(random.uniform(0, 2, 30)), 0.1)
    few, many = (pick(ms, forecast, n, limit_ms=50.0, aim="front") for n in (3, 9))
    assert many[:3] == few


def test_what_is_taken_is_not_added_twice() -> None:
    ms, expected = [10.0, 10.5, 30.0], [1.0, 0.9, 1.5]
    assert pick(ms, gains(expected), 1, limit_ms=50.0, aim="front", taken=[0]) == [2]


def test_an_unsure_forecast_is_worth_more_than_a_sure_one_of_the_same_mean() -> None:
    ms = [30.0, 15.0, 20.0, 20.0]
    forecast = [Forecast(m, s) for m, s in [(2.0, SURE), (1.0, SURE), (1.1, SURE), (1.1, 0.5)]]
    assert pick(ms, forecast, 3, limit_ms=50.0, aim="front") == [0, 1, 3]


def test_nobody_beats_the_baseline_and_still_the_best_is_chosen() -> None:
    chosen = pick([10.0, 20.0], gains([-2.0, -1.0], 0.1), 2, limit_ms=50.0, aim="front")
    assert chosen[0] == 1


@pytest.mark.parametrize("finalists", [1, 2, 3, 6])
def test_a_second_round_waits_for_the_first(tmp_path: Path, finalists: int) -> None:
    here = experiment(tmp_path, finalists=finalists)
    known = [probed(k, 5.0 + 3 * k, 31.0 + 0.2 * k) for k in range(8)]
    first = choose_finalists(here, known)
    assert len(first) == finalists - finalists // 2
    names = {c.name for c in first}
    ended = [c.having(TRAINED, trained(32.0)) if c.name in names else c for c in known]
    every = choose_finalists(here, ended)
    assert len(every) == finalists
    assert [c.name for c in every[: len(first)]] == [c.name for c in first]


def test_one_that_diverged_was_chosen_all_the_same(tmp_path: Path) -> None:
    here = experiment(tmp_path, finalists=4)
    known = [
        probed(k, 5.0 + 3 * k, 31.0 + 0.2 * k).having(SETTLED, receipt(5.0 + 3 * k))
        for k in range(8)
    ]
    first = choose_finalists(here, known)
    broken = first[0].name
    after = [
        replace(c, rejected=Rejection("trains", "diverged")) if c.name == broken
        else c.having(TRAINED, trained(32.0)) if c.name == first[1].name else c
        for c in known
    ]
    every = choose_finalists(here, after)
    assert [c.name for c in every[:2]] == [c.name for c in first]
    assert len(every) == 4


def test_the_second_round_learns_from_the_first(tmp_path: Path, use: Any) -> None:
    use(FakeStages())
    found = searched(tmp_path, candidates=20, finalists=6)
    ended = [c for c in found if c.has(TRAINED) and c.is_proposal]
    assert len(ended) == 6
    here = experiment(tmp_path, candidates=20, finalists=6)
    chosen = choose_finalists(here, Ledger(tmp_path).all())
    assert {c.name for c in chosen} == {c.name for c in ended}
    best = max((c for c in found if c.has(PROBED) and c.is_proposal), key=quality)
    assert best.name in {c.name for c in ended}


def test_for_each_contender_that_is_too_slow_after_all_the_next_one_comes(tmp_path: Path) -> None:
    here = experiment(tmp_path, finalists=1)
    known = [probed(k, 5.0 + 3 * k, 31.0 + 0.2 * k) for k in range(6)]
    first = contenders(here, known)
    assert len(first) == 2
    slow = {c.name for c in first}
    after = [
        replace(c.having(SETTLED, receipt(99.0)), rejected=Rejection("latency_ms", "too slow"))
        if c.name in slow else c for c in known
    ]
    more = contenders(here, after)
    assert [c.name for c in more[:2]] == [c.name for c in first]
    assert len(more) == 4
    (chosen,) = choose_finalists(here, after)
    assert chosen.name not in slow

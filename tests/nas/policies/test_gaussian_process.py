"""The Gaussian process: what it believes, and what it expects of a front."""

from __future__ import annotations

import numpy as np
import pytest
from finished_studies import PSNR
from synthetic import Search, judged

from nas.policies.gaussian_process import ORIGIN, GaussianProcess
from nas.policies.improvement import Belief, expected_improvement
from nas.policies.regression import clipped, likeliest, predict, scaled
from nas.winners import hypervolume
from search_spaces.draws import draw
from search_spaces.features import features
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace

SPACE = SuperResolutionSpace()
FRONT = [(10.0, 1.0), (20.0, 2.0), (20.0, 1.5), (60.0, 9.0)]


def test_the_expected_growth_is_the_mean_over_many_outcomes() -> None:
    chance = np.random.default_rng(0)
    belief = Belief(*(np.array([x]) for x in (1.8, 0.6, np.log(18.0), 0.3)))
    expected = expected_improvement(belief, FRONT, worst_gain=0.0, limit_ms=50.0)
    at = {"worst_quality": 0.0, "worst_latency_ms": 50.0}
    points = [(gain, ms) for ms, gain in FRONT]
    before = hypervolume(points, PSNR, **at)
    grown = [
        hypervolume([*points, (gain, ms)], PSNR, **at) - before
        for gain, ms in zip(
            chance.normal(1.8, 0.6, 20_000), np.exp(chance.normal(np.log(18.0), 0.3, 20_000)),
            strict=True,
        )
    ]
    assert expected[0] == pytest.approx(np.mean(grown), rel=0.02)


def test_what_is_certain_to_be_slow_or_worse_is_expected_to_add_nothing() -> None:
    belief = Belief(
        np.array([9.0, 1.5, 2.5]), np.full(3, 1e-9), np.log([80.0, 30.0, 15.0]), np.full(3, 1e-9)
    )
    expected = expected_improvement(belief, FRONT, worst_gain=0.0, limit_ms=50.0)
    assert expected == pytest.approx([0.0, 0.0, 5 * 1.5 + 30 * 0.5], abs=1e-6)


def test_latency_and_quality_of_networks_are_predicted_from_their_features() -> None:
    architectures = [draw(SPACE, seed=seed).architecture for seed in range(100)]
    rows = scaled(np.array([[*features(lower(a)).values()] for a in architectures]))
    outcomes = np.array([judged(a) for a in architectures])
    for values in (outcomes[:, 0], np.log(outcomes[:, 1])):
        settings = likeliest(rows[:60], values[:60])
        mean, std = predict(settings, rows[:60], values[:60], rows[60:])
        assert np.corrcoef(mean, values[60:])[0, 1] > 0.9
        assert np.mean(np.abs(mean - values[60:]) < 3 * std) > 0.8


def test_one_network_that_did_not_learn_does_not_bend_the_model() -> None:
    assert clipped([30.0, 30.2, 30.4, 30.6, -5.0]) == pytest.approx([30.0, 30.2, 30.4, 30.6, 28.6])
    assert clipped([]) == []
    assert clipped([30.0, 30.0]) == [30.0, 30.0]


def test_workers_who_ask_at_once_are_sent_to_different_places() -> None:
    """What is pending is believed, so that its neighbourhood promises less."""
    search = Search(GaussianProcess(), SPACE).run(24)
    best = search.step(pending=True)
    again = search.step(pending=True)
    assert search.origins[-2:] == [ORIGIN] * 2
    assert best.graph != again.graph
    chosen = [features(lower(draw(SPACE, seed=0, wanted=k.choices).architecture))
              for k in (best, again)]
    assert chosen[0] != chosen[1]


def test_it_goes_for_the_fast_while_no_quality_is_known() -> None:
    search = Search(GaussianProcess(starts=8), SPACE, limit_ms=0.5).run(20)
    times = [k.latency_ms or 0.0 for k in search.known]
    assert np.median(times[8:]) < np.min(times[:8])

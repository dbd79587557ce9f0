"""What the full training will bring, told from its first steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_search import FakeTask, experiment
from finished_studies import PSNR, proposal, receipt, trained

from nas.candidate import Candidate
from nas.evidence import PROBED
from nas.experiment import Experiment
from nas.forecast import (
    SIZES,
    Belief,
    Forecast,
    fitted,
    forecasts,
    horizon_of,
    outlook_of,
    prior,
    sizes_of,
)
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from trainers.base import Metric
from trainers.tasks.super_resolution import SuperResolution


def candidate(number: int, probe: float, full: float | None = None, width: int = 8) -> Candidate:
    """A network of one stem and one layer, probed and perhaps trained."""
    args = (("base", "bicubic"), ("centre", True), ("skip", False))
    blocks = (BlockSpec.of("conv", width), BlockSpec.of("conv", width, repeat=1 + number % 4))
    made = proposal(
        number,
        screened=receipt(10.0),
        probed=trained(probe, 100),
        trained=None if full is None else trained(full, 850),
    )
    architecture = Architecture("upscaler", one_to_one(3, 3, 2), blocks, args)
    return replace(made, architecture=architecture)


def test_ridge_regression_finds_a_linear_function_again() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(200, 3)) * [1.0, 10.0, 0.1] + 5
    seen = 2.0 + inputs @ [0.5, -0.1, 3.0] + 0.01 * random.normal(size=200)
    told, sd = fitted(inputs, seen, ridge=1e-6).tell(inputs)
    assert np.abs(told - seen).max() < 0.06
    assert sd == pytest.approx(0.01, rel=0.3)


def test_a_belief_moves_to_what_is_seen_and_grows_surer() -> None:
    belief = Belief(np.zeros(1), np.ones(1), np.zeros(2), np.eye(2), 0.1)
    inputs = np.linspace(-1, 1, 40)[:, None]
    after = belief.given(inputs, 3.0 - inputs[:, 0])
    told, sd = after.tell(inputs)
    assert told == pytest.approx(3.0 - inputs[:, 0], abs=0.02)
    assert (sd < belief.tell(inputs)[1]).all()


def test_half_of_the_truth_lies_within_the_interval_of_half() -> None:
    random = np.random.default_rng(1)
    inputs = random.normal(size=(60, 2))
    inside = 0
    for k in range(60):
        seen = inputs @ [1.0, -1.0] + random.normal(size=60)
        others = np.delete(np.arange(60), k)
        mean, sd = fitted(inputs[others], seen[others]).tell(inputs[k : k + 1])
        inside += abs(seen[k] - mean[0]) < 0.674 * sd[0]
    assert 18 <= inside <= 42


def test_beliefs_survive_json() -> None:
    belief, spread = prior(100 / 850)
    again = Belief.from_json(belief.to_json())
    assert again.mean == pytest.approx(belief.mean)
    assert len(belief.mean) == len(SIZES) + 2
    assert spread > 0


def test_a_trained_candidate_is_what_it_is_and_rejected_ones_are_not_told(tmp_path: Path) -> None:
    here = experiment(tmp_path)
    known = [candidate(0, 31.0, 32.0), candidate(1, 31.0), proposal(2, screened=receipt(50.0))]
    told = forecasts(known, here)
    assert set(told) == {known[0].name, known[1].name}
    assert (told[known[0].name].mean, told[known[0].name].sd) == (32.0, 0.0)
    assert told[known[1].name].sd > 0


def test_what_others_gained_moves_the_forecast(tmp_path: Path) -> None:
    here = experiment(tmp_path)
    waiting = candidate(9, 31.0)
    before = forecasts([waiting], here)[waiting.name]
    usual = [candidate(k, 31.0, before.mean + 2.0) for k in range(4)]
    after = forecasts([waiting, *usual], here)[waiting.name]
    assert before.mean + 1.0 < after.mean < before.mean + 2.5
    assert after.sd < before.sd


def test_of_two_equal_probes_the_larger_network_is_expected_to_end_better(tmp_path: Path) -> None:
    small, large = candidate(0, 31.0), candidate(1, 31.0, width=32)
    told = forecasts([small, large], experiment(tmp_path))
    assert sizes_of(large.architecture) > sizes_of(small.architecture)
    assert told[large.name].mean > told[small.name].mean


def test_a_metric_of_another_unit_is_forecast_in_its_own_spread(tmp_path: Path) -> None:
    class Distance(FakeTask):
        metric = Metric("lpips", "1", "min")

        def baseline(self) -> float:
            return 0.4

    here = replace(experiment(tmp_path), task=Distance())  # type: ignore[arg-type]
    known = [candidate(k, 0.30 - 0.01 * k) for k in range(5)]
    told = forecasts(known, here)
    for one in known:
        assert one.has(PROBED)
        assert 0.0 < told[one.name].mean < one[PROBED].metric
    assert PSNR.mode == "max"


def enlarging(folder: Path, horizon: int | None = 6000, steps: int = 850) -> Experiment:
    """A study of the one task that the table tells long trainings of."""
    here = experiment(folder)
    return replace(
        here,
        task=Enlarging(),  # type: ignore[arg-type]
        plan=replace(here.plan, horizon=horizon),
        budget=replace(here.budget, max_steps=steps),
    )


class Enlarging(SuperResolution):
    """Super-resolution that reads no pictures."""

    def __init__(self) -> None:
        self.metric = PSNR

    def baseline(self) -> float:
        return 30.0


def test_a_long_training_adds_to_what_the_budget_gives(tmp_path: Path) -> None:
    known = [candidate(0, 31.0, 31.3), candidate(1, 31.0)]
    near, far = (forecasts(known, enlarging(tmp_path, horizon)) for horizon in (None, 6000))
    for name in near:
        assert near[name].mean + 0.1 < far[name].mean < near[name].mean + 1.5
    # What a training that is over came to is known; what a longer one would is not.
    assert near[known[0].name].sd == 0.0 < far[known[0].name].sd
    assert far[known[0].name].mean == outlook_of(known[0], enlarging(tmp_path))
    assert outlook_of(known[1], enlarging(tmp_path)) is None


def test_of_two_equal_trainings_the_larger_network_has_the_better_outlook(tmp_path: Path) -> None:
    small, large = candidate(0, 31.0, 31.4), candidate(4, 31.0, 31.4, width=24)
    ahead = outlook_of(large, enlarging(tmp_path)), outlook_of(small, enlarging(tmp_path))
    assert ahead[0] and ahead[1] and ahead[0] > ahead[1]


def test_a_network_beyond_the_table_is_not_expected_to_gain_more_than_its_largest(
    tmp_path: Path,
) -> None:
    horizon = horizon_of(enlarging(tmp_path))
    assert horizon is not None
    edge = np.array([1.5, *horizon.high[1:]])
    beyond = edge + [0.0, 3.0, 3.0, 9.0, 2.0]
    reached = Forecast(31.5, 0.0)
    assert horizon.beyond(reached, beyond) == horizon.beyond(reached, edge)
    smaller = edge - [0.0, 1.0, 1.0, 1.0, 1.0]
    assert horizon.beyond(reached, edge).mean > horizon.beyond(reached, smaller).mean


def test_what_is_added_grows_with_the_steps_that_are_left(tmp_path: Path) -> None:
    one = candidate(0, 31.0, 31.4)
    found = [outlook_of(one, enlarging(tmp_path, steps=steps)) for steps in (850, 2000, 5000)]
    assert found[0] and found[1] and found[2] and found[0] > found[1] > found[2] > 31.4


@pytest.mark.parametrize(("horizon", "steps"), [(None, 850), (6000, 6000), (6000, 10_000)])
def test_nothing_is_told_where_the_budget_is_as_long_or_nobody_asks(
    tmp_path: Path, horizon: int | None, steps: int
) -> None:
    assert horizon_of(enlarging(tmp_path, horizon, steps)) is None


def test_nothing_is_told_of_a_task_that_the_table_does_not_know(tmp_path: Path) -> None:
    here = experiment(tmp_path)
    other = replace(here, plan=replace(here.plan, horizon=6000))
    assert horizon_of(other) is None

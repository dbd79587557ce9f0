"""The measuring protocol on streams of drawn samples: nothing here depends on this machine."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from latency_models.base import CompileError, LatencyReport, Precision
from latency_models.intervals import CLOSE, median_interval
from latency_models.measured import MeasuredLatency, MeasuringProtocol, side_of
from tests.latency_models.small_nets import FakeEngine, Stream, conv_net, finished, report

QUICK = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0)
RANKING = MeasuringProtocol(
    warmup_s=0.0, reference_ms=1.0, tails=CLOSE, rank_half_width=0.03, rank_s=60.0
)
NET = conv_net(layers=1, size=8)


def noisy(median_ms: float, *, seed: int, sigma: float = 0.03) -> Callable[[], Stream]:
    """Log-normal noise, with a long tail: a twentieth of the runs takes half as long again."""

    def make() -> Stream:
        random = np.random.default_rng(seed)

        def draw(_: int) -> float:
            late = 1.5 if random.random() < 0.05 else 1.0
            return float(median_ms * random.lognormal(0.0, sigma) * late)

        return Stream(draw)

    return make


def symmetric(median_ms: float, *, seed: int) -> Callable[[], Stream]:
    """Log-normal noise of 5 % whose median is exactly this."""

    def make() -> Stream:
        random = np.random.default_rng(seed)
        return Stream(lambda _: float(median_ms * random.lognormal(0.0, 0.05)))

    return make


def measured(
    candidate: Callable[[], Stream],
    *,
    reference: Callable[[], Stream] | None = None,
    protocol: MeasuringProtocol = QUICK,
    limit_ms: float | None = None,
    threads: int = 1,
) -> LatencyReport:
    engine = FakeEngine(reference or noisy(1.0, seed=99, sigma=0.005), candidate, threads)
    return MeasuredLatency(engine, protocol).measure(NET, "fp32", limit_ms=limit_ms)


def test_a_report_tells_the_median_and_its_circumstances() -> None:
    found = measured(noisy(20.0, seed=1))
    assert found.median_ms == pytest.approx(20.0, rel=0.02)
    assert found.ci_low_ms <= found.median_ms <= found.ci_high_ms
    assert found.p5_ms < found.median_ms < found.p95_ms <= found.p99_ms
    assert (found.clock, found.verdict, found.layers_before) == ("cpu", "ok", 2)
    assert {"load_1min", "rounds", "reference_ms"} <= set(found.conditions)
    assert LatencyReport.from_json(found.to_json()) == found


def test_a_constant_stream_stops_at_the_fewest_rounds() -> None:
    found = measured(lambda: Stream(lambda _: 20.0), reference=lambda: Stream(lambda _: 1.0))
    assert found.samples == QUICK.min_rounds
    assert found.verdict == "ok"


def test_what_never_settles_is_unstable() -> None:
    protocol = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0, max_rounds=40)
    found = measured(noisy(20.0, seed=2, sigma=0.6), protocol=protocol)
    assert found.verdict == "unstable"


def test_a_slow_down_of_the_machine_is_divided_out() -> None:
    ticks = itertools.count()

    def slower_later(base_ms: float) -> Callable[[], Stream]:
        return lambda: Stream(lambda _: base_ms * (1.0 if next(ticks) < 200 else 1.3))

    protocol = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0, min_rounds=100)
    found = measured(slower_later(20.0), reference=slower_later(1.0), protocol=protocol)
    assert found.median_ms == pytest.approx(20.0, rel=0.02)
    assert found.drift > 0.1


def test_a_network_that_suffers_less_than_the_reference_is_not_corrected_too_much() -> None:
    phase = itertools.count()
    busy = [False]

    def reference(_: int) -> float:
        busy[0] = next(phase) // 40 % 2 == 1
        return 1.4 if busy[0] else 1.0

    protocol = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0, min_rounds=80)
    found = measured(
        lambda: Stream(lambda _: 20.0 * (1.1 if busy[0] else 1.0)),
        reference=lambda: Stream(reference),
        protocol=protocol,
    )
    assert found.median_ms == pytest.approx(20.0, rel=0.03)


def test_a_machine_that_is_never_calm_gives_a_wide_interval_and_no_ok() -> None:
    found = measured(noisy(20.0, seed=3), reference=lambda: Stream(lambda _: 1.4))
    assert found.verdict != "ok"
    assert found.ci_high_ms > 1.05 * found.median_ms


def test_waiting_for_the_processor_is_contention_only_when_it_hurts() -> None:
    def waited(sigma: float) -> Callable[[], Stream]:
        def make() -> Stream:
            stream = noisy(20.0, seed=4, sigma=sigma)()
            stream.wall_factor = 1.5
            return stream

        return make

    few = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0, max_rounds=40)
    assert measured(waited(0.01), protocol=few).verdict == "ok"
    assert measured(waited(0.6), protocol=few).verdict == "contended"


def test_several_threads_are_timed_on_the_wall() -> None:
    found = measured(noisy(20.0, seed=5), threads=2)
    assert found.clock == "wall"


@pytest.mark.parametrize(("median_ms", "side"), [(40.0, "slower"), (1.0, "faster")])
def test_a_candidate_far_from_the_limit_is_settled_in_three_rounds(
    median_ms: float, side: str
) -> None:
    found = measured(noisy(median_ms, seed=6), limit_ms=8.0)
    assert found.conditions["rounds"] == 3
    assert (side_of(found, 8.0), found.verdict) == (side, "ok")


@pytest.mark.parametrize("median_ms", [11.0, 5.0])
def test_close_tails_settle_a_third_beside_the_limit_in_three_rounds(median_ms: float) -> None:
    close = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0, tails=CLOSE)
    found = measured(noisy(median_ms, seed=6, sigma=0.01), protocol=close, limit_ms=8.0)
    assert found.conditions["rounds"] == 3
    assert side_of(found, 8.0) == ("faster" if median_ms < 8.0 else "slower")
    usual = measured(noisy(median_ms, seed=6, sigma=0.01), limit_ms=8.0)
    assert usual.samples > found.samples


def test_close_tails_seldom_put_a_candidate_on_the_wrong_side() -> None:
    random = np.random.default_rng(9)
    wrong = decided = 0
    for seed in range(300):
        truth = float(random.uniform(0.7, 1.4))
        found = measured(symmetric(20.0 * truth, seed=seed), protocol=RANKING, limit_ms=20.0)
        side = side_of(found, 20.0)
        decided += side != "undecided"
        wrong += side != "undecided" and (side == "slower") != (truth > 1)
    assert decided > 250
    assert wrong / decided <= 0.01


def test_what_is_within_the_limit_is_measured_on_until_it_can_be_ranked() -> None:
    found = measured(noisy(20.0, seed=10), protocol=RANKING, limit_ms=80.0)
    half_width = (found.ci_high_ms - found.ci_low_ms) / 2 / found.median_ms
    assert found.conditions["rounds"] >= 6
    assert half_width <= 0.031
    assert (side_of(found, 80.0), found.verdict) == ("faster", "ok")


def test_what_is_over_the_limit_is_not_measured_on() -> None:
    found = measured(noisy(20.0, seed=10), protocol=RANKING, limit_ms=5.0)
    assert found.conditions["rounds"] == 3


def test_ranking_ends_when_its_time_is_up_and_the_receipt_tells_how_little_is_known() -> None:
    hasty = replace(RANKING, rank_s=0.0)
    found = measured(noisy(20.0, seed=2, sigma=0.2), protocol=hasty, limit_ms=80.0)
    assert (found.conditions["rounds"], found.samples) == (6, 6)
    assert (found.ci_high_ms - found.ci_low_ms) / 2 > 0.1 * found.median_ms


def test_rounds_that_are_alike_are_enough_though_the_machine_is_never_calm() -> None:
    found = measured(
        lambda: Stream(lambda _: 20.0),
        reference=lambda: Stream(lambda _: 1.4),
        protocol=RANKING,
        limit_ms=80.0,
    )
    assert found.conditions["rounds"] == 6
    assert found.ci_high_ms > 1.05 * found.median_ms


def test_a_candidate_a_hundred_times_too_slow_runs_a_handful_of_times() -> None:
    streams: list[Stream] = []

    def slow() -> Stream:
        streams.append(Stream(lambda _: 1000.0))
        return streams[-1]

    found = measured(slow, limit_ms=10.0)
    assert side_of(found, 10.0) == "slower"
    assert streams[0].runs <= 5


def test_a_candidate_at_the_limit_is_left_undecided() -> None:
    found = measured(noisy(10.0, seed=7, sigma=0.01), limit_ms=10.0)
    assert side_of(found, 10.0) == "undecided"


def test_a_candidate_exactly_at_the_limit_is_decided_as_rarely_as_the_confidence_says() -> None:
    protocol = MeasuringProtocol(
        warmup_s=0.0, reference_ms=1.0, confidence=0.9, guard=0.0, max_rounds=40
    )
    decided = 0
    for seed in range(200):
        reference = noisy(1.0, seed=10_000 + seed, sigma=0.005)
        found = measured(
            symmetric(20.0, seed=seed), reference=reference, protocol=protocol, limit_ms=20.0
        )
        decided += side_of(found, 20.0) != "undecided"
    assert decided / 200 <= 0.1


def test_wrong_sides_are_rare_within_ten_percent_of_the_limit() -> None:
    random = np.random.default_rng(8)
    protocol = MeasuringProtocol(warmup_s=0.0, reference_ms=1.0, max_rounds=60)
    wrong = decided = 0
    for seed in range(120):
        truth = float(random.uniform(0.9, 1.1))
        found = measured(symmetric(20.0 * truth, seed=seed), protocol=protocol, limit_ms=20.0)
        side = side_of(found, 20.0)
        decided += side != "undecided"
        wrong += side != "undecided" and (side == "slower") != (truth > 1)
    assert decided > 45
    assert wrong / decided <= 0.01


def test_a_report_answers_for_another_limit_by_its_interval() -> None:
    limited = report(
        ci_low_ms=5.0, ci_high_ms=20.0, conditions={"limit_ms": 40.0, "side": "faster"}
    )
    assert side_of(limited, 40.0) == "faster"
    assert side_of(limited, 15.0) == "undecided"
    assert side_of(limited, 4.0) == "slower"


def test_what_is_no_onnx_file_is_refused_before_the_engine_sees_it() -> None:
    engine = FakeEngine(noisy(1.0, seed=1), noisy(1.0, seed=1))
    with pytest.raises(CompileError, match="not an ONNX file"):
        MeasuredLatency(engine, QUICK).measure(b"garbage", "fp32")


def test_an_open_dimension_is_refused() -> None:
    from onnx import helper

    node = helper.make_node("Relu", ["x"], ["y"])
    open_net = finished([node], {}, "y", [1, 3, "height", 8], [1, 3, "height", 8])
    engine = FakeEngine(noisy(1.0, seed=1), noisy(1.0, seed=1))
    with pytest.raises(CompileError, match="no static shape"):
        MeasuredLatency(engine, QUICK).measure(open_net, "fp32")


def test_a_protocol_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        MeasuringProtocol(confidence=1.0)
    for tail in ((1.0, 0.05), (2.0, 0.5)):
        with pytest.raises(ValueError, match="tails"):
            MeasuringProtocol(tails=(tail,))


def test_the_few_value_interval_is_used_only_while_it_must_be() -> None:
    values = [10.0] * 12
    assert median_interval(values, error=0.01) == (10.0, 10.0)


@pytest.mark.parametrize("asleep", [{7}, {3}, {5, 200}], ids=["late", "at once", "twice"])
@pytest.mark.parametrize("limit_ms", [None, 21.0])
def test_a_measurement_that_was_slept_through_is_begun_anew(
    asleep: set[int], limit_ms: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is stopped for an hour in some of its runs, and the clock goes on."""
    slept, runs, clock = [0.0], itertools.count(), time.perf_counter

    def draw(_: int) -> float:
        if next(runs) in asleep:
            slept[0] += 3600.0
            return 3.6e6
        return 20.0

    monkeypatch.setattr("latency_models.rounds.time.perf_counter", lambda: clock() + slept[0])
    found = measured(
        lambda: Stream(draw), reference=lambda: Stream(lambda _: 1.0), limit_ms=limit_ms, threads=2
    )
    assert slept[0] == 3600.0 * len({run for run in asleep if run < next(runs)})
    assert (found.median_ms, found.p99_ms, found.verdict) == (20.0, 20.0, "ok")
    assert side_of(found, 21.0) == "faster"


class Ahead(FakeEngine):
    """Loads one plan, and compiles files like any other engine."""

    def compile(
        self, onnx: bytes, precision: Precision, plan: bytes | None = None
    ) -> Stream:
        if plan not in (None, b"fits"):
            raise CompileError("made by another version")
        return super().compile(onnx, precision)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (b"fits", "compiled elsewhere, loaded here"),
        (b"old", "sent, not taken here, compiled anew: made by another version"),
        (None, None),
    ],
)
def test_a_receipt_tells_what_became_of_a_plan_that_came_with_the_file(
    plan: bytes | None, words: str | None
) -> None:
    engine = Ahead(noisy(1.0, seed=99, sigma=0.005), noisy(2.0, seed=1), 1)
    found = MeasuredLatency(engine, QUICK).measure(NET, "fp32", plan=plan)
    assert found.conditions.get("plan") == words

"""The view of one network's training, told by hand and with a clock that is set by hand."""

from __future__ import annotations

import io
import math
from dataclasses import replace

from finished_studies import BASELINE, PSNR, TARGET, published
from rich.console import Console

from nas.events import Finished, Judged, Note, Started, Step
from nas.evidence import TRAINED
from nas.live.training import Course, PlainTraining, RichTraining, curve, training_view
from nas.stages import corridor
from trainers.base import Metric

STAGE = {stage.name: stage for stage in corridor()}


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


CANDIDATE = published("espcn", 24.0, 31.2)
UNLIMITED = replace(TARGET, max_latency_ms=math.inf)


def view(clock: Clock, *, terminal: bool) -> tuple[PlainTraining | RichTraining, io.StringIO]:
    out = io.StringIO()
    console = Console(
        file=out, width=100, height=30, force_terminal=terminal, color_system=None
    )
    return training_view(console, UNLIMITED, PSNR, BASELINE, clock=clock), out


def watch_a_training(shown: PlainTraining | RichTraining, clock: Clock) -> None:
    with shown:
        shown(Note("an [engine]"))
        shown(Started(CANDIDATE, STAGE["trained"]))
        shown(Step(CANDIDATE, TRAINED, 50, 1000, 0.5))
        clock.now_s += 60
        shown(Step(CANDIDATE, TRAINED, 100, 1000, 0.25))
        shown(Judged(CANDIDATE, TRAINED, 100, 31.0))
        shown(Judged(CANDIDATE, TRAINED, 200, 30.5))
        shown(Finished(CANDIDATE, STAGE["trained"]))


def test_without_a_terminal_every_look_is_a_line() -> None:
    clock = Clock()
    shown, out = view(clock, terminal=False)
    watch_a_training(shown, clock)
    lines = out.getvalue().splitlines()
    assert lines[0] == "an [engine]"
    assert "full training: 100/1000, loss 0.25, 18 min to go" in lines
    assert "full training: step 200: 30.50 dB" in lines
    assert lines[-1].startswith("full training: ")


def test_a_terminal_shows_progress_the_best_and_the_gain() -> None:
    clock = Clock()
    shown, out = view(clock, terminal=True)
    assert isinstance(shown, RichTraining)
    watch_a_training(shown, clock)
    text = out.getvalue()
    assert "100/1000, loss 0.25, 18 min to go" in text
    assert "best 31.00 dB at step 100" in text
    assert "freeway train" in text


def test_a_network_without_a_limit_is_told_its_latency_alone() -> None:
    shown, out = view(Clock(), terminal=False)
    shown(Finished(CANDIDATE, STAGE["screened"]))
    assert "inf" not in out.getvalue()
    assert "ms" in out.getvalue()


def test_the_remaining_time_of_a_resumed_training_counts_from_its_resumption() -> None:
    clock = Clock()
    course = Course(clock)
    course(Started(CANDIDATE, STAGE["trained"]))
    course(Step(CANDIDATE, TRAINED, 500, 1000, 0.1))
    assert course.remaining_s() is None
    clock.now_s += 10
    course(Step(CANDIDATE, TRAINED, 600, 1000, 0.1))
    assert course.remaining_s() == 40.0


def test_a_new_stage_forgets_the_marks_of_the_last() -> None:
    course = Course(Clock())
    course(Started(CANDIDATE, STAGE["trained"]))
    course.marks.append((10, 30.0))
    assert course.best(PSNR) == (10, 30.0)
    course(Started(CANDIDATE, STAGE["quantized"]))
    assert course.best(PSNR) is None


def test_the_curve_is_higher_where_the_metric_is_better() -> None:
    assert curve([1.0, 2.0, 3.0], PSNR) == "▁▅█"
    assert curve([1.0, 2.0, 3.0], Metric("lpips", "", "min"))[0] == "█"
    assert curve([5.0], PSNR) == "▁"
    assert len(curve([float(k) for k in range(500)], PSNR)) == 48

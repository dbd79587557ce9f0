"""The views of a running search, told by hand and with a clock that is set by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from finished_studies import (
    BASELINE,
    PLAN,
    PSNR,
    TARGET,
    broken,
    finished_study,
    judged_study,
    probed,
    published,
    receipt,
    too_slow,
    winner,
)
from rich.console import Console

from nas.candidate import Candidate
from nas.events import Finished, Note, Started, Step, Tick
from nas.evidence import PROBED, SETTLED
from nas.live.terminal import PlainView, RichView, view_for
from nas.live.watch import Watch
from nas.stages import corridor
from trainers.budget import Budget

STAGES = ("screened", "probed", "trained", "quantized", "exported")
STAGE = {stage.name: stage for stage in corridor()}
WINNER = winner(1, 20.0, 33.0)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def plain(clock: Clock) -> tuple[PlainView, io.StringIO]:
    out = io.StringIO()
    view = view_for(Console(file=out, width=80), PLAN, TARGET, PSNR, clock=clock)
    assert isinstance(view, PlainView)
    return view, out


def rich(clock: Clock, width: int = 110) -> tuple[RichView, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=40, force_terminal=True, color_system=None)
    view = view_for(console, PLAN, TARGET, PSNR, baseline=BASELINE, clock=clock)
    assert isinstance(view, RichView)
    return view, out


def tell(view: RichView | PlainView, candidate: Candidate, stage: str) -> None:
    view(Started(candidate, STAGE[stage]))
    view(Finished(candidate, STAGE[stage]))


def pass_through(watch: Watch, clock: Clock, candidate: Candidate, stage: str, s: float) -> None:
    watch(Started(candidate, STAGE[stage]))
    clock.now_s += s
    watch(Finished(candidate, STAGE[stage]))


def test_a_plain_line_tells_what_came_out_of_a_stage() -> None:
    view, out = plain(Clock())
    with view:
        for stage in STAGES:
            tell(view, winner(1, 20.0, 33.0), stage)
        tell(view, too_slow(2, 61.0), "screened")
    lines = out.getvalue().splitlines()
    assert lines[0] == "photos-x2: 16 networks, onnxruntime, int8, 640x360 in, at most 50.0 ms"
    assert lines[1].endswith("timing: 20.2 ms, within 50.0 ms")
    assert lines[2].endswith("short training: 32.40 dB")
    assert lines[4].endswith("quantizing: 33.00 dB in int8 (-0.05 dB)")
    assert lines[5].endswith("exporting: 20.0 ms in int8, 42.0 ms in fp32")
    assert lines[6].endswith("timing: rejected, 61.0 ms is over the limit of 50 ms")
    assert lines[1].startswith(f"trial-1  {winner(1, 20.0, 33.0).architecture.id}  ")


def test_a_plain_line_tells_the_second_receipt() -> None:
    view, out = plain(Clock())
    with view:
        tell(view, probed(1, 20.0, 32.0).having(SETTLED, receipt(21.0)), "settled")
    assert out.getvalue().splitlines()[1].endswith("timing again: 21.0 ms, within 50.0 ms")


def test_plain_lines_tell_where_the_search_stands_at_most_every_ten_seconds() -> None:
    clock = Clock()
    view, out = plain(clock)
    view(Started(probed(1, 20.0, 32.0), STAGE["probed"]))
    for step in range(1, 31):
        clock.now_s += 1.0
        view(Step(WINNER, PROBED, step, 120, 0.02))
    standing = [line for line in out.getvalue().splitlines() if line.startswith("--")]
    assert len(standing) == 3
    assert standing[0].endswith("10 s so far, … to go; now short training trial-1 10/120")


def test_evidence_of_an_earlier_run_is_counted_in_one_line() -> None:
    view, out = plain(Clock())
    with view:
        for candidate in (too_slow(1, 60.0), too_slow(2, 70.0)):
            view(Finished(candidate, STAGE["screened"], again=True))
        view(Started(probed(3, 20.0, 32.0), STAGE["screened"]))
    assert "2 reports of an earlier run are used again" in out.getvalue()
    assert "trial-1" not in out.getvalue()
    assert "2 of 16 timed untrained, 2 too slow" in out.getvalue()


def test_brackets_in_a_reason_are_printed_as_they_are() -> None:
    for view, out in (plain(Clock()), rich(Clock())):
        with view:
            view(Note("skipped [bold]a.png[/bold] [/]"))
            tell(view, broken(1, "bad [red]node[/] [/x]"), "screened")
        assert "[bold]a.png[/bold] [/]" in out.getvalue()


def test_the_live_view_shows_funnel_front_and_what_is_done_now() -> None:
    view, out = rich(Clock())
    with view:
        for candidate in finished_study():
            view(Finished(candidate, STAGE["screened"], again=True))
        out.truncate(0)
        view(Started(probed(3, 20.0, 32.0), STAGE["probed"]))
        view(Step(probed(3, 20.0, 32.0), PROBED, 57, 120, 0.0213))
        view.draw()
        picture = out.getvalue()
    for words in ("onnxruntime", "at most 50.0 ms", "too slow", "57/120", "short training",
                  "14.2 ms", "+0.79", "ecbsr_m4c16", "remaining ~0 s", "●", "◆"):
        assert words in picture


def test_the_live_view_says_on_how_many_pictures_networks_were_judged() -> None:
    view, _ = rich(Clock())
    for candidate in judged_study():
        view(Finished(candidate, STAGE["exported"], again=True))
    view.draw()
    out = io.StringIO()
    Console(file=out, width=110).print(view.live.renderable)
    assert "best per latency, over 12 pictures" in out.getvalue()


@pytest.mark.parametrize("width", [30, 50, 60, 80, 99, 100, 200])
def test_the_live_view_fits_its_terminal(width: int) -> None:
    view, _ = rich(Clock(), width)
    for candidate in finished_study():
        view._watch(Finished(candidate, STAGE["screened"], again=True))
    view(Finished(winner(1, 14.2, 32.41), STAGE["exported"], again=True))
    out = io.StringIO()
    Console(file=out, width=width).print(view.live.renderable)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < 24
    for whole in (" 14.2 ms", " 33.31 dB", "trial", "timed untrained   28"):
        assert whole in out.getvalue()


def test_the_live_view_draws_at_most_four_times_a_second_while_training() -> None:
    clock = Clock()
    view, out = rich(clock)
    with view:
        view(Started(probed(1, 20.0, 32.0), STAGE["probed"]))
        before = out.tell()
        view(Step(WINNER, PROBED, 1, 120, 0.1))
        assert out.tell() == before
        clock.now_s += 0.3
        view(Step(WINNER, PROBED, 2, 120, 0.1))
        assert out.tell() > before


def test_the_clock_of_the_live_view_goes_on_while_the_search_waits() -> None:
    clock = Clock()
    view, out = rich(clock)
    with view:
        view(Started(probed(1, 20.0, 32.0), STAGE["probed"]))
        before = out.tell()
        view(Tick())
        assert out.tell() == before, "not twice in a second"
        for second in (1, 2):
            clock.now_s += 1.0
            view(Tick())
            assert f"elapsed 0:0{second}" in out.getvalue()


def test_plain_lines_tell_where_a_search_stands_that_waits() -> None:
    clock = Clock()
    view, out = plain(clock)
    for _ in range(25):
        clock.now_s += 1.0
        view(Tick())
    assert [line[:2] for line in out.getvalue().splitlines()] == ["--", "--"]


def test_an_interrupt_leaves_a_clean_terminal() -> None:
    view, out = rich(Clock())
    with pytest.raises(KeyboardInterrupt), view:
        view(Started(probed(1, 20.0, 32.0), STAGE["probed"]))
        raise KeyboardInterrupt
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert out.getvalue().rfind(shown) > out.getvalue().rfind(hidden)
    assert out.getvalue().endswith("\n" + shown) or out.getvalue().endswith(shown)


def test_remaining_time_is_unknown_until_a_stage_of_each_kind_was_seen() -> None:
    clock = Clock()
    watch = Watch(PLAN, clock=clock)
    assert watch.remaining_s() is None
    pass_through(watch, clock, probed(1, 20.0, 32.0).without(PROBED), "screened", 2.0)
    assert watch.remaining_s() is None
    pass_through(watch, clock, probed(1, 20.0, 32.0), "probed", 6.0)
    assert watch.remaining_s() is None


def test_with_a_budget_full_training_is_guessed_from_probing() -> None:
    clock = Clock()
    plan = replace(PLAN, references=(), candidates=2, finalists=1, probe_steps=100)
    watch = Watch(plan, Budget(max_steps=1100, quant_steps=100), clock)
    pass_through(watch, clock, too_slow(1, 60.0), "screened", 2.0)
    pass_through(watch, clock, probed(2, 20.0, 32.0).without(PROBED), "screened", 2.0)
    pass_through(watch, clock, probed(2, 20.0, 32.0), "probed", 10.0)
    again_s, training_s, quantizing_s, exporting_s = 4.0, 100.0, 20.0, 4.0
    after_s = training_s + quantizing_s + exporting_s
    assert watch.remaining_s() == pytest.approx(again_s + after_s)
    settled = probed(2, 20.0, 32.0).having(SETTLED, receipt(20.0))
    pass_through(watch, clock, settled, "settled", 4.0)
    assert watch.remaining_s() == pytest.approx(after_s)


def test_remaining_time_falls_while_a_stage_runs_and_ends_at_nothing() -> None:
    clock = Clock()
    plan = replace(PLAN, references=("espcn",), candidates=1, finalists=1)
    watch = Watch(plan, clock=clock)
    for stage in STAGES[:-1]:
        pass_through(watch, clock, published("espcn", 68.0, 32.9), stage, 10.0)
    for stage in STAGES:
        pass_through(watch, clock, winner(1, 20.0, 33.0), stage, 10.0)
    assert watch.remaining_s() == 0.0


def test_evidence_of_an_earlier_run_is_not_timed() -> None:
    clock = Clock()
    watch = Watch(PLAN, Budget(), clock)
    watch(Finished(probed(1, 20.0, 32.0), STAGE["screened"], again=True))
    watch(Finished(probed(1, 20.0, 32.0), STAGE["probed"], again=True))
    assert watch.funnel.came(PROBED) == 1
    assert watch.remaining_s() is None

"""What a study came to, from candidates with made-up evidence."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finished_studies import (
    BASELINE,
    BASELINE_SCORES,
    PSNR,
    TARGET,
    broken,
    finished_study,
    judged_study,
    long_study,
    network,
    on_pictures,
    probed,
    published,
    receipt,
    too_slow,
    winner,
)
from rich.console import Console

from nas.candidate import Candidate, Rejection
from nas.confidence import Gain
from nas.evidence import EXPORTED, PROBED, QUANTIZED, TRAINED
from nas.report.describe import describe, duration, milliseconds
from nas.report.funnel import Funnel, funnel
from nas.report.summary import Summary, summarize
from nas.report.tables import cells_of, print_table, steps
from nas.report.worth import Worth, worth_of
from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.references import reference
from trainers.base import Metric


def summary_of(*candidates: Candidate, scores: Sequence[float] = ()) -> Summary:
    return summarize(
        candidates, target=TARGET, metric=PSNR, baseline=BASELINE, baseline_scores=scores
    )


def judged_summary() -> Summary:
    return summary_of(*judged_study(), scores=BASELINE_SCORES)


def approximately(mean: float) -> Any:
    """A gain of this much whose interval is not known."""
    return Gain(pytest.approx(mean))  # type: ignore[arg-type]


def printed(summary: Summary, width: int = 120, worth: Worth | None = None) -> str:
    out = io.StringIO()
    console = Console(width=width, file=out)
    print_table(console, summary, report=Path("runs/photos-x2/report.html"), worth=worth)
    return out.getvalue()


def test_the_funnel_counts_proposals_by_their_evidence() -> None:
    assert funnel(finished_study()) == Funnel(
        28, 9, 2, 4,
        {"screened": 26, "probed": 17, "trained": 4, "quantized": 4, "exported": 4},
    )


def test_a_shipped_file_that_misses_the_limit_is_no_winner_and_not_too_slow_untrained() -> None:
    missed = Rejection("latency_ms", "51 ms", 51.0, 50.0)
    late = replace(winner(1, 49.0, 33.0).without(EXPORTED), rejected=missed)
    assert funnel([late]) == Funnel(
        1, 0, 1, 0, {"screened": 1, "probed": 1, "trained": 1, "quantized": 1}
    )


def test_winners_come_fastest_first_with_what_they_cost() -> None:
    summary = summary_of(*finished_study())
    assert [row.latency_ms for row in summary.winners] == [14.2, 22.8, 31.5, 46.3]
    first = summary.winners[0]
    assert first.gain == approximately(32.41 - BASELINE)
    assert first.speed_up == pytest.approx(2.1)
    assert first.images_per_s == pytest.approx(1000 / 14.2)
    assert first.params and first.gmacs and first.doubt is None


def test_every_bundle_has_a_line_and_one_that_fell_behind_says_behind_whom() -> None:
    good, beaten, best = winner(1, 20.0, 33.0), winner(2, 25.0, 32.9), winner(3, 30.0, 33.5)
    found = summary_of(best, beaten, good)
    assert [row.name for row in found.winners] == ["trial-1", "trial-2", "trial-3"]
    assert [row.name for row in found.front] == ["trial-1", "trial-3"]
    first, second, last = found.winners
    assert (first.behind, second.behind, last.behind) == ("", first.label, "")
    assert second.step is None and last.step == approximately(0.5)
    assert f"{second.label} (25.0 ms) has a bundle too, but {first.label} is as" in printed(found)


def test_a_reference_is_compared_with_the_best_winner_that_is_not_slower() -> None:
    summary = summary_of(*finished_study())
    told = {c.reference.label: c for c in summary.comparisons}
    assert told["ecbsr_m4c16"].best and told["ecbsr_m4c16"].best.latency_ms == 31.5
    assert told["ecbsr_m4c16"].advantage == approximately(0.05)


def test_an_outlook_is_told_and_decides_who_is_best() -> None:
    study = [
        replace(winner(1, 20.0, 32.5), outlook=32.9), replace(winner(2, 30.0, 32.4), outlook=33.1),
        replace(published("ecbsr_m4c16", 31.0, 32.4), outlook=32.8),
    ]
    summary = summarize(study, target=TARGET, metric=PSNR, baseline=BASELINE, horizon=6000)
    assert summary.best and summary.best.latency_ms == 30.0
    text = printed(summary, width=160)
    assert "outlook: psnr_y expected after 6,000 steps on many pictures" in " ".join(text.split())
    assert "by outlook +0.35 dB" in text
    assert "outlook" not in printed(summary_of(*finished_study()))


def test_a_reference_that_is_faster_than_every_winner_is_told() -> None:
    summary = summary_of(winner(1, 40.0, 33.0), published("fsrcnn", 5.0, 32.0))
    assert summary.comparisons[0].best is None
    assert "  fsrcnn (5.00 ms): no winner is as fast" in printed(summary)


def test_less_is_better_where_the_metric_says_so() -> None:
    lpips = Metric("lpips", "", "min")
    summary = summarize(
        [winner(1, 20.0, 0.20), winner(2, 30.0, 0.10), published("espcn", 35.0, 0.15)],
        target=TARGET, metric=lpips, baseline=0.4,
    )
    assert summary.best and summary.best.metric == 0.10
    assert summary.best.gain == approximately(0.3)
    assert summary.comparisons[0].advantage == approximately(0.05)


def test_an_unstable_latency_is_marked() -> None:
    shaky = winner(1, 20.0, 33.0)
    assert shaky.has(EXPORTED)
    report = replace(shaky[EXPORTED], shipped=receipt(20.0, verdict="unstable"))
    row = summary_of(shaky.having(EXPORTED, report)).winners[0]
    assert row.doubt == "latency unstable"


def test_a_reference_that_was_not_trained_has_no_metric_and_no_comparison() -> None:
    bare = published("espcn", 20.0, 32.0).without(PROBED, TRAINED, QUANTIZED)
    summary = summary_of(bare)
    assert (summary.references[0].metric, summary.references[0].doubt) == (None, "not trained")
    assert not summary.comparisons


def test_without_a_fast_network_the_fastest_one_is_named_and_the_limit_doubted() -> None:
    summary = summary_of(too_slow(1, 80.0), too_slow(2, 61.0), broken(3))
    assert summary.advice and "the fastest took 61.0 ms" in summary.advice
    assert "target.max_latency_ms" in summary.advice
    assert "No winner." in printed(summary)


def test_when_nothing_compiles_the_engine_is_doubted() -> None:
    advice = summary_of(broken(1), broken(2, "no such operator")).advice
    assert advice and "no such operator" in advice


def test_an_interrupted_study_is_to_be_run_again() -> None:
    advice = summary_of(probed(1, 20.0, 32.0)).advice
    assert advice and "Run the study again" in advice


def test_an_empty_study_has_an_end_too() -> None:
    assert "No network was examined" in printed(summary_of())


@pytest.mark.parametrize("width", [50, 72, 80, 120])
def test_the_table_keeps_its_numbers_at_any_width(width: int) -> None:
    text = printed(summary_of(*finished_study()), width)
    assert all(word in text for word in ("13a209e786f6", "14.2 ms", "33.31 dB", "+1.69 dB"))
    assert "report: runs/photos-x2/report.html" in text


@pytest.mark.parametrize("width", [50, 72, 80, 120])
def test_every_line_of_a_judged_study_fits_the_terminal(width: int) -> None:
    text = printed(judged_summary(), width, worth_of(long_study(), PSNR, 50.0))
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert all(word in text for word in ("33.31 dB", "+1.69 dB", "over 12 pictures"))
    assert ("1.67 to 1.71" in text) == (width >= 80)


def test_a_comparison_says_how_sure_it_is() -> None:
    text = printed(judged_summary())
    assert "fsrcnn (47.6 ms): 2659ce28735f (46.3 ms) is 0.51 dB better (0.48 to 0.54)" in text
    assert "no interval" not in text


def test_without_the_scores_of_pictures_it_says_why_there_is_no_interval() -> None:
    summary = summary_of(*finished_study())
    assert summary.judged_on == ""
    text = printed(summary)
    assert "is 0.51 dB better (no interval)" in text
    assert "no interval: the metric of each sample was not kept" in text
    few = summary_of(*(on_pictures(c, 3) for c in finished_study()), scores=(30.0, 31.0, 33.86))
    assert few.unsure == "no interval: it takes 5 pictures, and there were 3"
    assert few.judged_on == "3 pictures"


def test_winners_that_cannot_be_told_apart_are_called_level() -> None:
    near = [
        on_pictures(winner(1, 20.0, 33.0), spread=0.3),
        on_pictures(winner(2, 30.0, 33.01), spread=0.3),
        on_pictures(winner(3, 40.0, 34.5), spread=0.3),
    ]
    summary = summary_of(*near, scores=BASELINE_SCORES)
    sides = [row.step and row.step.side for row in summary.winners]
    assert sides == [None, "level", "better"]
    (line,) = steps(summary)
    slower, faster = summary.winners[1].label, summary.winners[0].label
    assert line.startswith(f"{slower} (30.0 ms) is level with the faster {faster} (-0.")
    assert "each winner is better than the next faster one" in printed(judged_summary())
    assert steps(summary_of(*finished_study())) == []


def test_a_winner_that_is_level_with_the_baseline_has_no_gain_to_show() -> None:
    even = on_pictures(winner(1, 20.0, BASELINE + 0.001))
    row = summary_of(even, scores=BASELINE_SCORES).winners[0]
    assert cells_of(row, PSNR)["gain"] == "level"
    low, high = cells_of(row, PSNR)["95 %"].split(" to ")
    assert float(low) < 0 < float(high)


def test_what_the_search_was_worth_is_printed_below_the_comparisons() -> None:
    text = printed(judged_summary(), 80, worth_of(long_study(), PSNR, 50.0))
    assert text.index("beside published networks:") < text.index("what the search was worth:")
    assert "\n  The best of 12 guided proposals has" in text
    assert "what the search was worth" not in printed(judged_summary(), 80)


def test_equal_neighbours_are_described_as_one_stack() -> None:
    assert describe(network(32, 2)) == "strided, 3x conv 32 k3, bicubic base"


def test_published_networks_are_described() -> None:
    assert describe(reference("espcn", 2)) == "conv 64 k5, conv 32 k3, tanh"
    assert describe(reference("fsrcnn", 2)).endswith("prelu, transposed head k9")


def test_mixed_activations_are_named_at_each_block() -> None:
    blocks = (BlockSpec.of("conv", 8, activation="relu"), BlockSpec.of("conv", 8, kernel=5,
              activation="prelu"))
    args = (("reduction", "max_pool"), ("skip", True))
    mixed = Architecture("upscaler", one_to_one(3, 3, 2), blocks, args)
    assert describe(mixed) == "max pool, conv 8 k3 relu, conv 8 k5 prelu, skip"


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.4, "8 s"), (59.6, "1 min"), (240, "4 min"), (4300, "1 h 12 min")]
)
def test_durations_are_rounded_to_what_matters(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_latencies_keep_three_digits() -> None:
    assert [milliseconds(v) for v in (0.1234, 1.234, 12.34, 1234.0)] == [
        "0.123 ms", "1.23 ms", "12.3 ms", "1234 ms"
    ]

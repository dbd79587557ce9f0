"""The report of a study, as HTML text."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Literal

import numpy as np
import pytest
from finished_studies import (
    BASELINE,
    BASELINE_SCORES,
    PLAN,
    PSNR,
    TARGET,
    broken,
    finished_study,
    judged_study,
    long_study,
    on_pictures,
    probed,
    proposal,
    published,
    receipt,
    too_slow,
    winner,
)
from PIL import Image
from rich.console import Console

from nas.candidate import Candidate, Rejection
from nas.evidence import EXPORTED
from nas.live.scatter import scatter
from nas.report.course_plot import course_plot
from nas.report.crops import Crop, CropRow, choose_crop, png
from nas.report.funnel import funnel
from nas.report.page import Circumstances, render
from nas.report.plots import Axes, _place, ticks
from nas.report.summary import summarize
from nas.report.tables import print_table
from nas.report.worth import worth_of
from trainers.base import Metric

EVIL = '<script>alert("x")</script>&<img src=x onerror=y>'
EVIL_NAME = EVIL.replace("/", "")
"""A folder may be called so."""
_VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Fails where an element is closed that is not the innermost open one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def report(
    candidates: list[Candidate], crops: list[CropRow] | None = None, metric: Metric = PSNR,
    images: Sequence[str] = (), notes: Sequence[str] = (), time_again: str = "nas bench {folder}",
    scores: Sequence[float] = (),
) -> str:
    summary = summarize(
        candidates, target=TARGET, metric=metric, baseline=BASELINE, baseline_scores=scores
    )
    circumstances = Circumstances("4 March 2026", images, notes, time_again)
    return render(
        summary, funnel(candidates), candidates, crops or [], plan=PLAN,
        circumstances=circumstances, worth=worth_of(candidates, metric, TARGET.max_latency_ms),
    )


def crop_row(name: str = "bicubic") -> CropRow:
    pixels = np.zeros((8, 8, 3), np.uint8)
    return CropRow("a.png", [Crop(name, "31.6 dB", pixels), Crop("original", "", pixels)])


def test_the_report_says_what_was_asked_and_what_was_found() -> None:
    text = report(finished_study())
    assert "<h1>1.69 dB better than bicubic in 46.3 ms</h1>" in text
    assert "within 50.0 ms" in text and "28 networks were compiled untrained" in text
    words = "Beside fsrcnn (47.6 ms): 2659ce28735f (46.3 ms) is 0.51 dB better (no interval)."
    assert words in text


def test_the_report_needs_nothing_from_elsewhere() -> None:
    text = report(finished_study(), [crop_row()])
    body, _, script = text.partition("<script>")
    assert not re.search(r"https?:|//|<link|@import|url\(", body.replace("</", ""))
    assert not re.search(r"https?:|fetch|XMLHttp|import|eval|innerHTML|\.open\(", script)
    sources = re.findall(r'(?:src|href)="([^"]{0,22})', text)
    assert sources and set(sources) == {"data:image/png;base64,"}


def test_every_element_is_closed_in_order() -> None:
    begun = ([], [too_slow(1, 60.0)], [probed(1, 20.0, 32.0)])
    for candidates in (finished_study(), judged_study(), long_study(), *begun):
        parser = Balance()
        parser.feed(report(candidates, [crop_row()], images=["a"], notes=["b"]))
        assert not parser.open and "svg" in parser.seen


def test_what_comes_from_outside_is_escaped() -> None:
    odd = replace(winner(1, 20.0, 33.0), name=f"trial-{EVIL_NAME}")
    shipped = receipt(20.0, device=EVIL, engine_version=EVIL)
    assert odd.has(EXPORTED)
    odd = odd.having(EXPORTED, replace(odd[EXPORTED], shipped=shipped, folder=EVIL_NAME))
    text = report(
        [odd, broken(2, EVIL), replace(published("espcn", 40.0, 32.0), name=EVIL_NAME)],
        [crop_row(EVIL)], images=[EVIL], notes=[EVIL], time_again=EVIL,
    )
    assert text.count("<script") == 1 and "<img src=x" not in text
    assert "&lt;script&gt;" in text


def test_a_study_without_a_winner_says_so_and_what_to_do() -> None:
    text = report([too_slow(1, 80.0), too_slow(2, 61.0)])
    assert "<h1>No network within 50.0 ms</h1>" in text
    assert "the fastest took 61.0 ms" in text and "Raise target.max_latency_ms" in text
    assert "one by one" not in text


def test_a_winner_that_is_worse_than_no_network_is_not_praised() -> None:
    assert "0.62 dB worse than bicubic" in report([winner(1, 20.0, BASELINE - 0.62)])


def test_every_comparison_of_a_judged_study_says_how_sure_it_is() -> None:
    text = report(judged_study(), scores=BASELINE_SCORES)
    assert "It is 1.69 dB better than bicubic (1.67 to 1.71), over 12 pictures." in text
    assert "(46.3 ms) is 0.51 dB better (0.48 to 0.54)." in text
    assert "0.21 dB better than the next faster winner (0.1" in text
    assert "than before quantization (0.0" in text
    assert text.count("12 pictures") >= 4 and "no interval" not in text.lower()


def test_without_scores_the_report_says_why_there_is_no_interval() -> None:
    text = report(finished_study())
    assert "No interval: the metric of each sample was not kept" in text
    assert "12 pictures" not in text


def test_a_winner_that_is_level_with_no_network_is_called_so() -> None:
    even = on_pictures(winner(1, 20.0, BASELINE + 0.001))
    text = report([even], scores=BASELINE_SCORES)
    assert "<h1>Level with bicubic in 20.0 ms</h1>" in text and ">level<" in text


def test_the_report_says_what_the_search_was_worth_with_each_proposal_in_its_turn() -> None:
    text = report(long_study(), scores=BASELINE_SCORES)
    assert "<h2>What the search was worth</h2>" in text
    assert "<li>The best of 12 guided proposals has" in text
    assert "Unguided are the space&#x27;s starting points" in text
    assert text.count("<title>proposal ") == 2 * 48
    assert "guided ones</span>" in text and "guided ones</span>" not in report(finished_study())
    assert "What the search was worth" not in report([])


def test_the_course_of_a_search_is_drawn_upwards_where_less_is_better() -> None:
    loss = Metric("loss", "", "min")
    study = [probed(k, 20.0, 0.9 - 0.02 * k) for k in range(20)]
    drawn = course_plot(worth_of(study, loss, 50.0), loss)
    heights = [float(y) for y in re.findall(r'class="brief" cx="[\d.]+" cy="([\d.]+)"', drawn)]
    assert len(heights) == 20 and heights == sorted(heights, reverse=True)
    assert course_plot(worth_of(study[:1], loss, 50.0), loss) == ""


def test_each_winner_has_its_receipt_and_the_command_to_time_it_again() -> None:
    text = report([winner(1, 20.0, 33.0)], time_again="nas bench runs/s/{folder}/int8.onnx")
    bundle = f"winners/{winner(1, 20.0, 33.0).architecture.id}"
    assert f"nas bench runs/s/{bundle}/int8.onnx" in text
    assert "5f5f" in text and "0.0081 at most" in text and "depth to space" in text


def test_a_bundle_that_fell_behind_has_its_line_and_its_card() -> None:
    text = report([winner(1, 20.0, 33.0), winner(2, 25.0, 32.9)])
    ahead, behind = (winner(k, 20.0, 33.0).architecture.id for k in (1, 2))
    assert f"no better than {ahead}, which is as fast" in text
    assert f"nas bench winners/{behind}" in text


def test_reasons_other_than_speed_are_listed() -> None:
    diverged = proposal(4, screened=receipt(9.0), rejected=Rejection("trains", "loss is nan"))
    assert "trial-4: loss is nan" in report([diverged])


def test_what_lies_beyond_the_drawing_is_counted_or_named() -> None:
    text = report([winner(1, 20.0, 33.0), too_slow(2, 400.0), published("espcn", 300.0, 33.2)])
    assert "1 more are slower" in text and "espcn → 300.0 ms" in text


def test_a_metric_of_which_less_is_better_is_drawn_upwards() -> None:
    lpips = Metric("lpips", "", "min")
    text = report([winner(1, 20.0, 0.3), winner(2, 40.0, 0.1)], metric=lpips)
    heights = [float(y) for y in re.findall(r'class="win"[^>]* cx="[\d.]+" cy="([\d.]+)"', text)]
    assert heights[1] < heights[0]


WILD = [math.inf, -math.inf, math.nan, 1e308, -1e308, 1e-320, 0.0, BASELINE + 1e-14]


@pytest.mark.parametrize("value", WILD)
@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_report_and_a_live_view_survive_any_value_of_the_metric(
    value: float, mode: Literal["max", "min"]
) -> None:
    metric = Metric("own", "", mode)
    for study in ([winner(1, 46.0, value)], [*finished_study(), winner(9, 30.0, value)]):
        for baseline in (BASELINE, value):
            summary = summarize(study, target=TARGET, metric=metric, baseline=baseline)
            text = render(
                summary, funnel(study), study, [], plan=PLAN, circumstances=Circumstances("today")
            )
            assert text.endswith("</html>\n")
            coordinates = re.findall(r' (?:cx|cy|x|y|d)="([^"]*)"', text)
            assert coordinates
            assert not any(word in place for place in coordinates for word in ("nan", "inf"))
            console = Console(file=io.StringIO(), width=120)
            print_table(console, summary)
            scatter(study, study[-1:], limit_ms=50.0, metric=metric, baseline=baseline)


def test_a_search_without_a_limit_has_a_report() -> None:
    target = replace(TARGET, max_latency_ms=math.inf)
    study = finished_study()
    summary = summarize(study, target=target, metric=PSNR, baseline=BASELINE)
    text = render(
        summary, funnel(study), study, [], plan=PLAN, circumstances=Circumstances("today")
    )
    assert text.endswith("</html>\n")
    assert "●" in scatter(study, study, limit_ms=math.inf, metric=PSNR, baseline=BASELINE).plain


@pytest.mark.parametrize("shape", [(5, 7, 3), (6, 4, 1)])
def test_a_png_holds_its_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(png(pixels))))
    np.testing.assert_array_equal(decoded, pixels.squeeze())


def test_a_crop_is_taken_where_there_is_detail_and_the_methods_differ() -> None:
    random = np.random.default_rng(1)
    high = np.full((256, 320, 3), 128, np.uint8)
    high[:64, :64] = random.integers(0, 256, (64, 64, 3))
    high[128:192, 200:264] = random.integers(0, 256, (64, 64, 3))
    other = high.copy()
    other[128:192, 200:264] = 128
    rows, columns = choose_crop(high, other, size=64)
    assert (rows, columns) == (slice(128, 192), slice(200, 264))


def test_a_picture_of_luma_alone_is_cropped_too() -> None:
    high = np.full((64, 80, 1), 128, np.uint8)
    high[32:48, 48:64] = np.random.default_rng(2).integers(0, 256, (16, 16, 1))
    rows, columns = choose_crop(high, high // 2, size=16)
    assert (rows, columns) == (slice(32, 48), slice(48, 64))


def test_a_crop_is_never_larger_than_its_picture() -> None:
    rows, columns = choose_crop(np.zeros((50, 300, 3), np.uint8), size=192)
    assert (rows, columns) == (slice(0, 50), slice(0, 192))


def test_labels_of_neighbouring_points_do_not_collide() -> None:
    axes = Axes(0, 0, 500, 300, 50.0, 30.0, 34.0)
    taken: list[tuple[float, float, float, float]] = []
    spots = [_place(250 + k, 150 + k, 60, axes, taken) for k in range(4)]
    assert len(set(spots)) == 4
    boxes = taken
    for i, a in enumerate(boxes):
        for b in boxes[i + 1:]:
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart


def test_ticks_are_round_numbers_inside_the_axis() -> None:
    assert ticks(0.0, 57.0, 8) == [0, 10, 20, 30, 40, 50]
    assert ticks(31.4, 33.6, 5) == pytest.approx([31.5, 32.0, 32.5, 33.0, 33.5])

"""The report in a browser: its script does what it is for, and asks for nothing from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_studies import BASELINE, PLAN, PSNR, TARGET, finished_study

from nas.report.crops import Crop, CropRow
from nas.report.funnel import funnel
from nas.report.page import Circumstances, render
from nas.report.summary import summarize

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]
ACTS = """
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
</script>
<script>
addEventListener("load", () => {
  const shown = {}, table = document.querySelector("table");
  const column = (k) => [...table.tBodies[0].rows].map(
    (row) => row.cells[k].firstChild?.textContent ?? "");
  const head = table.querySelectorAll("th")[1];
  head.click(); shown.up = column(1);
  head.click(); shown.down = column(1);
  const point = document.querySelector("circle.win");
  point.dispatchEvent(new PointerEvent("pointerenter"));
  shown.told = document.querySelector(".told").textContent;
  point.dispatchEvent(new Event("click"));
  shown.chosen = document.querySelector("tr.chosen .name").textContent;
  const [range, over] = [".stage input", ".stage .over"].map((at) => document.querySelector(at));
  shown.before = getComputedStyle(over).clipPath;
  range.value = 20; range.dispatchEvent(new Event("input"));
  shown.after = getComputedStyle(over).clipPath;
  const right = document.querySelectorAll(".choices select")[1];
  right.value = 0; right.dispatchEvent(new Event("change"));
  const [under, first] = [".stage img", "figure img"].map((at) => document.querySelector(at).src);
  shown.same = under === first;
  shown.wide = document.documentElement.scrollWidth;
  shown.asked = performance.getEntriesByType("resource").map((one) => one.name)
    .filter((name) => !name.startsWith("data:"));
  shown.errors = errors;
  document.title = JSON.stringify(shown);
});
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a reader's hands find, told by the page itself in its title."""
    candidates = finished_study()
    grey = [np.full((8, 8, 3), level, np.uint8) for level in (10, 90, 200)]
    crops = [Crop(n, "", p) for n, p in zip(("bicubic", "best", "original"), grey, strict=True)]
    summary = summarize(candidates, target=TARGET, metric=PSNR, baseline=BASELINE)
    page = render(
        summary, funnel(candidates), candidates, [CropRow("a.png", crops)], plan=PLAN,
        circumstances=Circumstances("4 March 2026"),
        curves={candidates[0].name: [(50.0 * k, 1 / k) for k in range(1, 9)]},
    )
    folder: Path = tmp_path_factory.mktemp("page")
    acted = page.replace("<script>", f"<script>{ACTS}</script>\n<script>", 1)
    (folder / "report.html").write_text(acted)
    assert BROWSER is not None
    dumped = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu",
         f"--user-data-dir={folder / 'user'}",
         "--window-size=1300,900", "--virtual-time-budget=3000", "--dump-dom",
         (folder / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", dumped.stdout, re.S)
    assert title, dumped.stderr[-2000:]
    found: dict[str, Any] = json.loads(unescape(title[1]))
    return found


def test_it_has_no_error_and_asks_for_nothing(shown: dict[str, Any]) -> None:
    assert shown["errors"] == [] and shown["asked"] == []
    assert shown["wide"] <= 1300


def test_a_table_is_sorted_by_numbers_either_way_and_what_has_none_stays_last(
    shown: dict[str, Any],
) -> None:
    up, down = ([float(v.split()[0]) for v in shown[way] if v] for way in ("up", "down"))
    assert len(up) > 3 and up == sorted(up) and down == up[::-1]
    assert shown["up"][-1] == shown["down"][-1] == ""


def test_pointing_at_a_network_tells_of_it_and_choosing_it_finds_its_line(
    shown: dict[str, Any],
) -> None:
    assert re.search(r"[\d.]+ ms, [\d.]+ dB", shown["told"])
    assert shown["told"].startswith(shown["chosen"])


def test_the_line_between_two_pictures_can_be_pulled_and_the_pictures_chosen(
    shown: dict[str, Any],
) -> None:
    assert "50%" in shown["before"] and "80%" in shown["after"]
    assert shown["same"]

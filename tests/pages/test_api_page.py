"""The page about the functions is run as it stands, at toy size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_search import write_photos

import nas
from trainers.data.sources import Sources
from trainers.tasks import super_resolution

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
SIZE = {"height": 24, "width": 32}


@pytest.mark.slow
def test_the_page_about_the_functions_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", count=3)

    class Small(super_resolution.SuperResolution):
        def __init__(self, scale: int) -> None:
            super().__init__(scale=scale, data=Sources(str(photos)), crop=16)

    real, target, plan, budget = nas.bench, nas.Target, nas.Plan, nas.Budget

    def small_bench(networks: Any, engines: Any, sizes: Any) -> Any:
        return real(networks, engines, sizes=[(24, 32)], keep=False)

    def small_plan(name: str, **more: Any) -> Any:
        return replace(plan(name, **more), candidates=3, probe_steps=3, finalists=2)

    def small_budget(**more: Any) -> Any:
        small = budget(**more)
        return replace(small, max_steps=6, batch_size=2, quant_steps=0, quant_calibration=4)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(super_resolution, "SuperResolution", Small)
    changes = {
        "bench": small_bench, "Plan": small_plan, "Budget": small_budget,
        "Target": lambda **more: target(**{**more, **SIZE}),
    }
    for name, change in changes.items():
        monkeypatch.setitem(vars(nas), name, change)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    told = capsys.readouterr().out
    assert "runs/photos/report.html" in told
    assert told.rstrip().splitlines()[-1].startswith("(720, 1280, 3) int8 ")
    assert (tmp_path / "product/upscaler/manifest.json").is_file()

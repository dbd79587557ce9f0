"""Several targets as they are asked for, and as people are told of them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from finished_studies import PLAN, PSNR, finished_study, published, winner
from hydra import compose, initialize_config_module
from rich.console import Console
from two_targets import SMALL_TARGET, on_both

from nas.candidate import Candidate
from nas.commands.overrides import with_targets
from nas.evidence import MAIN
from nas.folder import plain_settings
from nas.ledger import Ledger
from nas.live.terminal import described
from nas.networks import rules_for
from nas.report.funnel import funnel
from nas.report.page import Circumstances, render
from nas.report.status_table import print_status
from nas.report.summary import summarize
from nas.report.tables import print_table
from nas.settings import SettingsError, check_settings, targets_of
from nas.stages import STAGES
from nas.target import Target, require_same_rules
from nas.workers.status import read_status

FURTHER = {"small": replace(SMALL_TARGET, height=180, width=320, max_latency_ms=20.0)}


def two_target_study() -> list[Candidate]:
    return [
        *(on_both(c, 0.3 * c.latency_ms) for c in finished_study() if c.receipt is not None),
        on_both(published("espcn_y", 30.0, 32.0), 19.0),
    ]


def test_table_and_report_tell_each_target_by_its_name() -> None:
    study = two_target_study()
    summary = summarize(
        study, target=Target(engine="openvino"), metric=PSNR, baseline=31.62, further=FURTHER
    )
    console = Console(width=140, record=True, file=open(os.devnull, "w"))
    with console.file:
        print_table(console, summary)
        text = console.export_text()
    assert "main: openvino int8, 640x360 in, at most 50.0 ms; small: onnxruntime fp32" in text
    assert re.search(r"network +main +small +psnr_y", text)
    assert re.search(r"46\.3 ms +13\.9 ms +33\.31 dB", text)
    assert "espcn_y (30.0 ms on main, 19.0 ms on small)" in text
    page = render(
        summary, funnel(study), study, [], plan=PLAN,
        circumstances=Circumstances(
            "today", elsewhere_again={"small": "nas bench {folder} --engine onnxruntime"}
        ),
    )
    assert "and that onnxruntime runs in fp32 on a 320x180 image within 20.0 ms" in page
    assert '<th class="n">main</th><th class="n">small</th>' in page
    assert "<dt>on small</dt>" in page and "small-fp32.onnx, at most 1e-06 from torch" in page
    assert "small-fp32.onnx --engine onnxruntime" in page


def test_a_stage_that_timed_tells_every_target() -> None:
    made = on_both(winner(1, 20.0, 32.0), 8.0)
    lines = [described(made, stage, Target(max_latency_ms=50.0), PSNR) for stage in STAGES]
    assert lines[0] == "timing: 20.2 ms, within 50.0 ms; small: 8.00 ms, within 20.0 ms"
    assert lines[-1] == "exporting: 20.0 ms in int8, 42.0 ms in fp32; small: 8.00 ms in fp32"


def test_the_status_of_a_study_tells_every_limit_and_latency(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({
        "study": {"name": "photos", "candidates": 16}, "metric": asdict(PSNR),
        "target": {"max_latency_ms": 50.0}, "targets": {"small": {"max_latency_ms": 20.0}},
    }))
    Ledger(tmp_path).save(on_both(winner(1, 20.0, 32.0), 8.0))
    console = Console(width=120, record=True, file=open(os.devnull, "w"))
    with console.file:
        print_status(console, read_status(tmp_path))
        text = console.export_text()
    assert "at most 50.0 ms on main, 20.0 ms on small" in text
    assert re.search(r"front +main +small +psnr_y", text)
    assert re.search(r"20\.0 ms +8\.00 ms +32\.00 dB", text)


@pytest.mark.parametrize(("typed", "meant"), [
    (["targets.small.height=180"], ["+target@targets.small=cpu", "targets.small.height=180"]),
    (["target=rtx", "targets.b.width=8"],
     ["+target@targets.b=rtx", "target=rtx", "targets.b.width=8"]),
    (["targets.b.width=8", "target@targets.b=rtx"],
     ["+target@targets.b=rtx", "targets.b.width=8"]),
    (["target.height=180"], ["target.height=180"]),
    (["study.limits=[8,33,16.5]"], ["study.limits=[8,33,16.5]", "target.max_latency_ms=33"]),
    (["study.limits=[8,16]", "target.max_latency_ms=20"],
     ["study.limits=[8,16]", "target.max_latency_ms=20"]),
    (["study.limits=[]"], ["study.limits=[]"]),
])
def test_a_further_target_is_made_by_speaking_of_it(typed: list[str], meant: list[str]) -> None:
    assert with_targets(typed) == meant


def configured(*arguments: str) -> Any:
    with initialize_config_module("conf", version_base="1.3"):
        return compose("config", overrides=with_targets(arguments))


def test_settings_of_one_target_are_kept_as_they_always_were() -> None:
    assert "targets" not in plain_settings(configured("study.name=one"))
    two = configured("study.name=two", "targets.small.height=180", "target.height=90")
    assert plain_settings(two)["targets"]["small"]["height"] == 180
    assert [t.height for t in targets_of(two).values()] == [90, 180]


@pytest.mark.parametrize(("arguments", "words"), [
    (["targets.small.precision=int4"], "targets.small.precision is 'int4': use "),
    (["targets.small.height=-3"], "targets.small.height is -3: it must be a positive number"),
    (["targets.small.max_latency_ms=inf"], "targets.small.max_latency_ms is 'inf': use a number"),
    (["targets.main.height=9"], "targets.main: that is what `target` is called"),
    (["targets.small.height=9", "target.precision=fp32"],
     "targets.small.precision is int8, and networks are quantized for `target`, which ships"),
    (["targets.small.height=9", "measuring=served"], "measuring=served times on one engine"),
    (["targets.small.height=9", "study.screen=compile"], "study.screen=compile estimates for one"),
    (["targets.small.height=9", "study.table=x.gz"], "study.table was measured on one target"),
    (["study.limits=[8,-1]"], "study.limits has -1: give milliseconds above 0"),
    (["study.limits=[fast]"], "study.limits is '['fast']': use a list, each of it a number"),
    (["targets=5"], "targets is '5', which is no group of settings"),
])
def test_targets_that_cannot_be_are_refused_in_one_line(arguments: list[str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_settings(configured("study.name=two", *arguments))
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


def test_int8_for_an_engine_with_other_quantizers_is_refused() -> None:
    targets = {MAIN: Target(engine="openvino"), "b": Target(engine="onnxruntime")}
    rules = {name: rules_for(target.engine) for name, target in targets.items()}
    with pytest.raises(ValueError, match="targets.b ships int8 on onnxruntime, which wants "
                       "quantizers at other places than openvino"):
        require_same_rules(targets, rules)
    require_same_rules(
        {**targets, "b": replace(targets["b"], precision="fp16")}, rules
    )
    require_same_rules({**targets, "b": Target(engine="openvino", height=180)},
                       {**rules, "b": rules[MAIN]})

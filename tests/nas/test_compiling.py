"""A search that only compiles: what it keeps, rejects and tells."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from finished_studies import receipt
from real_search import nas
from rich.console import Console
from toy_search import (
    ScriptedLatency,
    on_rig,
    small_candidate,
    toy_experiment,
    write_photos,
)

from latency_models.base import CompileError, EngineUnavailable, LatencyReport
from latency_models.engines.trt_rtx import TensorRTRTXEngine
from nas.candidate import Rejection
from nas.events import Finished, Started
from nas.evidence import PROBED, SCREENED, TRAINED
from nas.experiment import Experiment, Plan
from nas.ledger import Ledger
from nas.live.terminal import view_for
from nas.pipeline import NothingFastEnough, run_study
from nas.report.compiled import Compiled
from nas.report.results import conclude
from nas.report.roofs_plot import Spot, roofs_plot
from nas.settings import SettingsError
from nas.stages import corridor
from nas.stages.compile import COMPILE, compile_only
from nas.study import Study
from nas.target import Target
from nas.timers import builder_for, compiler_of, engine_for
from trainers.base import Metric

RTX = Target(engine="tensorrt_rtx", precision="fp16", card="rtx_4090")
needs_library = pytest.mark.skipif(
    TensorRTRTXEngine().builds() is not None, reason="needs TensorRT for RTX"
)


def estimate(ms: float, *, compute_ms: float) -> LatencyReport:
    told = {
        "parsed_layers": 20, "macs": 2e9, "bytes_moved": 3e7, "compute_ms": compute_ms,
        "memory_ms": ms, "nearer": "memory",
    }
    return receipt(
        ms, estimated=True, conditions=told, precision="fp16", device="GeForce RTX 4090",
        samples=0,
    )


def experiment(folder: Path, *answers: Any, candidates: int = 4) -> Experiment:
    photos = write_photos(folder / "photos", count=2)
    return toy_experiment(
        folder / "study", photos, stages=corridor(compiles=True),
        quick=ScriptedLatency(*answers),
        plan=Plan("toy", candidates=candidates, finalists=2, references=("espcn",),
                  screen="compile"),
        target=replace(RTX, height=24, width=32, max_latency_ms=2.0),
    )


def searched(here: Experiment) -> Compiled:
    here.folder.mkdir(parents=True, exist_ok=True)
    study = Study(
        here.folder / "study.journal", name="toy", seed=0, metric=here.task.metric,
        limit_ms=2.0, home=here.folder,
    )
    outcome = conclude(here, run_study(here, study))
    assert isinstance(outcome, Compiled)
    return outcome


def test_it_ends_with_what_compiles_the_refused_and_those_that_cannot_be_fast_enough(
    tmp_path: Path,
) -> None:
    here = experiment(
        tmp_path, estimate(0.5, compute_ms=0.1), CompileError("TensorRT says no"),
        estimate(3.0, compute_ms=2.5), estimate(2.4, compute_ms=0.2),
    )
    outcome = searched(here)
    ours = [line for line in outcome.lines if not line.published]
    assert [line.receipt.median_ms for line in ours] == [0.5, 2.4]
    assert [line.name for line in outcome.lines if line.published] == ["espcn"]
    assert outcome.slow == 1
    assert len(outcome.refused) == 1 and "TensorRT says no" in outcome.refused[0]
    assert outcome.words == (
        "2 of 4 networks compile and may be fast enough, 1 cannot be, 1 were refused"
    )


def test_nothing_is_trained_and_the_same_search_again_asks_nothing(tmp_path: Path) -> None:
    here = experiment(tmp_path, estimate(0.5, compute_ms=0.1))
    searched(here)
    for candidate in Ledger(here.folder).all():
        assert candidate.has(SCREENED) and candidate[SCREENED].estimated
        assert not candidate.has(PROBED) and not candidate.has(TRAINED)
    again = on_rig(here, quick=ScriptedLatency(AssertionError("asked again")))
    assert len(searched(again).lines) == 5


def test_the_memorys_roof_rejects_nobody_but_the_arithmetic_does(tmp_path: Path) -> None:
    here = experiment(tmp_path, estimate(9.0, compute_ms=1.9), estimate(9.0, compute_ms=2.1))
    assert compile_only(small_candidate(), here).rejected is None
    rejected = compile_only(small_candidate(), here).rejected
    assert rejected is not None and rejected.constraint == "latency_ms"
    assert "2.1 ms at the peak of a GeForce RTX 4090" in rejected.reason


def test_a_limit_that_arithmetic_alone_breaks_ends_the_search_with_advice(
    tmp_path: Path,
) -> None:
    here = experiment(tmp_path, estimate(9.0, compute_ms=8.0))
    with pytest.raises(NothingFastEnough, match="multiply-adds of 4 take 8 ms.*raise the limit"):
        searched(here)


def test_the_report_and_the_terminal_say_that_nothing_was_run(tmp_path: Path) -> None:
    outcome = searched(experiment(tmp_path, estimate(0.5, compute_ms=0.1)))
    page = outcome.report.read_text()
    assert "Estimated, nothing was run" in page and "GeForce RTX 4090" in page
    assert "<circle" in page and ">espcn</text>" in page
    console = Console(file=StringIO(), width=100)
    outcome.show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Estimated, nothing was run" in text and "measure-worker" in text
    assert "0.500 ms" in text and "> 20" in text
    assert "not fused" not in text and "not fused" not in page


@pytest.mark.parametrize(
    ("memory_ms", "compute_ms"), [(0.3, 0.02), (0.02, 0.3), (0.3, 0.3), (100.0, 1e-9), (1.0, 1.0)]
)
def test_the_diagonal_is_seen_however_far_from_it_the_networks_are(
    memory_ms: float, compute_ms: float
) -> None:
    drawn = roofs_plot([Spot("net", memory_ms, compute_ms, True)], width=900, height=400)
    (line,) = re.findall(r'class="baseline" x1="(.*?)" y1="(.*?)" x2="(.*?)" y2="(.*?)"', drawn)
    x1, y1, x2, y2 = map(float, line)
    assert 0 <= x1 < x2 <= 900 and 0 <= y2 < y1 <= 400


def test_int8_says_at_the_end_too_that_it_is_unfused(tmp_path: Path) -> None:
    here = experiment(tmp_path, estimate(0.5, compute_ms=0.1))
    outcome = searched(on_rig(here, target=replace(here.target, precision="int8")))
    assert "are not fused" in outcome.report.read_text()
    console = Console(file=StringIO(), width=300)
    outcome.show(console)
    assert "are not fused" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_search_that_only_compiles_speaks_of_compiling(tmp_path: Path) -> None:
    out = StringIO()
    plan = Plan("rtx", candidates=4, screen="compile")
    view = view_for(Console(file=out, width=80), plan, RTX, Metric("psnr_y", "dB", "max"))
    with view:
        view(Started(small_candidate(), COMPILE))
        refused = replace(small_candidate(), rejected=Rejection("compiles", "no kernel"))
        view(Finished(refused, COMPILE))
    assert "compiling: rejected, no kernel" in out.getvalue()
    assert "-- 1 of 4 compiled, 0 too slow, 1 failed; " in out.getvalue()
    assert "timed" not in out.getvalue() and "trained" not in out.getvalue()


def test_what_cannot_be_compiled_here_is_told_with_what_to_do() -> None:
    with pytest.raises(SettingsError, match="give target=rtx"):
        builder_for(Target())
    with pytest.raises(SettingsError, match="give target.card=<one of rtx_2080_ti"):
        builder_for(replace(RTX, card=None))
    with pytest.raises(SettingsError, match="rtx_2080_ti: a portable plan runs from sm80 on"):
        builder_for(replace(RTX, card="rtx_2080_ti"))
    with pytest.raises(SettingsError, match="for sm75, and a GeForce RTX 5090 is sm120: add it"):
        builder_for(replace(RTX, card="rtx_5090", compute_capability=["sm75"]))
    with pytest.raises(EngineUnavailable, match="'openvino' cannot compile only"):
        builder_for(Target(engine="openvino", card="rtx_4090"))
    assert compiler_of(Target(engine="openvino")) is None


def test_without_the_card_the_one_line_names_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TensorRTRTXEngine, "available", lambda self: "compiles here, can't time")
    monkeypatch.setattr(TensorRTRTXEngine, "builds", lambda self: None)
    with pytest.raises(EngineUnavailable, match="measuring=served.*study.screen=compile") as told:
        engine_for(RTX)
    assert "\n" not in str(told.value)


def test_int8_is_told_to_be_unfused_on_rtx_alone() -> None:
    assert "not fused" in replace(RTX, precision="int8").caution
    assert RTX.caution == ""
    assert Target(engine="tensorrt").caution == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"engine": "openvino", "compute_capability": ["sm89"]}, "leave it out, or give.*=null"),
        ({"engine": "tensorrt_rtx", "card": "rtx_9"}, "target.card is 'rtx_9': use rtx_2080_ti"),
    ],
)
def test_targets_that_mean_nothing_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Target(**changed)


@needs_library
@pytest.mark.slow
def test_the_command_compiles_with_the_real_library_and_leaves_a_report(tmp_path: Path) -> None:
    line = ("search", "target=rtx", "study.screen=compile", "study.candidates=5",
            "study.name=rtx", "target.compute_capability=[sm86,sm89]")
    code, out, errors = nas(*line, folder=tmp_path)
    assert (code, errors) == (0, "")
    assert "5 of 5 networks compile and may be fast enough" in out
    assert "compiling: at least" in out and "timing" not in out
    assert (tmp_path / "runs/rtx/report.html").is_file()
    assert not (tmp_path / "runs/rtx/winners").exists()
    code, again, _ = nas(*line, folder=tmp_path)
    assert code == 0 and "5 of 5" in again
    code, status, _ = nas("status", "rtx", folder=tmp_path)
    assert code == 0 and "5 of 5 compiled, 0 too slow, 0 failed\n" in status


@pytest.mark.parametrize(
    ("asked", "words"),
    [("measuring=served", "leave one of the two out"), ("tracking=tensorboard", "has none")],
)
def test_what_has_no_effect_without_timing_and_training_is_refused(
    asked: str, words: str, tmp_path: Path
) -> None:
    code, _, errors = nas("search", "target=rtx", "study.screen=compile", asked, folder=tmp_path)
    assert code == 2 and words in errors and errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

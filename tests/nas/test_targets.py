"""Several targets: every winner keeps the limits of all, and each receipt says of which."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from finished_studies import PSNR, finished_study, probed, published, receipt, winner
from hydra import compose, initialize_config_module
from real_search import TOY, cases, nas
from rich.console import Console
from toy_search import ScriptedLatency, small_candidate, toy_experiment, write_photos

from latency_models.base import CompileError
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.measured import MeasuredLatency
from nas.bundle import export
from nas.candidate import PUBLISHED, Candidate, Rejection
from nas.commands.overrides import with_targets
from nas.crew.status import read_status
from nas.events import Finished
from nas.evidence import EXPORTED, MAIN, SCREENED, SETTLED
from nas.experiment import Experiment, Rig, Target, require_same_rules
from nas.finalists import choose_finalists
from nas.folder import plain_settings
from nas.ledger import Ledger
from nas.live.terminal import told
from nas.networks import resolve, rules_for
from nas.pipeline import NothingFastEnough, run_study
from nas.report.page import Circumstances, render
from nas.report.results import conclude
from nas.report.status_table import print_status
from nas.report.summary import funnel, summarize
from nas.report.tables import print_table
from nas.settings import SettingsError, check_settings, targets_of
from nas.stages.probe import PROBE, probe
from nas.stages.quantize import quantize
from nas.stages.screen import screen
from nas.stages.settle import SETTLE, settle
from nas.stages.train import train
from nas.study import Study
from nas.winners import front
from search_spaces.references import reference

LIMITS_MS = {MAIN: 10.0, "small": 4.0}
SMALL_TARGET = Target(
    engine="onnxruntime", precision="fp32", height=16, width=24, max_latency_ms=4.0
)


def small_rig(*answers: Any, **changed: Any) -> Rig:
    """The second target: half the size in fp32, by ONNX Runtime."""
    latency = ScriptedLatency(*(answers or (2.0,)))
    made = Rig(
        "small", SMALL_TARGET, latency, latency, MeasuredLatency(OnnxRuntimeEngine()),
        rules_for("onnxruntime"),
    )
    return replace(made, **changed)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def both(folder: Path, photos: Path, *, small: Rig | None = None, **changed: Any) -> Experiment:
    """A toy search for two targets."""
    here = toy_experiment(folder, photos, **changed)
    return replace(here, rigs={**here.rigs, "small": small or small_rig()})


def on_both(candidate: Candidate, small_ms: float) -> Candidate:
    """A finished candidate as a search for two targets leaves it."""
    found = replace(candidate, limits_ms={MAIN: 50.0, "small": 20.0})
    there = receipt(small_ms, precision="fp32", input_shape=(1, 3, 180, 320), engine="ort")
    found = found.having(SCREENED.on("small"), there)
    if (exported := candidate.get(EXPORTED)) is not None:
        report = replace(
            exported, shipped=there, fp32=there, max_abs_error={"fp32": 1e-6},
            file="small-fp32.onnx",
        )
        found = found.having(EXPORTED.on("small"), report)
    return found


def test_a_proposal_is_timed_where_the_limit_is_shortest_and_no_further_once_it_misses_one(
    tmp_path: Path, photos: Path
) -> None:
    elsewhere = ScriptedLatency(5.0)
    here = both(tmp_path, photos, small=small_rig(4.2), quick=elsewhere)
    found = screen(small_candidate(), here)
    assert found.rejected == Rejection(
        "latency_ms", "4.2 ms is over the limit of 4 ms on small", 4.2, 4.0
    )
    assert elsewhere.asked == []
    assert not found.has(SCREENED) and found[SCREENED.on("small")].median_ms == 4.2


def test_each_target_is_given_the_file_that_would_ship_there(tmp_path: Path, photos: Path) -> None:
    quick, there = ScriptedLatency(5.0), ScriptedLatency(2.0)
    here = both(tmp_path, photos, small=small_rig(quick=there), quick=quick)
    found = screen(small_candidate(), here)
    assert found.rejected is None
    assert [quick.asked, there.asked] == [[("int8", 10.0)], [("fp32", 4.0)]]
    inputs = [onnx.load_from_string(f).graph.input[0] for f in (*quick.files, *there.files)]
    shapes = [[d.dim_value for d in one.type.tensor_type.shape.dim] for one in inputs]
    assert shapes == [[1, 3, 24, 32], [1, 3, 16, 24]]


def test_what_is_ranked_is_the_worst_share_of_a_limit(tmp_path: Path, photos: Path) -> None:
    tight = screen(small_candidate(), both(tmp_path, photos, small=small_rig(3.0)))
    loose = screen(small_candidate(), both(tmp_path, photos, small=small_rig(1.0)))
    assert tight.shares == {MAIN: 0.5, "small": 0.75}
    assert (tight.latency_ms, loose.latency_ms) == (7.5, 5.0)
    assert {name: r.median_ms for name, r in tight.receipts.items()} == {MAIN: 5.0, "small": 3.0}
    judged = [replace(probed(k, 5.0, 32.0), evidence=probed(k, 5.0, 32.0).evidence | c.evidence,
                      limits_ms=c.limits_ms) for k, c in enumerate((tight, loose))]
    assert [c.name for c in front(judged, PSNR)] == [judged[1].name]


def test_one_target_is_ranked_and_written_as_it_always_was(tmp_path: Path, photos: Path) -> None:
    here = toy_experiment(tmp_path, photos, quick=ScriptedLatency(1 / 3))
    found = screen(small_candidate(), here)
    assert found.latency_ms == 1 / 3
    assert list(found.to_json()["evidence"]) == ["screened"]
    assert "limits_ms" not in found.to_json()


def test_a_case_file_keeps_the_receipt_of_each_target(tmp_path: Path, photos: Path) -> None:
    here = both(tmp_path, photos)
    found = settle(screen(small_candidate(), here), here)
    Ledger(tmp_path).save(found)
    assert Ledger(tmp_path).load(found.name) == found
    assert set(found.to_json()["evidence"]) == {
        "screened", "screened@small", "settled", "settled@small"
    }
    assert found.without(SETTLED).evidence.keys() == {"screened", "screened@small"}


def test_evidence_of_a_stage_that_is_not_known_is_refused_on_any_target() -> None:
    case = probed(1, 5.0, 32.0).to_json()
    case["evidence"]["polished@small"] = {}
    with pytest.raises(ValueError, match="evidence 'polished@small': known are screened, "):
        Candidate.from_json(case)


def test_a_published_network_is_timed_on_every_target_and_never_too_slow(
    tmp_path: Path, photos: Path
) -> None:
    here = both(tmp_path, photos, small=small_rig(99.0), full=ScriptedLatency(98.0))
    found = screen(Candidate("espcn", PUBLISHED, reference("espcn", 2)), here)
    assert found.rejected is None
    assert {n: r.median_ms for n, r in found.receipts.items()} == {MAIN: 98.0, "small": 99.0}


def test_an_engine_that_refuses_a_network_is_named(tmp_path: Path, photos: Path) -> None:
    here = both(tmp_path, photos, small=small_rig(CompileError("no kernel")))
    refused = screen(small_candidate(), here).rejected
    assert refused == Rejection("compiles", "no kernel (on small)")


@pytest.mark.parametrize(("again_ms", "lost"), [(3.9, False), (4.1, True)])
def test_who_misses_any_limit_the_second_time_is_no_finalist(
    tmp_path: Path, photos: Path, again_ms: float, lost: bool
) -> None:
    here = both(tmp_path, photos, small=small_rig(2.0, again_ms))
    found = probe(screen(small_candidate(), here), here)
    found = settle(found, here)
    assert (found.rejected is not None) is lost
    assert [c.name for c in choose_finalists(here, [found])] == ([] if lost else [found.name])


def violations(found: Candidate, quality: float | None = None) -> dict[str, float]:
    """What the sampler is told of a proposal."""
    from optuna.storages import InMemoryStorage

    from search_spaces.super_resolution import SuperResolutionSpace

    study = Study(InMemoryStorage(), name="two", seed=0, metric=PSNR)
    proposed = study.next(SuperResolutionSpace())
    assert proposed is not None
    study.tell(replace(found, name=proposed.name), quality=quality)
    (trial,) = study._study.trials
    return dict(trial.constraints)


def test_the_sampler_is_told_one_violation_for_each_target(tmp_path: Path, photos: Path) -> None:
    fast = screen(small_candidate(), both(tmp_path, photos, small=small_rig(3.0)))
    assert violations(fast, 30.0) == {"latency_ms@main": -0.5, "latency_ms@small": -0.25}
    slow = screen(small_candidate(), both(tmp_path, photos, small=small_rig(6.0)))
    assert violations(slow) == {"latency_ms@small": 0.5}
    alone = screen(small_candidate(), toy_experiment(tmp_path, photos))
    assert violations(alone, 30.0) == {"latency_ms": -1.0}


@pytest.fixture(scope="module")
def quantized(
    tmp_path_factory: pytest.TempPathFactory, photos: Path
) -> tuple[Candidate, Experiment]:
    here = both(tmp_path_factory.mktemp("study"), photos)
    return quantize(train(probe(screen(small_candidate(), here), here), here), here), here


def test_a_bundle_has_a_section_and_the_files_of_each_target(
    quantized: Any, tmp_path: Path
) -> None:
    candidate, here = quantized[0], replace(quantized[1], folder=tmp_path)
    exported = export(candidate, here)
    bundle = tmp_path / exported[EXPORTED].folder
    assert {p.name for p in bundle.glob("*.onnx")} == {
        "fp32.onnx", "int8.onnx", "small-fp32.onnx"
    }
    latency = json.loads((bundle / "latency.json").read_text())
    assert latency["int8"] == latency["targets"][MAIN]["int8"]
    small = latency["targets"]["small"]
    assert (small["limit_ms"], small["file"]) == (4.0, "small-fp32.onnx")
    assert small["fp32"]["median_ms"] == 2.0 and "int8" not in small
    parity = json.loads((bundle / "parity.json").read_text())
    assert parity["targets"]["small"]["max_abs_error"]["fp32"] < 1e-5
    assert Candidate.from_json(json.loads((bundle / "case.json").read_text())) == exported
    assert "small-fp32.onnx" in json.loads((bundle / "manifest.json").read_text())
    assert resolve(str(bundle)).own.precision == "int8"


def test_a_file_that_is_there_already_ships_once(quantized: Any, tmp_path: Path) -> None:
    candidate, here = quantized[0], replace(quantized[1], folder=tmp_path)
    same = replace(here.target, precision="fp32")
    twin = replace(here.main, name="small", target=same)
    exported = export(candidate, replace(here, rigs={**here.rigs, "small": twin}))
    bundle = tmp_path / exported[EXPORTED].folder
    assert {p.name for p in bundle.glob("*.onnx")} == {"fp32.onnx", "int8.onnx"}
    assert exported[EXPORTED.on("small")].file == "fp32.onnx"


def test_a_file_that_misses_its_limit_on_one_target_is_no_winner_anywhere(
    quantized: Any, tmp_path: Path
) -> None:
    candidate, here = quantized[0], replace(quantized[1], folder=tmp_path)
    late = export(candidate, replace(here, rigs={**here.rigs, "small": small_rig(4.5)}))
    assert late.rejected is not None and not late.has(EXPORTED)
    assert late.rejected.reason == "the shipped file takes 4.5 ms, over the 4 on small"
    assert list(tmp_path.iterdir()) == []


def searched(here: Experiment) -> list[Candidate]:
    study = Study(
        here.folder / "study.journal", name="toy", seed=0, metric=here.task.metric,
        limit_ms=here.target.max_latency_ms, home=here.folder,
    )
    return run_study(here, study)


def test_a_search_that_is_interrupted_goes_on_as_if_it_had_not_been(
    tmp_path: Path, photos: Path
) -> None:
    def found(folder: Path, **changed: Any) -> list[Any]:
        folder.mkdir(exist_ok=True)
        candidates = searched(both(folder, photos, **changed))
        return [(c.name, c.architecture.id, list(c.evidence), c.latency_ms) for c in candidates]

    def die(event: Any) -> None:
        if isinstance(event, Finished) and not event.again and event.stage in (SETTLE, PROBE):
            raise KeyboardInterrupt

    broken = 0
    while True:
        try:
            found(tmp_path / "broken", listeners=(die,))
            break
        except KeyboardInterrupt:
            broken += 1
    assert broken > 4
    assert found(tmp_path / "broken") == found(tmp_path / "whole")


def test_where_no_network_keeps_every_limit_it_is_told_which_are_missed(
    tmp_path: Path, photos: Path
) -> None:
    with pytest.raises(NothingFastEnough, match=r"no network of 4 is within every limit \(4 over "
                       r"4 ms on small\): raise it, make that target's input smaller"):
        searched(both(tmp_path, photos, small=small_rig(9.0)))


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
        summary, funnel(study), study, [], plan=toy_plan(),
        circumstances=Circumstances(
            "today", elsewhere_again={"small": "nas bench {folder} --engine onnxruntime"}
        ),
    )
    assert "and that onnxruntime runs in fp32 on a 320x180 image within 20.0 ms" in page
    assert '<th class="n">main</th><th class="n">small</th>' in page
    assert "<dt>on small</dt>" in page and "small-fp32.onnx, at most 1e-06 from torch" in page
    assert "small-fp32.onnx --engine onnxruntime" in page


def toy_plan() -> Any:
    from finished_studies import PLAN

    return PLAN


def test_a_stage_that_timed_tells_every_target() -> None:
    made = on_both(winner(1, 20.0, 32.0), 8.0)
    from nas.stages import STAGES

    lines = [told(made, stage, Target(max_latency_ms=50.0), PSNR) for stage in STAGES]
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


@pytest.mark.slow
def test_every_winner_of_a_real_search_keeps_both_limits_and_the_report_shows_both(
    tmp_path: Path,
) -> None:
    asked = [
        "search", *TOY, "study.candidates=4", "study.finalists=2", "study.references=[]",
        "target.engine=openvino", "target.max_latency_ms=60", "target@targets.small=cpu",
        "targets.small.engine=onnxruntime", "targets.small.precision=fp32",
        "targets.small.height=24", "targets.small.width=32", "targets.small.max_latency_ms=30",
    ]
    code, output, errors = nas(*asked, folder=tmp_path)
    assert code == 0, errors
    study = tmp_path / "runs" / "toy"
    winners = [case for case in cases(study).values() if "exported" in case["evidence"]]
    assert winners
    for case in winners:
        main, small = (case["evidence"][key]["shipped"] for key in ("exported", "exported@small"))
        assert main["median_ms"] <= 60 and small["median_ms"] <= 30
        assert (main["engine"], main["precision"]) == ("openvino", "int8")
        assert (small["engine"], small["precision"]) == ("onnxruntime", "fp32")
        assert small["input_shape"] == [1, 3, 24, 32]
    page = (study / "report.html").read_text()
    assert "small: onnxruntime fp32, 32x24 in, at most 30.0 ms" in page
    assert "on small" in output + page and "at most 30.0 ms" in output
    before = cases(study)
    assert nas(*asked, folder=tmp_path)[0] == 0
    assert cases(study) == before


def test_the_end_of_a_search_for_two_targets_names_both(tmp_path: Path, photos: Path) -> None:
    here = both(tmp_path, photos)
    outcome = conclude(here, searched(here))
    assert list(outcome.summary.further) == ["small"]  # type: ignore[union-attr]
    page = outcome.report.read_text()
    assert "small: onnxruntime fp32, 24x16 in, at most 4.00 ms" in page
    assert re.search(r"nas bench \S+/small-fp32\.onnx --engine onnxruntime", page)

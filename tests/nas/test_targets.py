"""Several targets: every winner keeps the limits of all, and each receipt says of which."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from finished_studies import PSNR, probed
from real_search import TOY, cases, nas
from toy_search import ScriptedLatency, small_candidate, toy_experiment, write_photos
from two_targets import both, small_rig

from latency_models.base import CompileError
from nas.bundle import export
from nas.candidate import PUBLISHED, Candidate, Rejection
from nas.events import Finished
from nas.evidence import EXPORTED, MAIN, SCREENED, SETTLED
from nas.experiment import Experiment
from nas.finalists import choose_finalists
from nas.ledger import Ledger
from nas.networks import resolve
from nas.pipeline import NothingFastEnough, run_study
from nas.report.results import conclude
from nas.stages.probe import PROBE, probe
from nas.stages.quantize import quantize
from nas.stages.screen import screen
from nas.stages.settle import SETTLE, settle
from nas.stages.train import train
from nas.study import Study
from nas.verify import verify
from nas.winners import front
from search_spaces.references import reference


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


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
    case["evidence"]["varnished@small"] = {}
    with pytest.raises(ValueError, match="evidence 'varnished@small': known are screened, "):
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
    checks = {check.what.split(" on ")[0]: check for check in verify(bundle)}
    assert {"fp32", "int8", "small-fp32"} <= set(checks)
    assert all(check.passed for check in checks.values())
    assert "file on small" in (bundle / "README.md").read_text()


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

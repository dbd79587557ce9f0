"""One whole search through the real command, at toy size, and the same one again."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
from finished_studies import PSNR
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from real_search import TOY, bash, cases, evidence, nas
from toy_search import write_photos

from latency_models.engines.ov import OpenVINOEngine
from latency_models.measured import MeasuredLatency
from nas.candidate import Candidate
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED
from nas.gates import BOUNDS
from nas.networks import rules_for
from nas.receipts import SCREENING
from nas.study import Study
from search_spaces.base import Architecture
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.untrained import untrained

pytestmark = pytest.mark.slow
CANDIDATES = 6
BUNDLE = {
    "fp32.onnx", "int8.onnx", "architecture.json", "latency.json", "parity.json", "case.json",
}


def wide_apart(space: SuperResolutionSpace) -> list[str]:
    """Settings of a space whose first proposals are small, but for two that are huge.

    A hundred times the arithmetic lies between the two kinds, so that a busy machine cannot take
    one for the other.
    """
    starts = [dict(start) for start in space.start]
    huge = {**starts[0], "stem_width_full": 256, "width_1_full": 256}
    starts = [starts[0], huge, *starts[1:4], {**huge, "repeat_1": 2}]
    assert len(starts) == CANDIDATES
    said = ",".join(
        "{" + ",".join(f"{key}:{value}" for key, value in start.items()) + "}" for start in starts
    )
    return [f"search_space.start=[{said}]", "search_space.widths=[8,16,24,256]"]


def limit_between(settings: list[str], folder: Path) -> float:
    """A limit in ms that the small ones of the first proposals meet here, and the huge do not."""
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config", overrides=[*TOY, *settings])
        space = instantiate(config.search_space, _convert_="all")
    study = Study(folder / "study.journal", name="toy", seed=0, metric=PSNR)
    study.start_from(space)
    latency, times = MeasuredLatency(OpenVINOEngine(), SCREENING), []
    for _ in range(CANDIDATES):
        graph = lower(study.next(space).architecture)
        study._study.tell(study._study.get_trials()[len(times)].number, [30.0, 1.0])
        file = untrained(
            graph, precision="int8", height=48, width=64, rules=rules_for("openvino")
        )
        times.append(latency.measure(file, "int8").median_ms)
    *_, small, huge, _ = sorted(times)
    return (small * huge) ** 0.5


@dataclass(frozen=True)
class Ended:
    """A search that has ended: how, and where."""

    arguments: list[str]
    folder: Path
    study: Path
    code: int
    output: str
    errors: str
    limit_ms: float


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("search")
    with initialize_config_module("conf", version_base="1.3"):
        space = instantiate(compose("config").search_space, _convert_="all")
    settings = wide_apart(space)
    limit_ms = limit_between(settings, folder / "limit")
    arguments = [
        "search", *TOY, *settings, f"task.data.train={write_photos(folder / 'photos')}",
        f"study.candidates={CANDIDATES}", "study.finalists=2", "study.references=[ecbsr_m4c16]",
        f"target.max_latency_ms={limit_ms:.4f}",
    ]
    code, output, errors = nas(*arguments, folder=folder)
    return Ended(arguments, folder, folder / "runs" / "toy", code, output, errors, limit_ms)


def test_it_ends_well_and_says_nothing_on_the_error_stream(ended: Ended) -> None:
    assert (ended.code, ended.errors) == (0, "")


def test_everything_was_timed_and_only_fast_networks_were_trained(ended: Ended) -> None:
    found = {name: Candidate.from_json(case) for name, case in cases(ended.study).items()}
    proposed = [c for c in found.values() if c.is_proposal]
    assert len(proposed) == CANDIDATES
    rejected = [c for c in proposed if c.rejected]
    assert len(rejected) == 2
    for candidate in rejected:
        assert candidate.has(SCREENED)
        assert candidate[SCREENED].median_ms > ended.limit_ms * 0.999
        assert not candidate.has(PROBED)
    assert all(c.has(PROBED) for c in proposed if not c.rejected)
    assert 1 <= sum(c.has(QUANTIZED) for c in proposed) <= 2
    assert found["ecbsr_m4c16"].has(QUANTIZED)
    assert not found["ecbsr_m4c16"].has(EXPORTED)


def test_the_winners_bundles_are_complete_and_agree_with_each_other(ended: Ended) -> None:
    bundles = [path for path in (ended.study / "winners").iterdir() if path.is_dir()]
    assert bundles
    for bundle in bundles:
        assert {path.name for path in bundle.iterdir()} >= BUNDLE
        case = Candidate.from_json(json.loads((bundle / "case.json").read_text()))
        said = json.loads((bundle / "architecture.json").read_text())
        assert Architecture.from_json(said) == case.architecture
        assert case.architecture.id == bundle.name
        assert case.has(EXPORTED)
        assert case[EXPORTED].shipped.median_ms <= ended.limit_ms
        # One value may round to the next level; were more than arithmetic apart, the mean tells.
        assert case[EXPORTED].max_abs_error["fp32"] <= BOUNDS["fp32"].largest
        assert case[EXPORTED].mean_abs_error["fp32"] < 1e-5
        for precision in ("fp32", "int8"):
            model = onnx.load(bundle / f"{precision}.onnx")
            onnx.checker.check_model(model, full_check=True)
            shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
            assert shape == [1, 48, 64, 3]


def test_a_winner_is_in_the_report_and_on_the_terminal(ended: Ended) -> None:
    report = (ended.study / "report.html").read_text()
    for bundle in (ended.study / "winners").iterdir():
        assert bundle.name in report
        assert bundle.name in ended.output


def test_the_reports_line_times_a_bundle_again_where_the_search_ran(ended: Ended) -> None:
    report = (ended.study / "report.html").read_text()
    lines = re.findall(r"<pre><code>(.*? bench .*?)</code></pre>", report)
    assert len(lines) == len(list((ended.study / "winners").iterdir()))
    code, output, errors = bash(html.unescape(lines[0]), folder=ended.folder)
    assert code == 0, errors
    assert "the file that ships" in output or "int8.onnx" in output


def test_nothing_but_the_study_is_left_where_it_was_called(ended: Ended) -> None:
    assert {path.name for path in ended.folder.iterdir()} == {"limit", "photos", "runs"}


def test_nothing_but_evidence_curves_and_weights_is_left(ended: Ended) -> None:
    names = {path.name for path in ended.study.glob("candidates/*/*")}
    assert names == {"case.json", "curve.jsonl", "fp32.npz", "int8.npz"}


def test_the_same_command_again_repeats_nothing(ended: Ended) -> None:
    def times() -> dict[Path, int]:
        kept = [*ended.study.glob("candidates/*/*"), *ended.study.glob("winners/*/*")]
        return {path: path.stat().st_mtime_ns for path in kept}

    before, said = times(), evidence(ended.study)
    proposed = (ended.study / "study.journal").read_text().count('"op_code":4')
    code, _, errors = nas(*ended.arguments, folder=ended.folder)
    assert (code, errors) == (0, "")
    assert times() == before
    assert evidence(ended.study) == said
    # Optuna logs that the study was opened; no trial may be among what it adds.
    assert (ended.study / "study.journal").read_text().count('"op_code":4') == proposed


def test_other_settings_for_a_begun_study_are_refused_by_name(ended: Ended) -> None:
    code, _, errors = nas(*ended.arguments, "budget.max_steps=13", folder=ended.folder)
    assert code == 2
    assert errors.startswith("nas: ")
    assert errors.count("\n") == 1
    assert "budget.max_steps was 12, now 13" in errors

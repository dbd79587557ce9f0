"""The case file: what it says, and that it survives JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from finished_studies import (
    broken,
    finished_study,
    network,
    on_pictures,
    probed,
    proposal,
    published,
    receipt,
    too_slow,
    trained,
    winner,
)

from nas.candidate import GIVEN, PUBLISHED, Candidate, Origin, Rejection
from nas.evidence import PROBED, SCREENED
from search_spaces.base import InvalidArchitecture
from trainers.base import QuantReport

FIRST_FORMAT = """{
 "name": "trial-00012",
 "architecture": {
  "skeleton": "upscaler", "in_channels": 3, "out_channels": 3, "scale": 2,
  "blocks": [{"op": "conv", "channels": 8, "repeat": 1, "args": {"kernel": 3}}],
  "args": {"base": "bicubic", "centre": true}
 },
 "parameters": {"op_1": "conv", "width_1": 8},
 "screened": {
  "median_ms": 4.25, "p5_ms": 4.2, "p95_ms": 4.5, "p99_ms": 5.1, "ci_low_ms": 4.2,
  "ci_high_ms": 4.3, "samples": 120, "warmup_s": 0.5, "clock": "cpu", "wall_median_ms": 4.3,
  "cpu_median_ms": 4.25, "batch_size": 1, "input_shape": [1, 3, 24, 32], "precision": "int8",
  "engine": "openvino", "engine_version": "2025.3", "device": "Some Processor", "threads": 1,
  "build_s": 0.05, "peak_memory_mib": 61.0, "engine_bytes": 20000, "layers_before": 14,
  "layers_after": 9, "onnx_sha256": "5f5f", "drift": 0.01, "verdict": "ok",
  "conditions": {"load_1min": 0.4, "rounds": 120}
 },
 "probed": {
  "metric": 31.5, "metric_name": "psnr_y", "steps": 120, "train_s": 6.0, "stopped": null,
  "device": "cpu fp32", "scores": [31.0, 32.0], "weights_sha256": ""
 },
 "settled": null,
 "trained": null,
 "quantized": null,
 "exported": null,
 "rejected": {
  "constraint": "latency_ms", "reason": "too slow", "value": 61.0, "limit": 50.0
 },
 "outlook": null,
 "origin": "random"
}"""

def written_and_read(candidate: Candidate) -> Candidate:
    return Candidate.from_json(json.loads(json.dumps(candidate.to_json())))


@pytest.mark.parametrize("candidate", finished_study(), ids=lambda c: c.name)
def test_a_candidate_comes_back_from_json_with_all_its_reports(candidate: Candidate) -> None:
    assert written_and_read(candidate) == candidate


def test_the_samplers_choices_come_back() -> None:
    choices = {"op_1": "conv", "repeat_1": 3, "skip": True}
    candidate = Candidate("trial-00001", Origin("proposed"), network(), choices)
    assert written_and_read(candidate).parameters == choices


@pytest.mark.parametrize(
    "origin", [Origin("proposed", "mutation of trial-00001"), PUBLISHED, GIVEN]
)
def test_where_a_candidate_comes_from_is_kept(origin: Origin) -> None:
    assert written_and_read(Candidate("net", origin, network())).origin == origin


def test_a_case_file_of_the_first_format_is_read() -> None:
    candidate = Candidate.from_json(json.loads(FIRST_FORMAT))
    assert (candidate.name, candidate.origin) == ("trial-00012", Origin("proposed", "random"))
    assert candidate.parameters == {"op_1": "conv", "width_1": 8}
    assert list(candidate.evidence) == ["screened", "probed"]
    assert candidate[SCREENED].median_ms == 4.25
    assert candidate[SCREENED].input_shape == (1, 3, 24, 32)
    assert (candidate[PROBED].metric, candidate[PROBED].scores) == (31.5, (31.0, 32.0))
    assert candidate.rejected == Rejection("latency_ms", "too slow", 61.0, 50.0)
    assert written_and_read(candidate) == candidate


def test_the_first_format_told_proposals_from_published_networks_by_their_names() -> None:
    bare = {"parameters": {}, "architecture": network().to_json()}
    assert Candidate.from_json({"name": "espcn", **bare}) == Candidate(
        "espcn", PUBLISHED, network()
    )
    assert Candidate.from_json({"name": "trial-3", **bare}).origin == Origin("proposed")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": 3}, "format 3: this version reads up to 2"),
        ({"evidence": {"varnished": {}}}, "'varnished': known are screened, probed"),
    ],
)
def test_what_a_case_file_holds_that_this_version_does_not_know_is_named(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Candidate.from_json({**winner(1, 14.0, 32.0).to_json(), **changed})


def test_a_case_file_that_lost_its_format_is_not_taken_for_an_older_one() -> None:
    data = winner(1, 14.0, 32.0).to_json()
    del data["format"]
    with pytest.raises(ValueError, match="it says no format"):
        Candidate.from_json(data)


def test_it_says_on_how_many_pictures_its_quality_is_founded() -> None:
    assert on_pictures(winner(1, 14.0, 32.0), 8).pictures == 8
    assert (winner(1, 14.0, 32.0).pictures, proposal(3).pictures) == (0, 0)


def test_a_damaged_architecture_in_a_case_file_is_named() -> None:
    data = {**winner(1, 14.0, 32.0).to_json(), "architecture": {"skeleton": "upscaler"}}
    with pytest.raises(InvalidArchitecture):
        Candidate.from_json(data)


def test_proposals_and_published_networks_are_told_apart() -> None:
    assert proposal(3).is_proposal
    assert not published("espcn", 60.0, 32.0).is_proposal


def test_the_latency_is_that_of_the_shipped_file_once_there_is_one() -> None:
    shipped = winner(1, 14.2, 32.4)
    assert shipped.has(SCREENED)
    assert shipped[SCREENED].median_ms != 14.2
    assert shipped.latency_ms == 14.2
    assert probed(1, 17.0, 31.0).latency_ms == 17.0


def test_a_candidate_that_was_not_timed_has_no_latency() -> None:
    with pytest.raises(ValueError, match="trial-60 has not been timed"):
        assert broken(60).latency_ms


def test_the_quality_is_that_of_the_latest_report() -> None:
    candidate = proposal(1, screened=receipt(10.0))
    assert candidate.quality is None
    assert proposal(1, probed=trained(31.0)).quality == 31.0
    assert proposal(1, probed=trained(31.0), trained=trained(32.5)).quality == 32.5
    report = QuantReport(32.3, 0.2, "int8", 200, 10.0)
    assert proposal(1, trained=trained(32.5), quantized=report).quality == 32.3


def test_a_violation_is_relative_to_the_limit() -> None:
    rejection = too_slow(1, 60.0).rejected
    assert rejection is not None
    assert rejection.violation == pytest.approx(0.2)


@pytest.mark.parametrize("value", [None, 60.0])
def test_what_cannot_be_measured_violates_by_a_whole(value: float | None) -> None:
    assert Rejection("compiles", "no kernel", value).violation == 1.0

"""The case file: what it says, and that it survives JSON."""

from __future__ import annotations

import json

import pytest
from finished_studies import (
    broken,
    finished_study,
    network,
    probed,
    proposal,
    published,
    receipt,
    too_slow,
    trained,
    winner,
)

from nas.candidate import Candidate, Rejection
from search_spaces.base import InvalidArchitecture
from trainers.base import QuantReport


@pytest.mark.parametrize("candidate", finished_study(), ids=lambda c: c.name)
def test_a_candidate_comes_back_from_json_with_all_its_reports(candidate: Candidate) -> None:
    assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate


def test_the_samplers_choices_come_back() -> None:
    choices = {"op_1": "conv", "repeat_1": 3, "skip": True}
    candidate = Candidate("trial-00001", network(), choices)
    assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))).parameters == choices


def test_reports_that_are_not_there_may_be_missing_from_the_file() -> None:
    data = {"name": "espcn", "parameters": {}, "architecture": network().to_json()}
    assert Candidate.from_json(data) == Candidate("espcn", network())


def test_where_a_candidate_comes_from_is_kept_and_unknown_in_old_files() -> None:
    candidate = Candidate("trial-00001", network(), origin="mutation of trial-00000")
    data = candidate.to_json()
    assert Candidate.from_json(data) == candidate
    del data["origin"]
    assert Candidate.from_json(data).origin == ""


def test_a_damaged_architecture_in_a_case_file_is_named() -> None:
    data = {**winner(1, 14.0, 32.0).to_json(), "architecture": {"skeleton": "upscaler"}}
    with pytest.raises(InvalidArchitecture):
        Candidate.from_json(data)


def test_proposals_and_published_networks_are_told_apart_by_name() -> None:
    assert not proposal(3).is_reference
    assert published("espcn", 60.0, 32.0).is_reference


def test_the_latency_is_that_of_the_shipped_file_once_there_is_one() -> None:
    shipped = winner(1, 14.2, 32.4)
    assert shipped.screened is not None
    assert shipped.screened.median_ms != 14.2
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

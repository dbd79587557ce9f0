"""The check and a real TensorRT on one small file per rule."""

from __future__ import annotations

import onnx
import pytest
import real_tensorrt
from tensorrt_files import LIBRARY, Small
from tensorrt_refused import REFUSED
from tensorrt_taken import KEPT, TAKEN

from latency_models.trt_compatibility import check
from latency_models.trt_operators import OPERATORS

SMALL = (*REFUSED, *TAKEN, *KEPT)
ALL_OPERATORS = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}


def rules(small: Small, level: str) -> set[str]:
    return {finding.rule for finding in check(small.file()) if finding.level == level}


@pytest.mark.parametrize("small", REFUSED, ids=lambda small: small.name)
def test_what_tensorrt_refuses_is_an_error(small: Small) -> None:
    assert small.refused and rules(small, "error") == set(small.rules) != set()


@pytest.mark.parametrize("small", TAKEN, ids=lambda small: small.name)
def test_what_tensorrt_takes_is_at_most_advised_against(small: Small) -> None:
    assert not small.refused and rules(small, "error") == set()
    assert set(small.advice) <= rules(small, "advice")


@pytest.mark.parametrize("small", KEPT, ids=lambda small: small.name)
def test_what_tensorrt_builds_into_another_network_is_an_error(small: Small) -> None:
    assert not small.refused and rules(small, "error") == set(small.rules) != set()


def test_each_file_has_a_name_of_its_own() -> None:
    assert len({small.name for small in SMALL}) == len(SMALL)


@pytest.mark.slow
def test_a_real_tensorrt_says_what_is_recorded() -> None:
    told = real_tensorrt.answers([small.file() for small in SMALL], version=LIBRARY)
    wrong = {
        small.name: answer or "built"
        for small, answer in zip(SMALL, told, strict=True)
        if bool(answer) != bool(small.refused) or small.refused not in answer
    }
    assert not wrong


def test_the_table_has_the_operators_that_a_real_tensorrt_knows() -> None:
    known = real_tensorrt.operators(LIBRARY)
    if missing := set(OPERATORS) - ALL_OPERATORS:
        pytest.skip(f"this onnx is too old to know {sorted(missing)}")
    assert set(OPERATORS) == known

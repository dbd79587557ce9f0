"""Every file that is written for TensorRT breaks none of its documented rules."""

from __future__ import annotations

import pytest
from drawn import draw
from networks import HEIGHT, NETWORKS, WIDTH

from latency_models.trt_compatibility import Finding, check
from search_spaces.graph import Graph
from search_spaces.quantize import TENSORRT_RULES
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained

RANDOM = 50


def written(graph: Graph, precision: str) -> bytes:
    return untrained(
        graph, precision=precision, height=HEIGHT, width=WIDTH, rules=TENSORRT_RULES
    )


def errors(graph: Graph, precision: str) -> list[Finding]:
    return [f for f in check(written(graph, precision)) if f.level == "error"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_everything_that_is_registered_breaks_no_rule(name: str, precision: str) -> None:
    assert errors(NETWORKS[name], precision) == []


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_random_architectures_break_no_rule(precision: str) -> None:
    found = {seed: errors(lower(draw(seed)), precision) for seed in range(RANDOM)}
    assert {seed: findings for seed, findings in found.items() if findings} == {}

"""A PReLU can be written as arithmetic, which computes the same values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from search_spaces.onnx_writer import write
from search_spaces.quantize import (
    CPU_RULES,
    ONNXRUNTIME_RULES,
    TENSORRT_RULES,
    PReLUForm,
    QuantRules,
)
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.weights import random_weights

GRAPH = lower(reference("ecbsr_m4c16", 2))
SIZE = {"height": 24, "width": 20}


def with_slopes(low: float, high: float) -> dict[str, NDArray[np.float32]]:
    dice = np.random.default_rng(1)
    weights = dict(random_weights(GRAPH, seed=2))
    for name, value in weights.items():
        if name.endswith(".slope"):
            weights[name] = dice.uniform(low, high, value.shape).astype(np.float32)
    return weights


def written(weights: Mapping[str, NDArray[np.float32]], form: PReLUForm, kind: Any) -> bytes:
    return write(GRAPH, weights, float_type=kind, prelu=form, **SIZE)


def kinds(file: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(file).graph.node]


def outputs(file: bytes) -> NDArray[np.float32]:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(3).normal(size=(1, 3, 24, 20)).astype(np.float32)
    found: NDArray[np.float32] = session.run(None, {"input": picture})[0]
    return found


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (-0.5, 1.0), (0.5, 1.6)])
@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_both_forms_compute_the_same_numbers(low: float, high: float, kind: str) -> None:
    weights = with_slopes(low, high)
    one, other = (written(weights, form, kind) for form in ("operator", "arithmetic"))
    assert "PRelu" in kinds(one) and "PRelu" not in kinds(other)
    assert np.array_equal(outputs(one), outputs(other))


def test_slopes_of_at_most_one_need_two_operators_and_larger_ones_five() -> None:
    assert {"Max"} <= set(kinds(written(with_slopes(0.1, 1.0), "arithmetic", "fp32")))
    large = set(kinds(written(with_slopes(1.1, 1.6), "arithmetic", "fp32")))
    assert "Max" not in large and {"Relu", "Neg", "Sub"} <= large


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_rules_of_an_engine_choose_the_form(precision: str) -> None:
    def file(rules: QuantRules) -> list[str]:
        return kinds(untrained(GRAPH, precision=precision, rules=rules, **SIZE))

    assert "PRelu" in file(TENSORRT_RULES) and "PRelu" in file(CPU_RULES)
    assert "PRelu" not in file(ONNXRUNTIME_RULES)
    assert "PRelu" not in file(replace(TENSORRT_RULES, prelu="arithmetic"))

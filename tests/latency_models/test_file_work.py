"""The file's own count agrees with the count of the graph it was written from."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from latency_models.file_work import work_of_file
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.work import work_of
from tests.idle_macs import idle_macs
from tests.latency_models.small_nets import finished


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_multiply_adds_are_those_of_the_graph(name: str, precision: str) -> None:
    graph = lower(reference(name, REFERENCES[name].nearest_scale(2)))
    file = untrained(graph, precision=precision, height=32, width=64, batch=2)
    macs = sum(work.macs for work in work_of(graph, 32, 64))
    assert work_of_file(file).macs == 2 * (macs + idle_macs(graph, 32, 64))


def test_half_precision_moves_about_half_the_bytes() -> None:
    graph = lower(reference("ecbsr_m4c16", 2))
    single, half = (
        work_of_file(untrained(graph, precision=p, height=32, width=32)).bytes_moved
        for p in ("fp32", "fp16")
    )
    assert half / single == pytest.approx(0.5, abs=0.05)


def test_a_matrix_product_is_counted() -> None:
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    file = finished([node], {"w": np.ones((6, 2), np.float32)}, "y", [5, 6], [5, 2])
    assert work_of_file(file).macs == 5 * 6 * 2


def test_what_cannot_be_counted_is_named() -> None:
    strange = onnx.helper.make_node("Strange", ["x"], ["y"], "odd one", domain="elsewhere")
    relu = onnx.helper.make_node("Relu", ["y"], ["z"])
    model = onnx.load_model_from_string(finished([strange, relu], {}, "z", [1, 4], [1, 4]))
    model.opset_import.append(onnx.helper.make_opsetid("elsewhere", 1))
    assert work_of_file(model.SerializeToString()).uncounted == ("odd one",)

"""Every documented form of the inspector's output is read, and a wrong precision is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latency_models.base import CompileError
from latency_models.engines.trt_inspect import as_layers, read_layers, require_built_precision


def layer(name: str, kind: str = "CaskConvolution", **tensor: str) -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Inputs": [tensor], "Outputs": [tensor]}


def report(*layers: Any) -> str:
    return json.dumps({"Layers": list(layers), "Bindings": ["x", "y"]})


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        ({"Format/Datatype": "Row major linear FP32"}, "fp32"),
        ({"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}, "fp16"),
        ({"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}, "int8"),
        ({"Format": "Row major linear", "DataType": "Half"}, "fp16"),
        ({"Format": "Row major linear", "Datatype": "Float"}, "fp32"),
        ({"Format": "HWC16", "Datatype": "Int8"}, "int8"),
        ({"Format": "Row major linear", "DataType": "BFloat16"}, "bf16"),
        ({}, "unknown"),
    ],
)
def test_types_are_read_in_the_words_of_both_majors(tensor: Any, expected: str) -> None:
    assert read_layers(report(layer("conv", **tensor)))[0].precision == expected


def test_layers_without_details_are_names() -> None:
    (found,) = read_layers(report("conv0 + relu0"))
    assert (found.name, found.precision) == ("conv0 + relu0", "unknown")
    assert found.original_nodes == ("conv0", "relu0")


def test_fused_nodes_come_from_the_metadata() -> None:
    entry = layer("__myl_Conv_0") | {"Metadata": "[ONNX Layer: conv0]\x1e[ONNX Layer: relu0]"}
    assert read_layers(report(entry))[0].original_nodes == ("conv0", "relu0")


def test_times_are_joined_by_name() -> None:
    found = as_layers(read_layers(report(layer("a"), layer("b"))), {"b": 0.25})
    assert [(each.name, each.ms) for each in found] == [("a", None), ("b", 0.25)]


HALF, INT8, SINGLE = ({"Datatype": kind} for kind in ("Half", "Int8", "Float"))
CONVS = [("conv0", "int8"), ("conv1", "fp16")]


def test_convolutions_as_written_pass() -> None:
    found = read_layers(report(layer("conv0 + relu0", **INT8), layer("conv1", **HALF)))
    require_built_precision(found, "int8", CONVS)


def test_a_quantized_convolution_that_runs_in_half_is_named() -> None:
    found = read_layers(report(layer("conv0 + relu0", **HALF), layer("conv1", **HALF)))
    with pytest.raises(CompileError, match="'conv0' runs in fp16 instead of int8"):
        require_built_precision(found, "int8", CONVS)


def test_an_fp16_file_that_was_built_in_fp32_is_refused() -> None:
    found = read_layers(report(layer("conv0", **SINGLE)))
    with pytest.raises(CompileError, match="fp32 instead of fp16"):
        require_built_precision(found, "fp16", [("conv0", "fp16")])


def test_the_convolution_counts_and_not_its_reformat() -> None:
    reformat = layer("conv0", "Reformat", Datatype="Float")
    found = read_layers(report(layer("conv0", **INT8), reformat))
    require_built_precision(found, "int8", [("conv0", "int8")])


def test_kernels_that_name_no_node_are_counted_by_type() -> None:
    found = read_layers(report(layer("kernel_1", **INT8), layer("kernel_2", **HALF)))
    require_built_precision(found, "int8", CONVS)
    with pytest.raises(CompileError, match="int8: 0 of 1"):
        require_built_precision(found[1:], "int8", CONVS)


def test_a_plan_without_details_proves_nothing() -> None:
    with pytest.raises(CompileError, match="unknown"):
        require_built_precision(read_layers(report("conv0")), "fp16", [("conv0", "fp16")])

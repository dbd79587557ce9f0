"""A Graph as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import pytest
from drawn import draw
from onnx import TensorProto, numpy_helper

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture
from search_spaces.graph import Graph
from search_spaces.onnx_writer import IR_VERSION, OPSET, write
from search_spaces.primitives import (
    Concat,
    Conv,
    Flatten,
    GlobalAveragePool,
    Input,
    Primitive,
)
from search_spaces.quantize import (
    CPU_RULES,
    TENSORRT_RULES,
    QuantRules,
    nominal_scales,
    place,
)
from search_spaces.references import reference
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from search_spaces.weights import random_weights

MIXED = lower(
    Architecture(
        "upscaler", one_to_one(3, 3, 2),
        (BlockSpec.of("conv", 16, activation="prelu"), BlockSpec.of("separable", 16, 2)),
        (("base", "bicubic"), ("centre", True), ("reduction", "strided"), ("skip", True)),
    )
)


def parsed(file: bytes) -> Any:
    model = onnx.load_model_from_string(file)
    onnx.checker.check_model(model, full_check=True)
    return model


def constants(file: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in parsed(file).graph.initializer}


def int8_file(rules: QuantRules, graph: Graph = MIXED) -> bytes:
    return untrained(graph, precision="int8", height=16, width=24, rules=rules)


def shape(value: Any) -> list[int]:
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def test_a_file_has_one_static_input_and_output_of_floats() -> None:
    model = parsed(write(MIXED, random_weights(MIXED), height=16, width=24, batch=2))
    (source,), (result,) = model.graph.input, model.graph.output
    assert (source.name, shape(source)) == ("input", [2, 3, 16, 24])
    assert (result.name, shape(result)) == ("output", [2, 3, 32, 48])
    assert {v.type.tensor_type.elem_type for v in (source, result)} == {TensorProto.FLOAT}


def test_a_file_says_its_opset_and_who_wrote_it() -> None:
    model = parsed(write(MIXED, random_weights(MIXED), height=16, width=24))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert (model.ir_version, model.producer_name) == (IR_VERSION, "freeway-nas")


def test_the_same_network_gives_the_same_bytes() -> None:
    assert int8_file(CPU_RULES) == int8_file(CPU_RULES)


def test_every_node_has_a_name_of_its_own() -> None:
    names = [node.name for node in parsed(int8_file(CPU_RULES)).graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("rules", [CPU_RULES, TENSORRT_RULES])
def test_an_fp16_file_keeps_floats_at_its_interface_only(rules: QuantRules) -> None:
    model = parsed(untrained(MIXED, precision="fp16", height=16, width=24, rules=rules))
    values = [*model.graph.input, *model.graph.output]
    assert {v.type.tensor_type.elem_type for v in values} == {TensorProto.FLOAT}
    assert {t.data_type for t in model.graph.initializer} == {TensorProto.FLOAT16}
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    assert [casts[0].input[0], casts[-1].output[0], len(casts)] == ["input", "output", 2]


@pytest.mark.parametrize(
    ("rules", "types"),
    [
        (CPU_RULES, {TensorProto.FLOAT, TensorProto.UINT8}),
        (TENSORRT_RULES, {TensorProto.FLOAT16}),
    ],
)
def test_an_int8_file_stores_int8_weights_and_one_float_type(
    rules: QuantRules, types: set[int]
) -> None:
    placement = place(MIXED, rules)
    tensors = parsed(int8_file(rules)).graph.initializer
    weights = {t.name: t.data_type for t in tensors if ".weight" in t.name}
    for index in placement.layers:
        assert weights[f"n{index}.weight.int8"] == TensorProto.INT8
        assert f"n{index}.weight" not in weights
    assert {t.data_type for t in tensors} == {TensorProto.INT8} | types


def test_zero_points_are_zero() -> None:
    zeros = [value for name, value in constants(int8_file(CPU_RULES)).items() if "zero" in name]
    assert zeros
    assert not any(value.any() for value in zeros)


@pytest.mark.parametrize("top", [127, 64])
def test_no_int8_weight_is_beyond_what_the_engine_adds_exactly(top: int) -> None:
    values = constants(int8_file(replace(CPU_RULES, weight_max=top)))
    largest = [int(np.abs(v.astype(int)).max()) for k, v in values.items() if k.endswith(".int8")]
    assert set(largest) == {top}


def test_int8_weights_times_their_scale_are_the_weights_to_half_a_step() -> None:
    graph = lower(reference("fsrcnn", 2))
    weights = constants(untrained(graph, precision="fp32", height=16, width=24))
    values = constants(int8_file(CPU_RULES, graph))
    for index in place(graph).layers:
        stored = values[f"n{index}.weight.int8"].astype(np.float32)
        scale = values[f"n{index}.weight.scale"].reshape(-1, 1, 1, 1)
        error = np.abs(stored * scale - weights[f"n{index}.weight"]) / scale
        assert error.max() <= 0.5 + 1e-4


def test_a_tensor_is_quantized_once_however_many_read_it() -> None:
    model = parsed(int8_file(CPU_RULES))
    quantized = [n.input[0] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert len(quantized) == len(set(quantized)) == len(place(MIXED).tensors)


@pytest.mark.parametrize("rules", [CPU_RULES, TENSORRT_RULES])
def test_no_scale_is_zero_even_where_a_channel_of_weights_is(rules: QuantRules) -> None:
    graph = Graph((Input((), 4), Conv((0,), 4)))
    weights = random_weights(graph)
    weights["n1.weight"][2] = 0.0
    placement = place(graph, rules)
    quantized = (placement, nominal_scales(graph, placement, weights))
    file = write(
        graph, weights, height=4, width=4, quantized=quantized, float_type=rules.float_type
    )
    values = constants(file)
    assert (values["n1.weight.scale"] > 0).all()
    assert not values["n1.weight.int8"][2].any()


def test_random_weights_are_the_same_for_a_seed_and_leave_nothing_to_fold_away() -> None:
    one, same, other = (random_weights(MIXED, seed=s) for s in (0, 0, 1))
    assert all(np.array_equal(one[k], same[k]) for k in one)
    learned = [k for k in one if not np.array_equal(one[k], other[k])]
    fixed = {f"n{i}" for i, n in enumerate(MIXED.nodes) if isinstance(n, Conv) and n.fixed}
    assert {k.split(".")[0] for k in one if k not in learned} == fixed
    assert all(np.all(one[k] != 0) for k in learned)


def test_fixed_layers_keep_their_constants() -> None:
    one, other = (random_weights(MIXED, seed=s) for s in (0, 1))
    (index,) = (i for i, n in enumerate(MIXED.nodes) if isinstance(n, Conv) and n.fixed)
    assert np.array_equal(one[f"n{index}.weight"], other[f"n{index}.weight"])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_untrained_files_of_one_architecture_are_equal(precision: str) -> None:
    files = {untrained(lower(draw(3)), precision=precision, height=8, width=8) for _ in range(2)}
    assert len(files) == 1


def test_a_size_that_does_not_fit_is_refused_before_anything_is_written() -> None:
    with pytest.raises(InvalidArchitecture, match="does not divide by 2"):
        write(MIXED, random_weights(MIXED), height=15, width=24)


@pytest.mark.parametrize(
    ("rules", "zero_point", "kind"),
    [(CPU_RULES, 128, TensorProto.UINT8), (TENSORRT_RULES, 0, TensorProto.INT8)],
)
def test_joined_tensors_are_stored_as_the_engine_computes_them_rightly(
    rules: QuantRules, zero_point: int, kind: int
) -> None:
    graph = Graph(
        (Input((), 4), Conv((0,), 8), Conv((0,), 8), Concat((1, 2)), Conv((3,), 8), Conv((4,), 4))
    )
    zeros = {
        tensor.name: tensor
        for tensor in parsed(int8_file(rules, graph)).graph.initializer
        if tensor.name.endswith(".zero") and not tensor.name.startswith("n")
    }
    joined = {name: zeros.pop(name) for name in ("t1.zero", "t2.zero", "t3.zero")}
    assert {int(numpy_helper.to_array(t)) for t in joined.values()} == {zero_point}
    assert {t.data_type for t in joined.values()} == {kind}
    assert {int(numpy_helper.to_array(t)) for t in zeros.values()} == {0}


def test_a_primitive_without_an_onnx_reading_is_named() -> None:
    @dataclass(frozen=True)
    class Warp(Primitive):
        pass

    graph = Graph((Input((), 4), Warp((0,))))
    with pytest.raises(TypeError, match="Warp has no ONNX reading"):
        write(graph, {}, height=8, width=8)


def test_a_classifier_gives_one_number_per_class() -> None:
    graph = Graph(
        (Input((), 3), GlobalAveragePool((0,)), Conv((1,), 10, (1, 1)), Flatten((2,)))
    )
    model = parsed(write(graph, random_weights(graph), height=8, width=8, batch=2))
    assert shape(model.graph.output[0]) == [2, 10]

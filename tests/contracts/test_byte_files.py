"""A file that takes and gives bytes gives the levels of the file that takes numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from calibrated import OPENVINO_RULES, ORT_RULES, Image, calibrated, lively, pictures
from int8_runs import ENGINE, in_a_plain_session, in_engine, in_onnxruntime
from networks import HEIGHT, NETWORKS, WIDTH

from latency_models.base import graph_inputs, io_of
from latency_models.engines.file_facts import file_precision
from runtime.pictures import IO, entering, leaving
from search_spaces.fake_quantize import convert
from search_spaces.graph import Graph, shapes_of
from search_spaces.modules import weights_of
from search_spaces.onnx_writer import write
from search_spaces.quantize import QuantRules, place
from search_spaces.untrained import untrained

LAYOUTS: tuple[IO, ...] = ("uint8_nchw", "uint8_nhwc")
PICTURES = [
    name
    for name, graph in NETWORKS.items()
    if graph.pictures and len(shapes_of(graph, 64, 64)[graph.output]) > 1
]
ENDS = [n for n in PICTURES if n.startswith(("joined head", "skeleton", "reduction", "upscaler"))]
OF_A_HALF = 1e-3
"""Share of values that may lie so near the middle of two levels that another sum tells."""


def int8(graph: Graph, io: IO, rules: QuantRules = OPENVINO_RULES) -> bytes:
    weights, placement, scales = convert(calibrated(graph, rules=rules))
    return write(
        graph, weights, height=HEIGHT, width=WIDTH, quantized=(placement, scales),
        prelu=rules.prelu, io=io,
    )  # fmt: skip


def levels(values: Image) -> Image:
    return entering(values, "uint8_nchw").astype(np.float32)


def apart(one: Image, other: Image) -> tuple[float, float]:
    """The largest difference in levels, and the share of values that differ."""
    difference = np.abs(levels(one) - levels(other))
    return float(difference.max()), float((difference > 0).mean())


@pytest.mark.parametrize("io", LAYOUTS)
@pytest.mark.parametrize("name", PICTURES)
def test_without_any_optimization_the_levels_are_the_same(name: str, io: IO) -> None:
    graph = NETWORKS[name]
    if not place(graph, OPENVINO_RULES).layers:
        pytest.skip("nothing in it is quantized")
    image = pictures(1, of=graph).numpy()
    expected = in_onnxruntime(int8(graph, "float_nchw"), image)
    file = int8(graph, io)
    onnx.checker.check_model(onnx.load_model_from_string(file), full_check=True)
    made = leaving(in_onnxruntime(file, entering(image, io)), io)
    largest, share = apart(made, expected)
    # A level is 1/255 times itself in one file and itself over 255 in the other: what lies on a
    # half falls to either side, and deep networks of large random weights make more of it.
    deep = name.startswith("reference")
    assert largest <= (16 if deep else 1)
    assert share < (0.1 if deep else OF_A_HALF)


@pytest.mark.parametrize("name", ENDS)
def test_openvino_computes_a_file_of_bytes_as_it_is_written(name: str) -> None:
    graph, io = NETWORKS[name], "uint8_nhwc"
    image = pictures(1, of=graph).numpy()
    file, given = int8(graph, "uint8_nhwc"), entering(image, "uint8_nhwc")
    made, expected = (leaving(run(file, given), io) for run in (in_engine, in_onnxruntime))
    largest, share = apart(made, expected)
    # A feature on a half goes either way, and moves what is made of it.
    assert largest <= 2
    assert share < 10 * OF_A_HALF


@pytest.mark.parametrize("name", ENDS)
def test_onnxruntime_computes_its_own_files_of_bytes_as_they_are_written(name: str) -> None:
    graph, io = NETWORKS[name], "uint8_nhwc"
    image = pictures(1, of=graph).numpy()
    file, given = int8(graph, "uint8_nhwc", ORT_RULES), entering(image, "uint8_nhwc")
    runs = (in_a_plain_session, in_onnxruntime)
    largest, share = apart(*(leaving(run(file, given), io) for run in runs))
    assert largest <= 2
    assert share < 10 * OF_A_HALF


@pytest.mark.parametrize("float_type", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ENDS)
def test_a_float_file_of_bytes_gives_the_levels_of_the_module(name: str, float_type: str) -> None:
    graph = NETWORKS[name]
    rules = replace(OPENVINO_RULES, io="uint8_nhwc")
    weights = weights_of(lively(graph))
    file = write(
        graph, weights, height=HEIGHT, width=WIDTH, io=rules.io,
        float_type="fp32" if float_type == "fp32" else "fp16",
    )  # fmt: skip
    assert file_precision(onnx.load_model_from_string(file)) == float_type
    image = pictures(1, of=graph)
    with ENGINE.compile(file, "fp32" if float_type == "fp32" else "fp16") as compiled:
        made = leaving(compiled.run([entering(image.numpy(), rules.io)])[0], rules.io)
    expected = lively(graph)(image).detach().numpy()
    largest, share = apart(made, expected)
    assert largest <= (1 if float_type == "fp32" else 2)
    assert share < (OF_A_HALF if float_type == "fp32" else 0.1)


@pytest.mark.parametrize("io", ("float_nchw", *LAYOUTS))
def test_a_file_tells_how_it_takes_pictures(io: IO) -> None:
    graph = NETWORKS["joined head, none, bicubic"]
    file = untrained(
        graph, precision="int8", height=HEIGHT, width=WIDTH, rules=replace(OPENVINO_RULES, io=io)
    )
    model = onnx.load_model_from_string(file)
    assert [io_of(v) for v in (*graph_inputs(model), *model.graph.output)] == [io, io]


def test_only_pictures_are_bytes() -> None:
    file = untrained(
        NETWORKS["reference mobilenet_v2"], precision="fp32", height=64, width=64,
        rules=replace(OPENVINO_RULES, io="uint8_nhwc"),
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_outputs()[0].type == "tensor(float)"


@pytest.mark.parametrize("name", [name for name in ENDS if name.startswith("joined head")])
def test_a_trained_head_joins_tensors_of_one_scale_to_the_last_bit(name: str) -> None:
    """OpenVINO copies such tensors; of scales that differ by a bit it makes floats of both."""
    model = onnx.load_model_from_string(int8(NETWORKS[name], "uint8_nhwc"))
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    made_by = {node.output[0]: node for node in model.graph.node}
    (join,) = (node for node in model.graph.node if node.op_type == "Concat")
    sources = [made_by[tensor] for tensor in join.input]
    assert {node.op_type for node in sources} == {"DequantizeLinear"}
    scales, zeros = ({constants[n.input[k]].tobytes() for n in sources} for k in (1, 2))
    assert scales == {np.float32(1 / 255).tobytes()}
    assert len(zeros) == 1

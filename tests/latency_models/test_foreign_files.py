"""Files that others made: what is an input, what may be made up, and what counts as int8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from latency_models.base import (
    CompileError,
    Layer,
    first_input_shape,
    graph_inputs,
    in_float,
    input_values,
    require_outputs,
)
from latency_models.engines.file_facts import file_precision
from latency_models.engines.inductor import InductorEngine
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.engines.ov import OpenVINOEngine
from tests.latency_models.small_nets import finished

ENGINES = [OpenVINOEngine(), OnnxRuntimeEngine()]
KERNEL = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
IN, OUT = [1, 3, 16, 16], [1, 8, 16, 16]


def conv(source: str, result: str, *, kernel: str = "w") -> Any:
    return helper.make_node("Conv", [source, kernel], [result], "conv", pads=[1] * 4)


def weights_in_inputs() -> bytes:
    """As files of IR 3 are: the kernel is listed among the inputs, and first."""
    model = onnx.load_model_from_string(finished([conv("x", "y")], {"w": KERNEL}, "y", IN, OUT))
    listed = helper.make_tensor_value_info("w", TensorProto.FLOAT, KERNEL.shape)
    model.graph.input.insert(0, listed)
    model.ir_version = 3
    model.opset_import[0].version = 8
    return bytes(model.SerializeToString())


def sizes_are_asked_for() -> bytes:
    """A Resize whose sizes are an input."""
    resize = helper.make_node("Resize", ["c", "", "", "sizes"], ["y"])
    model = onnx.load_model_from_string(
        finished([conv("x", "c"), resize], {"w": KERNEL}, "y", IN, [1, 8, "a", "b"])
    )
    sizes = helper.make_tensor_value_info("sizes", TensorProto.INT64, [4])
    model.graph.input.append(sizes)
    return bytes(model.SerializeToString())


def nothing_comes_out() -> bytes:
    values = {"w": KERNEL, "from": np.array([5]), "to": np.array([5]), "axis": np.array([2])}
    cut = helper.make_node("Slice", ["c", "from", "to", "axis"], ["y"])
    return finished([conv("x", "c"), cut], values, "y", IN, [1, 8, 0, 16])


def _quantized() -> dict[str, np.ndarray]:
    return {
        "s": np.array(0.01, np.float32), "z": np.array(-7, np.int8),
        "q": np.clip(KERNEL / 0.03, -64, 64).astype(np.int8),
        "ws": np.array(0.03, np.float32), "wz": np.array(0, np.int8),
    }


def in_pairs() -> bytes:
    """Q/DQ pairs around a convolution, with a zero point that is neither 0 nor 128."""
    nodes = [helper.make_node("DequantizeLinear", ["q", "ws", "wz"], ["w"]),
             *_pair("x", "a"), conv("a", "b"), *_pair("b", "y")]
    return finished(nodes, _quantized(), "y", IN, OUT)


def _pair(source: str, result: str) -> Sequence[Any]:
    return [
        helper.make_node("QuantizeLinear", [source, "s", "z"], [f"{source}_q"]),
        helper.make_node("DequantizeLinear", [f"{source}_q", "s", "z"], [result]),
    ]


def in_operators() -> bytes:
    """The same with operators that take integers."""
    there, back = _pair("x", "y")
    there.output[0] = "a"
    back.input[0] = "b"
    linear = helper.make_node(
        "QLinearConv", ["a", "s", "z", "q", "ws", "wz", "s", "z"], ["b"], "conv", pads=[1] * 4
    )
    return finished([there, linear, back], _quantized(), "y", IN, OUT)


def test_a_weight_among_the_inputs_is_no_input() -> None:
    model = onnx.load_model_from_string(weights_in_inputs())
    assert [value.name for value in graph_inputs(model)] == ["x"]
    assert first_input_shape(model) == tuple(IN)


@pytest.mark.parametrize("engine", [*ENGINES, InductorEngine()], ids=lambda e: e.name)
def test_engines_ask_for_no_weights(engine: Any) -> None:
    picture = np.ones(IN, np.float32)
    with engine.compile(weights_in_inputs(), "fp32") as compiled:
        (output,) = compiled.run([picture])
        assert output.shape == tuple(OUT)
        assert compiled.timed_runs(1)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_sizes_are_never_made_up(engine: Any) -> None:
    with engine.compile(sizes_are_asked_for(), "fp32") as compiled:
        with pytest.raises(CompileError, match="'sizes' is int64.*--input sizes="):
            compiled.timed_runs(1)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_an_empty_output_is_never_timed(engine: Any) -> None:
    with pytest.raises(CompileError):
        with engine.compile(nothing_comes_out(), "fp32") as compiled:
            compiled.timed_runs(1)


def test_an_empty_output_is_told_by_its_name() -> None:
    require_outputs({"y": (1, 3, 8, 8), "scalar": ()})
    with pytest.raises(CompileError, match="'y' is empty .1x8x0x16."):
        require_outputs({"y": (1, 8, 0, 16)})


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float16", "float64"])
def test_pictures_of_bytes_are_random_over_their_whole_range(dtype: str) -> None:
    values = input_values("x", (64, 64), dtype)
    assert values.dtype == np.dtype(dtype)
    if values.dtype.itemsize == 1 and dtype != "bool":
        limits = np.iinfo(values.dtype)
        assert values.min() < limits.min + 10 and values.max() > limits.max - 10
    assert len(np.unique(values)) >= 2


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
@pytest.mark.parametrize("file", [in_pairs(), in_operators()], ids=["pairs", "operators"])
def test_files_of_onnx_runtimes_quantizer_run_in_int8(engine: Any, file: bytes) -> None:
    assert file_precision(onnx.load_model_from_string(file)) == "int8"
    with engine.compile(file, "int8") as compiled:
        assert compiled.timed_runs(1)
        kinds = {layer.precision for layer in compiled.layers() if "Conv" in layer.kind}
    assert kinds <= {"int8", "i8", "u8"} and kinds


def test_both_styles_compute_the_same_picture_in_both_engines() -> None:
    picture = np.random.default_rng(1).random(IN, dtype=np.float32)
    plain = [engine.compile(in_operators(), "int8").run([picture])[0] for engine in ENGINES]
    assert np.abs(plain[0] - plain[1]).max() <= 0.01 + 1e-6


def test_layers_of_an_int8_network_that_run_in_float_are_told() -> None:
    def layer(kind: str, precision: str) -> Layer:
        return Layer("l", kind, precision)

    both = [layer("QLinearConv", "int8"), layer("Conv", "fp32"), layer("PRelu", "fp32")]
    assert in_float(both) == {"compute_layers": 2, "layers_in_float": 1}
    assert in_float(both[:1]) == {}

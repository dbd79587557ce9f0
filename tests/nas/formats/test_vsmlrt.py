"""ONNX of any size, in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from format_networks import GRAPHS, by_torch, noise, tame
from networks import NETWORKS
from openvino import Core
from players import by_onnxruntime

from nas.formats.base import FloatPrecision
from nas.formats.vsmlrt import write
from search_spaces.graph import channels_of

SIZES = ((16, 24), (36, 20), (40, 40))


def by_openvino(file: bytes, pictures: Any) -> Any:
    core = Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(file), "CPU", hints)
    return np.concatenate([compiled([one[None]])[0] for one in pictures])


@pytest.mark.parametrize("name", [*GRAPHS, "block shuffle in fours", "reference esr_tm"])
def test_one_file_runs_at_every_size_on_both_engines(name: str) -> None:
    source, network = tame(name, NETWORKS.get(name))
    files = write(source)
    for height, width in SIZES:
        pictures = noise(channels_of(source.graph.nodes)[0], height, width)
        expected = by_torch(network, pictures)
        assert np.abs(by_onnxruntime(files, pictures, 0) - expected).max() < 2e-5
        (file,) = files.values()
        assert np.abs(by_openvino(file, pictures) - expected).max() < 2e-5


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 2e-5), ("fp16", 4e-3)])
def test_the_ends_are_float32_pictures_of_any_size_in_an_old_opset(
    precision: FloatPrecision, bound: float
) -> None:
    source, network = tame("colours")
    files = write(source, precision)
    model = onnx.load_model_from_string(files["colours-x2.onnx"])
    onnx.checker.check_model(model, full_check=True)
    ends = [model.graph.input, model.graph.output]
    assert [[one.name for one in end] for end in ends] == [["input"], ["output"]]
    for (one,) in ends:
        assert one.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        sides = [dim.dim_value or dim.dim_param for dim in one.type.tensor_type.shape.dim]
        assert sides[:2] == [1, 3] and all(isinstance(side, str) for side in sides[2:])
    assert model.opset_import[0].version <= 19
    (plain,) = write(tame("luma")[0]).values()
    assert onnx.load_model_from_string(plain).opset_import[0].version == 14
    stored = {one.data_type for one in model.graph.initializer}
    assert (onnx.TensorProto.FLOAT16 in stored) == (precision == "fp16")
    pictures = noise(3, 20, 28)
    error = np.abs(by_onnxruntime(files, pictures, 2) - by_torch(network, pictures)).max()
    assert error < bound


def test_a_program_may_set_the_size_and_infer_the_rest_as_vs_mlrt_does() -> None:
    (file,) = write(tame("luma")[0]).values()
    model = onnx.load_model_from_string(file)
    given = model.graph.input[0].type.tensor_type.shape.dim
    for dim, side in zip(given[2:], (18, 26), strict=True):
        dim.dim_value = side
    inferred = onnx.shape_inference.infer_shapes(model)
    sides = [dim.dim_value for dim in inferred.graph.output[0].type.tensor_type.shape.dim]
    assert sides == [1, 1, 54, 78]

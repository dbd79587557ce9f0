"""ONNX Runtime runs what was asked for, int8 in int8, or refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from trt_style_nets import Net, chain, upscaler

from latency_models.base import CompileError, DeviceError, EngineUnavailable, random_inputs
from latency_models.engines import ort_flavour
from latency_models.engines.ort import HANDLING, OnnxRuntimeEngine
from latency_models.measured import engine_options

pytest.importorskip("onnxruntime")
ENGINE = OnnxRuntimeEngine()
X = random_inputs((1, 3, 16, 16), seed=3)


def float_convolution(x: Any, weight: Any, bias: Any) -> Any:
    """A 3x3 convolution with padding 1 in numpy: (N, C, H, W)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias.reshape(1, -1, 1, 1)


def test_a_half_file_runs_in_half_or_not_at_all() -> None:
    with ENGINE.compile(upscaler(), "fp32") as single:
        (expected,) = single.run([X])
    try:
        half = ENGINE.compile(upscaler(float_type="fp16"), "fp16")
    except DeviceError as refusal:
        assert "would cast to fp32" in str(refusal)
        return
    with half:
        (found,) = half.run([X])
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(np.float32), expected, atol=2e-2)


@pytest.mark.parametrize("net", [chain, upscaler])
@pytest.mark.parametrize("float_type", ["fp32", "fp16"])
def test_every_quantized_convolution_runs_as_qlinearconv(net: Any, float_type: str) -> None:
    file = net(int8=True, float_type=float_type)
    wanted = sum(node.op_type == "Conv" for node in onnx.load_from_string(file).graph.node)
    with ENGINE.compile(file, "int8") as compiled:
        kinds = [layer.kind for layer in compiled.layers()]
    assert kinds.count("QLinearConv") == wanted
    assert not {"Conv", "FusedConv"} & set(kinds)


def test_the_additions_of_a_residual_network_run_in_int8_too() -> None:
    with ENGINE.compile(upscaler(int8=True), "int8") as compiled:
        kinds = [layer.kind for layer in compiled.layers()]
    assert kinds.count("QLinearAdd") == 2 and "Add" not in kinds


@pytest.mark.parametrize("net", [chain, upscaler])
def test_int8_outputs_agree_with_openvino_on_the_unchanged_file(net: Any) -> None:
    pytest.importorskip("openvino")
    from latency_models.engines.ov import OpenVINOEngine

    file = net(int8=True)
    ranges = ort_flavour.ranges_from_inputs(file, [[X]])
    rewritten = ort_flavour.to_ort_flavour(file, ranges)
    with (
        ENGINE.compile(rewritten, "int8") as ours,
        OpenVINOEngine().compile(file, "int8") as theirs,
    ):
        (found,), (expected,) = ours.run([X]), theirs.run([X])
    span = float(expected.max() - expected.min())
    assert float(np.abs(found - expected).mean()) < 0.01 * span
    assert float(np.abs(found - expected).max()) < 0.05 * span


def test_int8_sums_do_not_saturate() -> None:
    """All weights and inputs at their largest: saturating kernels give about half."""
    net = Net(int8=True)
    out = net.conv("x", "y", cin=3, cout=16)
    for index, tensor in enumerate(net.initializers):
        if tensor.name == "y_w":
            values = np.full((16, 3, 3, 3), 127, np.int8)
            net.initializers[index] = numpy_helper.from_array(values, "y_w")
    file, x = net.file(out), np.full((1, 3, 16, 16), 2.5, np.float32)
    weights = {t.name: numpy_helper.to_array(t) for t in net.initializers}
    weight = weights["y_w"] * weights["y_ws"].reshape(-1, 1, 1, 1)
    expected = float_convolution(x, weight, weights["y_b"])
    high = float(np.abs(expected).max())
    rewritten = ort_flavour.to_ort_flavour(file, {"y": (0.0, high)})
    with ENGINE.compile(rewritten, "int8") as compiled:
        (found,) = compiled.run([x])
    np.testing.assert_allclose(found, expected, atol=0.02 * high)


def initializers(file: bytes) -> dict[str, Any]:
    model = onnx.load_from_string(file)
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def test_after_a_relu_the_clip_point_stays_and_the_step_halves() -> None:
    before = initializers(chain(int8=True))
    after = initializers(ort_flavour.to_ort_flavour(chain(int8=True)))
    assert after["relu0_zero_point"] == 0 and after["x_zero_point"] == 128
    assert after["relu0_scale"] == pytest.approx(float(before["relu0_s"]) * 127 / 255)
    assert after["x_scale"] == pytest.approx(float(before["x_s"]))


def test_scales_and_zero_points_of_activations_have_no_dimension() -> None:
    after = initializers(ort_flavour.to_ort_flavour(upscaler(int8=True)))
    quantizers = {k: v for k, v in after.items() if k.endswith(("_scale", "_zero_point"))}
    assert quantizers and all(value.ndim == 0 for value in quantizers.values())


def test_tensors_without_a_scale_are_named_and_take_the_given_range() -> None:
    file = upscaler(int8=True)
    assert ort_flavour.unscaled_tensors(file) == ["body2", "tail", "y"]
    after = initializers(ort_flavour.to_ort_flavour(file, {"tail": (-2.54, 1.0)}))
    assert after["tail_scale"] == pytest.approx(0.02)
    assert after["shuffle_scale"] == after["tail_scale"]


def test_a_range_measured_on_inputs_covers_them() -> None:
    file = upscaler(int8=True)
    ranges = ort_flavour.ranges_from_inputs(file, [[X], [2 * X]])
    assert set(ranges) == {"body2", "tail", "y"}
    assert all(low <= 0 <= high and high - low > 0 for low, high in ranges.values())
    only_first = ort_flavour.ranges_from_inputs(file, [[X]])
    assert all(ranges[n][1] >= only_first[n][1] for n in ranges)


def test_a_clip_from_zero_is_folded_like_a_relu() -> None:
    net = Net(int8=True)
    a = net.conv("x", "a", cin=3, cout=16)
    low = net.constant("low", np.array(0, np.float32))
    high = net.constant("high", np.array(1, np.float32))
    b = net.node("Clip", [a, low, high], "b")
    file = net.file(net.conv(b, "c", cin=16, cout=16))
    with ENGINE.compile(file, "int8") as compiled:
        kinds = [layer.kind for layer in compiled.layers()]
    assert kinds.count("QLinearConv") == 2 and "Clip" not in kinds


def test_a_file_in_the_flavour_already_is_taken_as_it_is() -> None:
    rewritten = ort_flavour.to_ort_flavour(chain(int8=True), {"conv1": (-2.0, 2.0)})
    with ENGINE.compile(rewritten, "int8") as compiled:
        assert compiled.onnx == rewritten


def test_how_files_are_handled_is_part_of_what_a_receipt_depends_on() -> None:
    assert f"('handling', '{HANDLING}')" in engine_options(ENGINE)


@pytest.mark.parametrize(("largest", "asks"), [(64, False), (65, True), (127, True)])
def test_only_files_whose_sums_may_saturate_are_run_otherwise_than_in_a_plain_session(
    largest: int, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    model = onnx.load_from_string(ort_flavour.to_ort_flavour(chain(int8=True)))
    for tensor in model.graph.initializer:
        if tensor.name.endswith("_w"):
            values = numpy_helper.to_array(tensor).clip(-largest, largest).copy()
            values.flat[0] = largest
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    entries: list[str] = []
    options = onnxruntime.SessionOptions

    class Watched(options):  # type: ignore[misc, valid-type]
        def add_session_config_entry(self, key: str, value: str) -> None:
            entries.append(key)
            super().add_session_config_entry(key, value)

    monkeypatch.setattr(onnxruntime, "SessionOptions", Watched)
    ENGINE.compile(model.SerializeToString(), "int8").close()
    assert ("session.x64quantprecision" in entries) == asks


def test_a_float_weight_behind_a_quantizer_becomes_an_int8_one() -> None:
    from onnx import helper

    model = onnx.load_from_string(chain(int8=True))
    values = {t.name: t for t in model.graph.initializer}
    weight, scale = (numpy_helper.to_array(values[n]) for n in ("conv0_w", "conv0_ws"))
    real = (weight * scale.reshape(-1, 1, 1, 1)).astype(np.float32)
    values["conv0_w"].CopyFrom(numpy_helper.from_array(real, "conv0_w"))
    inputs = ["conv0_w", "conv0_ws", "conv0_wz"]
    node = helper.make_node("QuantizeLinear", inputs, ["conv0_wq"], axis=0)
    model.graph.node.insert(0, node)
    next(n for n in model.graph.node if n.name == "conv0_wdq").input[0] = "conv0_wq"
    after = initializers(ort_flavour.to_ort_flavour(model.SerializeToString()))
    np.testing.assert_array_equal(after["conv0_w_int8"], weight)


def test_a_tensor_with_two_scales_is_refused() -> None:
    from onnx import helper

    model = onnx.load_from_string(chain(int8=True))
    other = numpy_helper.from_array(np.array(0.5, np.float32), "other")
    model.graph.initializer.append(other)
    for op, start, end in (("QuantizeLinear", "x", "q2"), ("DequantizeLinear", "q2", "dq2")):
        model.graph.node.insert(0, helper.make_node(op, [start, "other", "x_z"], [end]))
    nodes = list(model.graph.node)
    nodes[0], nodes[1] = nodes[1], nodes[0]
    with pytest.raises(CompileError, match="two scales"):
        ort_flavour.strip_activation_quantizers(model)


def test_a_provider_that_is_not_there_is_named_and_never_replaced() -> None:
    engine = OnnxRuntimeEngine(provider="cuda")
    reason = engine.available()
    if reason is None:
        pytest.skip("this onnxruntime has the CUDA provider")
    assert "CUDAExecutionProvider" in reason and "pip install" in reason
    with pytest.raises(EngineUnavailable):
        engine.compile(chain(), "fp32")


def test_layers_carry_a_time_only_when_asked() -> None:
    with ENGINE.compile(chain(), "fp32") as compiled:
        assert all(layer.ms is None for layer in compiled.layers())
        timed = compiled.layers(timed=True)
    assert any(layer.kind == "Conv" for layer in timed)
    assert all(layer.ms is not None and layer.ms >= 0 for layer in timed)


@pytest.mark.parametrize("arguments", [{"threads": 0}, {"provider": "tpu"}])
def test_impossible_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        OnnxRuntimeEngine(**arguments)


@pytest.mark.gpu
def test_the_cuda_provider_runs_everything_on_the_gpu() -> None:
    engine = OnnxRuntimeEngine(provider="cuda")
    reason = engine.available()
    if reason is not None:
        pytest.skip(reason)
    with ENGINE.compile(upscaler(), "fp32") as cpu, engine.compile(upscaler(), "fp32") as gpu:
        np.testing.assert_allclose(gpu.run([X])[0], cpu.run([X])[0], rtol=1e-2, atol=1e-2)
        assert gpu.timed_runs(3)[0].wall_ms > 0

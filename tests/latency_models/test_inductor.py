"""The torch reading of a file equals ONNX Runtime's, and refusals name their node."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from trt_style_nets import Net, upscaler

from latency_models.base import CompileError, DeviceError, random_inputs
from latency_models.engines.inductor import InductorEngine

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
X = random_inputs((1, 3, 16, 16), seed=3) - 0.5


def outputs_of(file: bytes, x: Any = X) -> tuple[Any, Any]:
    """The module's output without compiling it, and ONNX Runtime's."""
    import onnxruntime

    from latency_models.engines.inductor_module import to_module

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    with torch.no_grad():
        (found,) = to_module(onnx.load_from_string(file))(torch.from_numpy(x))
    return found.numpy(), expected


def check(net: Net, out: str, *, atol: float = 1e-5) -> None:
    found, expected = outputs_of(net.file(out))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=atol)


def constant(net: Net, name: str, *values: float, shape: tuple[int, ...] = ()) -> str:
    return net.constant(name, np.array(values, np.float32).reshape(shape or (len(values),)))


@pytest.mark.parametrize("op", ["Relu", "Tanh", "Sigmoid", "Identity", "GlobalAveragePool"])
def test_operators_of_one_input_equal_onnxruntime(op: str) -> None:
    net = Net()
    check(net, net.node(op, ["x"], "y"))


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub"])
def test_elementwise_operators_broadcast(op: str) -> None:
    net = Net()
    c = constant(net, "c", 0.5, -1.0, 2.0, shape=(1, 3, 1, 1))
    check(net, net.node(op, ["x", c], "y"))


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}),
        ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
        ("SpaceToDepth", {"blocksize": 2}),
        ("Flatten", {"axis": 2}),
    ],
)
def test_operators_with_attributes_equal_onnxruntime(op: str, attributes: Any) -> None:
    net = Net()
    check(net, net.node(op, ["x"], "y", **attributes))


@pytest.mark.parametrize("mode", ["CRD", "DCR"])
def test_both_pixel_shuffles_equal_onnxruntime(mode: str) -> None:
    net = Net()
    a = net.conv("x", "a", cin=3, cout=12)
    check(net, net.node("DepthToSpace", [a], "y", blocksize=2, mode=mode))


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
        {"pads": [0, 0, 1, 1]},
        {"group": 3, "pads": [1, 1, 1, 1]},
    ],
)
def test_convolutions_equal_onnxruntime(attributes: dict[str, Any]) -> None:
    net = Net()
    rng = np.random.default_rng(0)
    channels = 1 if "group" in attributes else 3
    w = net.constant("w", rng.normal(size=(6, channels, 3, 3)).astype(np.float32))
    check(net, net.node("Conv", ["x", w], "y", **attributes))


def test_a_transposed_convolution_equals_onnxruntime() -> None:
    net = Net()
    weight = np.random.default_rng(0).normal(size=(3, 5, 3, 3)).astype(np.float32)
    w = net.constant("w", weight)
    attributes = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    check(net, net.node("ConvTranspose", ["x", w], "y", **attributes))


def test_prelu_clip_concat_cast_and_gemm_equal_onnxruntime() -> None:
    net = Net()
    slope = constant(net, "slope", 0.1, 0.2, 0.3, shape=(3, 1, 1))
    low, high = (net.constant(n, np.array(v, np.float32)) for n, v in (("lo", -0.2), ("hi", 0.3)))
    a = net.node("PRelu", ["x", slope], "a")
    b = net.node("Clip", ["x", low, high], "b")
    c = net.node("Clip", ["x", "", high], "c")
    d = net.node("Concat", [a, b, c], "d", axis=1)
    e = net.node("Cast", [net.node("GlobalAveragePool", [d], "p")], "e", to=TensorProto.FLOAT)
    flat = net.node("Flatten", [e], "flat")
    rng = np.random.default_rng(1)
    w = net.constant("w", rng.normal(size=(4, 9)).astype(np.float32))
    bias = net.constant("bias", rng.normal(size=4).astype(np.float32))
    check(net, net.node("Gemm", [flat, w, bias], "y", transB=1, alpha=0.5, beta=2.0))


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("factor", [2.0, 3.0, 0.5])
def test_resizes_equal_onnxruntime(mode: str, coordinates: str, factor: float) -> None:
    net = Net()
    scales = constant(net, "s", 1, 1, factor, factor)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = "floor"
    check(net, net.node("Resize", ["x", "", scales], "y", **attributes))


@pytest.mark.parametrize("coefficient", [-0.5, -0.75])
def test_both_cubic_coefficients_equal_onnxruntime(coefficient: float) -> None:
    net = Net()
    sizes = net.constant("sizes", np.array([1, 3, 32, 48], np.int64))
    inputs = ["x", "", "", sizes]
    check(net, net.node("Resize", inputs, "y", mode="cubic", cubic_coeff_a=coefficient))


@pytest.mark.parametrize("mode", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_nearest_rounds_as_asked(mode: str) -> None:
    net = Net()
    scales = constant(net, "s", 1, 1, 2, 2)
    check(net, net.node("Resize", ["x", "", scales], "y", mode="nearest", nearest_mode=mode))


def test_a_half_file_runs_in_half() -> None:
    found, expected = outputs_of(upscaler(float_type="fp16"), X.astype(np.float16))
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_an_operator_that_is_not_covered_is_named() -> None:
    net = Net()
    file = net.file(net.node("Erf", ["x"], "y"))
    with pytest.raises(CompileError, match="node 'y' is Erf"):
        InductorEngine().compile(file, "fp32")


def test_int8_is_refused_with_the_reason() -> None:
    with pytest.raises(CompileError, match="does not run int8"):
        InductorEngine().compile(upscaler(int8=True), "int8")


def test_half_without_half_arithmetic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from latency_models.engines import inductor

    monkeypatch.setattr(inductor, "_has_half_kernels", lambda: False)
    with pytest.raises(DeviceError, match="no fp16 arithmetic"):
        InductorEngine().compile(upscaler(float_type="fp16"), "fp16")


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "C++ compiler" in str(InductorEngine().available())


def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "without CUDA" in str(InductorEngine(processor="cuda").available())


@pytest.mark.parametrize("arguments", [{"threads": 0}, {"processor": "tpu"}])
def test_impossible_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        InductorEngine(**arguments)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "reduce-overhead", "max-autotune"])
def test_a_network_on_a_gpu_has_device_times(mode: Any) -> None:
    engine = InductorEngine(processor="cuda", mode=mode)
    reason = engine.available()
    if reason is not None:
        pytest.skip(reason)
    _, expected = outputs_of(upscaler())
    with engine.compile(upscaler(), "fp32") as compiled:
        np.testing.assert_allclose(compiled.run([X])[0], expected, rtol=1e-2, atol=1e-2)
        assert all(sample.device_ms for sample in compiled.timed_runs(10))

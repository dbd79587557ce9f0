"""OpenVINO gives the right numbers at the precision that was asked for, or refuses."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from latency_models.base import CompileError, DeviceError
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.engines.ov import OpenVINOEngine
from tests.latency_models.small_nets import conv_net, finished

ENGINE = OpenVINOEngine()


def test_outputs_equal_those_of_onnxruntime() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    net = conv_net()
    x = np.random.default_rng(1).random((1, 3, 32, 32), dtype=np.float32)
    (expected,) = onnxruntime.InferenceSession(net, providers=["CPUExecutionProvider"]).run(
        None, {"x": x}
    )
    with ENGINE.compile(net, "fp32") as compiled:
        (found,) = compiled.run([x])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_qdq_file_runs_its_convolutions_in_int8() -> None:
    with ENGINE.compile(conv_net(int8=True), "int8") as compiled:
        convolutions = [layer for layer in compiled.layers() if layer.kind == "Convolution"]
    assert len(convolutions) == 3
    assert {layer.precision for layer in convolutions} <= {"i8", "u8"}
    assert "conv0" in convolutions[0].original_nodes


def test_a_float_file_runs_in_f32_whatever_the_processor_has() -> None:
    with ENGINE.compile(conv_net(), "fp32") as compiled:
        assert {layer.precision for layer in compiled.layers()} == {"f32"}


@pytest.mark.parametrize(("int8", "precision"), [(True, "fp32"), (False, "int8")])
def test_another_precision_than_the_files_is_refused(int8: bool, precision: str) -> None:
    with pytest.raises(CompileError, match=f"{precision} was asked for"):
        ENGINE.compile(conv_net(int8=int8), precision)  # type: ignore[arg-type]


def test_fp16_is_refused_where_it_would_run_in_f32() -> None:
    import openvino

    if "FP16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has fp16 arithmetic")
    with pytest.raises(DeviceError, match="would run f32"):
        ENGINE.compile(conv_net(), "fp16")


_SIGNALLED = """
import gc, os, signal, sys
from latency_models.engines.ov import OpenVINOEngine
net = sys.stdin.buffer.read()
first, second = OpenVINOEngine(), OpenVINOEngine()
first.compile(net, "fp32").close()
second.compile(net, "fp32").close()
del first
gc.collect()
del second
gc.collect()
received = []
signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
os.kill(os.getpid(), signal.SIGTERM)
print(received == [signal.SIGTERM])
"""


def test_a_signal_finds_its_stack_when_engines_went_in_the_order_they_came() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _SIGNALLED], input=conv_net(), capture_output=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, b"True\n"), run.stderr.decode()


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"garbage", "parse"),
        (b"", "ir_version"),
        (conv_net()[:400], "parse"),
        (conv_net().replace(b"Relu", b"Rolu"), "Rolu"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(broken: bytes, words: str) -> None:
    with pytest.raises(CompileError, match=words) as caught:
        ENGINE.compile(broken, "fp32")
    assert "\n" not in str(caught.value)


def test_shapes_that_do_not_fit_are_refused() -> None:
    from onnx import helper

    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3])
    weight = {"w": np.ones((4, 5, 3, 3), np.float32)}
    with pytest.raises(CompileError, match="OpenVINO cannot"):
        ENGINE.compile(finished([node], weight, "y", [1, 3, 8, 8], [1, 4, 6, 6]), "fp32")


def test_an_open_dimension_is_refused() -> None:
    from onnx import helper

    node = helper.make_node("Relu", ["x"], ["y"])
    net = finished([node], {}, "y", [1, 3, "height", 8], [1, 3, "height", 8])
    with pytest.raises(CompileError, match="no static shape"):
        ENGINE.compile(net, "fp32")


def test_layers_are_timed_when_asked() -> None:
    with ENGINE.compile(conv_net(size=64), "fp32") as compiled:
        timed = compiled.layers(timed=True)
        assert all(layer.ms is None for layer in compiled.layers())
    assert timed and all(layer.ms for layer in timed)


def test_a_run_is_timed_by_both_clocks() -> None:
    with ENGINE.compile(conv_net(size=64), "fp32") as compiled:
        samples = compiled.timed_runs(5)
        assert compiled.engine_bytes > 1000
    assert all(sample.wall_ms > 0 and sample.cpu_ms > 0 for sample in samples)
    assert all(sample.device_ms is None for sample in samples)


@pytest.mark.parametrize("engine", [OpenVINOEngine(), OnnxRuntimeEngine()], ids=lambda e: e.name)
def test_a_timed_run_copies_no_output(engine: OpenVINOEngine | OnnxRuntimeEngine) -> None:
    with engine.compile(conv_net(size=256), "fp32") as compiled:
        compiled.timed_runs(2)
        one_output = 4 * 256 * 256 * 3
        tracemalloc.start()
        try:
            compiled.timed_runs(3)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < one_output / 2


def test_too_few_inputs_are_refused() -> None:
    with ENGINE.compile(conv_net(), "fp32") as compiled, pytest.raises(ValueError, match="has 1"):
        compiled.run([])


def test_neither_torch_nor_usage_reporting_is_imported() -> None:
    script = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from latency_models.measured import MeasuredLatency\n"
        "from latency_models.engines.ov import OpenVINOEngine\n"
        "assert not {'onnx', 'openvino'} & set(sys.modules), 'imported too early'\n"
        "OpenVINOEngine().device()\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('torch', 'openvino_telemetry')]\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

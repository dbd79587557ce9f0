"""OpenVINO gives the right numbers at the precision that was asked for, or refuses."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import pytest

from latency_models.base import CompileError, DeviceError
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.engines.ov import OpenVINOEngine
from tests.latency_models.small_nets import conv_net, finished

ENGINE = OpenVINOEngine()


def test_a_qdq_file_runs_its_convolutions_in_int8() -> None:
    with ENGINE.compile(conv_net(int8=True), "int8") as compiled:
        convolutions = [layer for layer in compiled.layers() if layer.kind == "Convolution"]
    assert len(convolutions) == 3
    assert {layer.precision for layer in convolutions} <= {"i8", "u8"}
    assert "conv0" in convolutions[0].original_nodes


def test_a_float_file_runs_in_f32_whatever_the_processor_has() -> None:
    with ENGINE.compile(conv_net(), "fp32") as compiled:
        assert {layer.precision for layer in compiled.layers()} == {"f32"}


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

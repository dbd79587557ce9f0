"""TensorRT: what can be said without it, and the tests for the first machine that has it."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trt_style_nets import chain, upscaler

from latency_models.base import CompileError, DeviceError, EngineUnavailable, random_inputs
from latency_models.engines import trt_graph
from latency_models.engines.trt import TensorRTEngine

X = random_inputs((1, 3, 16, 16), seed=3)


def installed(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    module = types.ModuleType("tensorrt")
    module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)


def test_without_the_library_the_install_command_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    reason = TensorRTEngine().available()
    assert reason is not None and "not installed" in reason and "pip install" in reason
    for call in (TensorRTEngine().version, TensorRTEngine().device):
        with pytest.raises(EngineUnavailable, match="not installed"):
            call()
    with pytest.raises(EngineUnavailable):
        TensorRTEngine().compile(chain(), "fp32")


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0.post1"])
def test_an_old_library_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    installed(monkeypatch, version)
    assert f"TensorRT {version} is older than 10.3" in str(TensorRTEngine().available())


def test_a_torch_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    installed(monkeypatch, "10.3.0")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in str(TensorRTEngine().available())


def test_a_machine_without_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    installed(monkeypatch, "11.4.0.106")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no NVIDIA GPU" in str(TensorRTEngine().available())


def test_the_version_tells_what_a_latency_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "11.4.0.106")
    version = TensorRTEngine(tf32=False, launch="enqueue", optimization_level=2).version()
    assert version.startswith("11.4.0.106 (enqueue, level 2, tf32 off")


def test_an_unknown_launch_is_refused() -> None:
    with pytest.raises(ValueError, match="graph or enqueue"):
        TensorRTEngine(launch="loop")  # type: ignore[arg-type]


def test_an_empty_graph_is_found() -> None:
    torch = pytest.importorskip("torch")
    output, expected = torch.ones(4), torch.ones(4)
    with pytest.raises(DeviceError, match="graph is empty"):
        trt_graph.check_replay(lambda: None, [output], [expected], None)


def test_a_graph_that_computes_something_else_is_found() -> None:
    torch = pytest.importorskip("torch")
    output = torch.ones(4)
    with pytest.raises(DeviceError, match="other outputs"):
        trt_graph.check_replay(lambda: output.fill_(2.0), [output], [torch.ones(4)], None)


@pytest.mark.parametrize("value", [1.0, float("nan")])
def test_a_graph_that_computes_the_same_passes(value: float) -> None:
    torch = pytest.importorskip("torch")
    output, expected = torch.zeros(4), torch.full((4,), value)
    trt_graph.check_replay(lambda: output.copy_(expected), [output], [expected], None)


# From here on a GPU and TensorRT are needed.


@pytest.fixture
def engine(tmp_path: Path) -> TensorRTEngine:
    found = TensorRTEngine(cache_dir=tmp_path)
    reason = found.available()
    if reason is not None:
        pytest.skip(reason)
    return found


PRECISIONS: list[tuple[Any, dict[str, Any]]] = [
    ("fp32", {}),
    ("fp16", {"float_type": "fp16"}),
    ("int8", {"float_type": "fp16", "int8": True}),
]


@pytest.mark.tensorrt
@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "arguments"), PRECISIONS)
def test_outputs_agree_with_onnxruntime(
    engine: TensorRTEngine, precision: Any, arguments: dict[str, Any]
) -> None:
    pytest.importorskip("onnxruntime")
    from latency_models.engines.ort import OnnxRuntimeEngine

    file = upscaler(**arguments)
    with OnnxRuntimeEngine().compile(upscaler(), "fp32") as reference:
        (expected,) = reference.run([X])
    with engine.compile(file, precision) as compiled:
        (found,) = compiled.run([X])
    span = float(expected.max() - expected.min())
    error = np.abs(found.astype(np.float32) - expected)
    assert float(error.mean()) < {"fp32": 1e-3, "fp16": 1e-2, "int8": 3e-2}[precision] * span


@pytest.mark.tensorrt
@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "arguments"), PRECISIONS)
def test_convolutions_run_in_the_files_precision(
    engine: TensorRTEngine, precision: Any, arguments: dict[str, Any]
) -> None:
    with engine.compile(upscaler(width=32, **arguments), precision) as compiled:
        layers = compiled.layers(timed=True)
    assert precision in {layer.precision for layer in layers}
    assert any(layer.ms for layer in layers)


@pytest.mark.tensorrt
@pytest.mark.gpu
@pytest.mark.parametrize("launch", ["graph", "enqueue"])
def test_every_sample_has_a_device_time(engine: TensorRTEngine, launch: Any) -> None:
    engine.launch = launch
    with engine.compile(upscaler(), "fp32") as compiled:
        samples = compiled.timed_runs(50)
    times = np.array([sample.device_ms for sample in samples])
    assert len(times) == 50 and float(times.min()) > 0.001
    assert all(sample.wall_ms > 0 for sample in samples)


@pytest.mark.tensorrt
@pytest.mark.gpu
def test_more_work_takes_longer(engine: TensorRTEngine) -> None:
    def median(depth: int) -> float:
        with engine.compile(chain(width=128, depth=depth), "fp32") as compiled:
            compiled.timed_runs(100)
            return float(np.median([s.device_ms or 0.0 for s in compiled.timed_runs(100)]))

    assert median(24) > median(4)


@pytest.mark.tensorrt
@pytest.mark.gpu
def test_a_second_build_reads_the_timing_cache(engine: TensorRTEngine) -> None:
    engine.verify_precision = False
    with engine.compile(chain(width=64, depth=6), "fp32") as first:
        cold_s = first.build_s
    assert len(engine.timing_cache().read()) > 0
    with engine.compile(chain(width=64, depth=6), "fp32") as second:
        assert second.build_s < cold_s


@pytest.mark.tensorrt
@pytest.mark.gpu
def test_a_file_at_another_precision_is_refused(engine: TensorRTEngine) -> None:
    with pytest.raises(CompileError, match="written at fp32"):
        engine.compile(chain(), "fp16")


@pytest.mark.tensorrt
@pytest.mark.gpu
def test_what_the_parser_refuses_is_a_compile_error(engine: TensorRTEngine) -> None:
    import onnx
    from onnx import numpy_helper

    with pytest.raises(CompileError, match="not a valid ONNX"):
        engine.compile(b"broken", "fp32")
    model = onnx.load_from_string(chain(int8=True))
    for tensor in model.graph.initializer:
        if tensor.name == "x_z":
            tensor.CopyFrom(numpy_helper.from_array(np.array(3, np.int8), "x_z"))
    with pytest.raises(CompileError, match="zero point"):
        engine.compile(model.SerializeToString(), "int8")


@pytest.mark.tensorrt
@pytest.mark.gpu
def test_a_saved_plan_lies_beside_its_metadata(engine: TensorRTEngine, tmp_path: Path) -> None:
    with engine.compile(chain(), "fp32") as compiled:
        compiled.save(tmp_path / "net.plan")
        plan = compiled.plan
    assert (tmp_path / "net.plan").read_bytes() == plan
    told = json.loads((tmp_path / "net.plan.json").read_text())
    assert told["precision"] == "fp32" and told["shapes"]["x"] == [1, 3, 16, 16]


@pytest.mark.tensorrt
def test_the_compatibility_table_agrees_with_the_parser(engine: TensorRTEngine) -> None:
    import tensorrt as trt

    from latency_models.trt_operators import OPERATORS

    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(0)
    parser = trt.OnnxParser(network, logger)
    unknown = [name for name in sorted(OPERATORS) if not parser.supports_operator(name)]
    assert unknown == []

"""The build path asks TensorRT for the right things and blames the right side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorrt_stand_in import Flag, Script, Severity, Verbosity, module

from latency_models.base import CompileError, DeviceError
from latency_models.engines import trt_library
from latency_models.engines.trt_build import BuildOptions, build_log, build_plan
from latency_models.engines.trt_cache import CacheFile


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """A stand-in TensorRT; the process's one logger is made anew for it."""
    played = Script()
    monkeypatch.setitem(sys.modules, "tensorrt", module(played))
    monkeypatch.setattr(trt_library, "_state", {"chosen": "tensorrt", "used": ""})
    build_log.cache_clear()
    yield played
    build_log.cache_clear()


@pytest.fixture
def cache(tmp_path: Path) -> CacheFile:
    return CacheFile(tmp_path, ("tensorrt", "10.3.0", "gpu"))


def build(cache: CacheFile, options: BuildOptions | None = None) -> bytes:
    asked = options or BuildOptions()
    return build_plan(b"onnx", asked, timing_cache=cache, detailed=False).data


def test_the_network_is_strongly_typed_on_every_major(
    script: Script, cache: CacheFile
) -> None:
    assert build(cache) == b"plan"
    assert script.network_flags == [1 << int(Flag.STRONGLY_TYPED)]


def test_options_reach_the_builder(script: Script, cache: CacheFile) -> None:
    build(cache, BuildOptions(optimization_level=2, workspace_mib=64, max_aux_streams=0))
    (config,) = script.configs
    assert config.builder_optimization_level == 2  # type: ignore[attr-defined]
    assert config.avg_timing_iterations == 8  # type: ignore[attr-defined]
    assert config.max_aux_streams == 0  # type: ignore[attr-defined]
    assert config.limits == {"workspace": 64 * 2**20}
    assert config.profiling_verbosity is Verbosity.LAYER_NAMES_ONLY  # type: ignore[attr-defined]


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_set_as_asked_and_told(script: Script, cache: CacheFile, tf32: bool) -> None:
    options = BuildOptions(tf32=tf32)
    build(cache, options)
    assert (Flag.TF32 in script.configs[0].flags) is tf32
    assert f"tf32 {'on' if tf32 else 'off'}" in options.describe()


def test_measurements_of_one_build_serve_the_next(script: Script, cache: CacheFile) -> None:
    build(cache)
    assert cache.read() == b"measured;"
    build(cache)
    assert script.configs[1].cache is not None
    assert cache.read().count(b"measured;") >= 2


def test_a_cache_of_another_device_is_replaced(script: Script, cache: CacheFile) -> None:
    cache.update(lambda stored: b"foreign;")
    assert build(cache) == b"plan"
    assert script.configs[0].cache is not None


def test_a_parse_failure_names_the_node_and_the_reason(
    script: Script, cache: CacheFile
) -> None:
    script.parse_error = "Non-zero zero point is not supported"
    with pytest.raises(CompileError, match=r"'conv3' \(Conv\): Non-zero zero point"):
        build(cache)


def test_a_build_failure_carries_the_builders_log(script: Script, cache: CacheFile) -> None:
    script.builds = False
    script.build_log = [
        (Severity.WARNING, "just a warning"),
        (Severity.ERROR, "Could not find any implementation for node conv3"),
    ]
    with pytest.raises(CompileError, match="node conv3.*leave it unquantized") as caught:
        build(cache)
    assert "just a warning" not in str(caught.value)


@pytest.mark.parametrize("words", ["CUDA error 700", "Cuda Runtime (out of memory)"])
def test_a_cuda_failure_is_the_machines_fault(
    script: Script, cache: CacheFile, words: str
) -> None:
    script.builds = False
    script.build_log = [(Severity.ERROR, words)]
    with pytest.raises(DeviceError, match="build the network"):
        build(cache)


def test_a_tactic_without_memory_is_no_lost_device(script: Script, cache: CacheFile) -> None:
    script.builds = False
    script.build_log = [
        (Severity.WARNING, "Skipping tactic, out of memory"),
        (Severity.ERROR, "Could not find any implementation for node conv3"),
    ]
    with pytest.raises(CompileError):
        build(cache)


def test_a_gpu_that_does_not_start_is_the_machines_fault(
    script: Script, cache: CacheFile
) -> None:
    script.starts = False
    with pytest.raises(DeviceError, match="error: 35"):
        build(cache)


def test_a_failed_build_does_not_touch_the_cache(script: Script, cache: CacheFile) -> None:
    script.builds = False
    with pytest.raises(CompileError, match="logged nothing"):
        build(cache)
    assert cache.read() == b""


def test_lines_of_an_earlier_build_are_not_told_again(
    script: Script, cache: CacheFile
) -> None:
    script.build_log = [(Severity.ERROR, "an old story")]
    build(cache)
    script.build_log, script.builds = [], False
    with pytest.raises(CompileError) as caught:
        build(cache)
    assert "old story" not in str(caught.value)


@pytest.mark.parametrize("options", [{"optimization_level": 6}, {"avg_timing_iterations": 0}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        BuildOptions(**options)  # type: ignore[arg-type]

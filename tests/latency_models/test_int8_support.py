"""Which weights an engine adds exactly, by what the processor has."""

from __future__ import annotations

import platform

import pytest

from latency_models.int8_support import largest_weight

PLAIN = frozenset({"sse2", "avx2"})
ON_PROCESSORS = ("openvino", "onnxruntime")


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever these tests were started with, oneDNN is free to use what there is."""
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("engine", ON_PROCESSORS)
@pytest.mark.parametrize("more", [set(), {"avx512f", "avx512bw"}])
def test_without_vnni_weights_keep_to_half_their_range(engine: str, more: set[str]) -> None:
    assert largest_weight(engine, PLAIN | more) == 64


@pytest.mark.parametrize("engine", ON_PROCESSORS)
@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"])
def test_with_dot_products_weights_have_their_whole_range(engine: str, flag: str) -> None:
    assert largest_weight(engine, PLAIN | {flag}) == 127


@pytest.mark.parametrize("engine", ["tensorrt", "inductor"])
def test_the_processor_means_nothing_to_other_engines(engine: str) -> None:
    assert largest_weight(engine, PLAIN) == 127


def test_processors_that_are_not_x86_have_the_whole_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert largest_weight("openvino", frozenset({"asimd", "asimddp"})) == 127


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize(
    ("cap", "top"),
    [("AVX2", 64), ("avx512_core", 64), ("AVX2_VNNI", 127), ("AVX512_CORE_VNNI", 127), ("", 127)],
)
def test_vnni_that_onednn_is_told_to_leave_does_not_count(
    monkeypatch: pytest.MonkeyPatch, name: str, cap: str, top: int
) -> None:
    monkeypatch.setenv(name, cap)
    assert largest_weight("openvino", PLAIN | {"avx512_vnni"}) == top
    assert largest_weight("onnxruntime", PLAIN | {"avx512_vnni"}) == 127  # has no oneDNN in it

"""TensorRT for RTX: what it says of cards, and that it builds on machines without one."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from trt_style_nets import chain, upscaler

from latency_models.base import CompileError, EngineUnavailable
from latency_models.compiled import CompiledLatency
from latency_models.engines import ENGINES, pick_engine
from latency_models.engines.trt_cache import CacheFile
from latency_models.engines.trt_kernels import KeptKernels
from latency_models.engines.trt_library import LIBRARIES, Library
from latency_models.engines.trt_rtx import TensorRTRTXEngine, kinds_of_cards
from latency_models.isolated import IsolatedLatency


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "version", lambda self: "1.7.1.116")


def on_card(monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)


def test_without_the_library_both_questions_tell_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    engine = TensorRTRTXEngine()
    for reason in (engine.available(), engine.builds()):
        assert reason is not None and "pip install 'freeway-nas[tensorrt-rtx]'" in reason
    with pytest.raises(EngineUnavailable, match="TensorRT for RTX is not installed"):
        engine.build(chain(), "fp32")


def test_without_a_card_it_compiles_and_says_that_it_cannot_time(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    engine = TensorRTRTXEngine()
    assert engine.builds() is None
    assert str(engine.available()).startswith("compiles here, can't time: PyTorch")


@pytest.mark.parametrize(
    ("name", "capability", "cards", "words"),
    [
        ("NVIDIA H100", (9, 0), "portable", "does not run on NVIDIA H100.*9.0.*tensorrt"),
        ("NVIDIA B200", (10, 0), "portable", "does not run on NVIDIA B200"),
        ("Tesla V100", (7, 0), "portable", "does not run on Tesla V100"),
        ("GeForce RTX 2080", (7, 5), "portable", "a portable plan runs from sm80 on.*sm75"),
        ("GeForce RTX 4090", (8, 9), ["sm86", "sm120"], "plans are for sm86 sm120.*is sm89"),
    ],
)
def test_a_card_that_it_cannot_run_on_is_refused_by_name(
    installed: None, monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int],
    cards: str | list[str], words: str,
) -> None:
    on_card(monkeypatch, name, capability)
    reason = TensorRTRTXEngine(compute_capability=cards).available()
    assert reason is not None and "\n" not in reason
    with pytest.raises(EngineUnavailable, match=words):
        raise EngineUnavailable(reason)


@pytest.mark.parametrize(
    ("capability", "cards"),
    [((8, 9), "portable"), ((8, 9), ["sm86", "sm89"]), ((7, 5), ["sm75"]), ((12, 0), "portable")],
)
def test_the_cards_that_it_is_for_are_taken(
    installed: None, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int],
    cards: str | list[str],
) -> None:
    on_card(monkeypatch, "a card", capability)
    assert TensorRTRTXEngine(compute_capability=cards).available() is None


def test_auto_picks_it_on_its_card_where_the_full_library_is_missing_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    there = {"tensorrt_rtx": "1.7.1.116"}

    def version(self: Library) -> str:
        if self.module not in there:
            raise ImportError(f"No module named '{self.module}'")
        return there[self.module]

    monkeypatch.setattr(Library, "version", version)
    on_card(monkeypatch, "GeForce RTX 4090", (8, 9))
    engine, sentence = pick_engine("auto")
    assert engine.name == "tensorrt_rtx"
    assert "it runs on this card" in sentence and "not tensorrt: TensorRT is not" in sentence


@pytest.mark.parametrize("asked", ["sm90", "", [], ["sm89", "sm100"], "8.9"])
def test_an_unknown_kind_of_card_lists_the_known_ones(asked: str | list[str]) -> None:
    with pytest.raises(ValueError, match="compute_capability is .*sm75, sm80, sm86, sm89"):
        kinds_of_cards(asked)


def test_a_receipt_tells_which_cards_the_plan_was_for(installed: None) -> None:
    engine = TensorRTRTXEngine(compute_capability=["sm89", "sm86", "sm89"])
    assert engine.version().endswith("for sm86 sm89)")
    assert "for sm" not in TensorRTRTXEngine().version()


def test_only_this_member_of_the_family_has_kinds_of_cards_as_a_setting() -> None:
    with pytest.raises(ValueError, match="engine 'tensorrt' has no setting"):
        pick_engine("tensorrt", settings={"compute_capability": ["sm89"]})


class Cache:
    def __init__(self, takes: bool) -> None:
        self.takes, self.data = takes, b""

    def deserialize(self, blob: bytes) -> bool:
        self.data = blob if self.takes else b""
        return self.takes

    def serialize(self) -> bytes:
        return self.data + b"+compiled"


class Config:
    def __init__(self, takes: bool) -> None:
        self.takes, self.cache = takes, None

    def create_runtime_cache(self) -> Cache:
        return Cache(self.takes)

    def set_runtime_cache(self, cache: Cache) -> bool:
        self.cache = cache  # type: ignore[assignment]
        return True


class Loaded:
    """A loaded plan that hands out contexts."""

    def __init__(self, *, takes: bool = True) -> None:
        self.config = Config(takes)

    def create_runtime_config(self) -> Config:
        return self.config

    def create_execution_context(self, config: Config) -> tuple[str, Cache | None]:
        return "context", config.cache


def test_compiled_kernels_are_kept_for_the_next_process(tmp_path: Path) -> None:
    file = CacheFile(tmp_path, ("tensorrt_rtx", "1.7"), "runtime")
    first = KeptKernels(Loaded(), file)  # type: ignore[arg-type]
    assert not first.were_known
    assert first.context() is not None
    first.keep()
    assert file.path.name == "tensorrt_rtx-1.7.runtime"
    second = KeptKernels(Loaded(), file)  # type: ignore[arg-type]
    assert second.were_known
    second.keep()
    assert file.read() == b"+compiled+compiled"
    other_driver = KeptKernels(Loaded(takes=False), file)  # type: ignore[arg-type]
    assert not other_driver.were_known
    other_driver.keep()
    assert file.read() == b"+compiled"


needs_library = pytest.mark.skipif(
    TensorRTRTXEngine().builds() is not None,
    reason=f"needs {LIBRARIES['tensorrt_rtx'].title}: pip install 'freeway-nas[tensorrt-rtx]'",
)


@pytest.fixture(scope="module")
def compiler() -> IsolatedLatency:
    """The library in a child process, which this process never loads."""
    return IsolatedLatency(partial(CompiledLatency, TensorRTRTXEngine(), "rtx_4090"))


@needs_library
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_is_built_without_a_gpu_and_is_the_same_each_time(
    compiler: IsolatedLatency, precision: str
) -> None:
    kind = "fp32" if precision == "fp32" else "fp16"
    onnx = upscaler(float_type=kind, int8=precision == "int8")
    one, other = (compiler.build(onnx, precision) for _ in range(2))  # type: ignore[arg-type]
    assert one == other
    assert len(one.data) > 10_000 and one.parsed_layers >= 3


@needs_library
def test_each_kind_of_card_has_a_plan_of_its_own() -> None:
    plans = set()
    for cards in ("portable", ["sm75"], ["sm86"], ["sm89"], ["sm120"], ["sm86", "sm89"]):
        engine = TensorRTRTXEngine(compute_capability=cards)
        with IsolatedLatency(partial(CompiledLatency, engine, "rtx_4090")) as compiler:
            plans.add(compiler.build(chain(float_type="fp16"), "fp16").data)
    assert len(plans) == 6


@needs_library
def test_the_library_is_loaded_in_the_child_alone() -> None:
    code = (
        "import sys, json\n"
        "from functools import partial\n"
        "from latency_models.compiled import CompiledLatency\n"
        "from latency_models.engines.trt_rtx import TensorRTRTXEngine\n"
        "from latency_models.isolated import IsolatedLatency\n"
        "with IsolatedLatency(partial(CompiledLatency, TensorRTRTXEngine(), 'rtx_4090')) as one:\n"
        "    told = one.identity()\n"
        "print(json.dumps([told['engine'], 'tensorrt_rtx' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["tensorrt_rtx", False]


@needs_library
def test_a_file_at_another_precision_is_refused_before_it_is_built(
    compiler: IsolatedLatency,
) -> None:
    with pytest.raises(CompileError, match="fp16"):
        compiler.build(chain(float_type="fp32"), "fp16")


def test_the_engine_is_listed() -> None:
    assert "tensorrt_rtx" in ENGINES

"""What a part of the GPU script says where a network, the machine or the time fails it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from gpu_parts import repeated, rtx, screened, timing, training  # noqa: E402
from gpu_parts.base import Pace, Row, one_line  # noqa: E402
from gpu_parts.forms import form_for  # noqa: E402
from small_nets import report  # noqa: E402

from latency_models.base import CompileError, DeviceError, Sample  # noqa: E402
from latency_models.measured import MeasuredLatency  # noqa: E402
from latency_models.protocol import MeasuringProtocol  # noqa: E402

FORM = form_for("cpu", smallest=True)


class Model:
    """A compiled network whose every run takes a millisecond by the GPU's events."""

    engine_bytes = 1
    peak_memory_mib = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        return list(inputs)

    def timed_runs(self, count: int) -> list[Sample]:
        return [Sample(wall_ms=2.0, cpu_ms=2.0, device_ms=1.0)] * count

    def layers(self, *, timed: bool = False) -> list[Any]:
        raise AssertionError("no layers are asked for")


class Engine:
    """Compiles everything, or raises what it is told to."""

    name, threads = "inductor", 1

    def __init__(self, raised: Exception | None = None) -> None:
        self.raised = raised

    def available(self) -> str | None:
        return None

    def version(self) -> str:
        return "1"

    def device(self) -> str:
        return "made-up GPU"

    def compile(self, onnx: bytes, precision: str) -> Model:
        if self.raised is not None:
            raise self.raised
        return Model()


class Latency:
    """As `IsolatedLatency`, in this process."""

    timeout_s = 0.0

    def __init__(self, engine: Any) -> None:
        protocol = MeasuringProtocol(warmup_s=0.0, budget_s=0.2, reference_ms=1.0)
        self.inner = MeasuredLatency(engine, protocol)

    def measure(self, *asked: Any, **limit: Any) -> Any:
        return self.inner.measure(*asked, **limit)


def told(engine: Any, pace: Pace, count: int = 1) -> list[Row]:
    rows: list[Row] = []
    items = timing.items_of(["ecbsr_m4c8"] * count, ["fp16"], [(24, 32)])
    latency: Any = Latency(timing.UnlistedEngine(engine))
    timing.receipts("networks", items, engine, pace, rows.append, latency=latency)
    return rows


def test_a_receipt_is_by_events_where_there_are_any_and_asks_for_no_layers() -> None:
    (row,) = told(Engine(), Pace(60))
    assert (row.outcome, row.value, row.unit) == ("measured", 1.0, "ms")
    assert row.what == "ecbsr_m4c8 fp16 24x32" and "device clock" in row.words
    assert row.facts["receipt"]["layers_after"] == 0


def test_what_there_is_no_time_for_is_one_line_that_lists_it() -> None:
    (row,) = told(Engine(), Pace(-1), count=3)
    assert (row.outcome, row.words) == ("skipped", "skipped: time")
    assert len(row.facts["left_out"]) == 3 and "and 2 more" in row.what


def test_a_refused_network_is_no_failure_and_a_failed_machine_is() -> None:
    refused = timing.unmeasured("networks", "espcn", CompileError("no Slice"), Pace(60))
    assert (refused.outcome, refused.words) == ("refused", "no Slice")
    failed = timing.unmeasured("networks", "espcn", DeviceError("out of memory"), Pace(60))
    assert (failed.outcome, failed.words) == ("failed", "out of memory")
    late = timing.unmeasured("networks", "espcn", CompileError("no answer"), Pace(-1))
    assert late.outcome == "skipped"


def test_a_machine_that_fails_one_network_is_asked_for_the_next() -> None:
    rows = told(Engine(DeviceError("lost")), Pace(60), count=2)
    assert [(row.outcome, row.words) for row in rows] == [("failed", "lost")] * 2


def test_two_processes_are_compared_and_a_missing_receipt_is_told_instead() -> None:
    one, other = report(median_ms=2.0), report(median_ms=2.04)
    item = timing.Item("espcn", "fp32", (24, 32))
    row = repeated._row(item, one, other)
    assert row.value == pytest.approx(1.02)
    gone = Row("repeated", str(item), "refused", words="no Slice")
    assert repeated._row(item, one, gone) is gone and repeated._row(item, gone, other) is gone


def test_several_trainings_are_summed_and_one_that_breaks_is_named() -> None:
    rates = [training.Rate("none", 100.0), training.Rate("none", 50.0)]
    row = training._row(FORM, 2, "none", rates)
    assert row.value == 150 and row.what == "ecbsr_m4c8 x 2, eager"
    waited = training.Rate("none", 0.0, "BrokenBarrierError")
    broken = training.Rate("none", 0.0, "RuntimeError: out of memory in this process")
    row = training._row(FORM, 2, "none", [waited, broken])
    assert (row.outcome, row.words) == ("failed", broken.broken)
    row = training._row(FORM, 2, "none", rates[:1])
    assert (row.outcome, row.words) == ("failed", "1 of 2 processes answered in time")


def test_refused_candidates_are_told_beside_the_others() -> None:
    found = [screened.Screened(2.0, 1.0), screened.Screened(1.0, refused="no Slice")]
    row = screened._row("1 worker", found, 4.0)
    assert row.value == 0.25 and row.words.endswith("1 refused: no Slice")
    assert screened._row("1 worker", found[1:], 4.0).outcome == "refused"
    assert screened._row("1 worker", [], 4.0).outcome == "skipped"


class Builder:
    """Gives the plan that it is told to, after a word to the logger."""

    def __init__(self, plan: bytes | None) -> None:
        self.plan = plan

    def create_network(self, flags: int) -> None: ...

    def create_builder_config(self) -> SimpleNamespace:
        return SimpleNamespace(set_compute_capability=lambda which, index: self.plan is not None)

    def build_serialized_network(self, network: None, config: Any) -> bytes | None:
        return self.plan


def library(plan: bytes | None) -> rtx.Library:
    said: list[str] = []

    class Parser:
        def __init__(self, network: None, logger: None) -> None:
            said.append("UNSUPPORTED_CC: 9.0")

        def parse(self, data: bytes) -> bool:
            return True

    class Runtime:
        def __init__(self, logger: None) -> None:
            said.append("UNSUPPORTED_CC: 9.0")

        def deserialize_cuda_engine(self, plan: bytes) -> None: ...

        def get_engine_validity(self, plan: bytes) -> tuple[str, int]:
            return ("INVALID", 2)

    made = SimpleNamespace(
        Builder=lambda logger: Builder(plan), OnnxParser=Parser, Runtime=Runtime,
        ComputeCapability=SimpleNamespace(CURRENT=0), __name__="made_rtx", __version__="1",
    )  # fmt: skip
    return rtx.Library(made, None, said)


def test_a_plan_that_is_built_and_not_loaded_is_told_in_the_librarys_words() -> None:
    rows: list[Row] = []
    item = timing.Item("ecbsr_m4c8", "fp16", (24, 32))
    rtx._tell_one(library(b"plan"), item, "portable", rows.append)
    assert [row.outcome for row in rows] == ["measured", "refused"]
    words = "the plan is not loaded (validity: ('INVALID', 2)): UNSUPPORTED_CC: 9.0"
    assert rows[-1].words == words


@pytest.mark.parametrize(
    ("plan", "words"),
    [("portable", "no plan: UNSUPPORTED_CC: 9.0"),
     ("this GPU", "no plan for this GPU alone: UNSUPPORTED_CC: 9.0")],
)  # fmt: skip
def test_a_plan_that_is_not_built_is_told_in_the_librarys_words(plan: str, words: str) -> None:
    rows: list[Row] = []
    item = timing.Item("ecbsr_m4c8", "fp16", (24, 32))
    rtx._tell_one(library(None), item, plan, rows.append)
    assert [(row.outcome, row.words) for row in rows] == [("refused", words)]


def test_an_error_is_told_on_one_line_with_its_type_where_that_says_more() -> None:
    assert one_line(CompileError("no\n  Slice")) == "no Slice"
    assert one_line(KeyError("a\nb")) == r"KeyError: 'a\nb'"
    assert one_line(RuntimeError()) == "RuntimeError"

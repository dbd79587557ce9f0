"""TensorRT's own parser is asked where it is installed, and the rules where it is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tensorrt_files import LIBRARY, Small
from tensorrt_refused import REFUSED
from tensorrt_taken import KEPT, TAKEN
from trt_style_nets import chain, upscaler

from latency_models.base import DeviceError
from latency_models.engines.trt_library import Library
from latency_models.engines.trt_rtx import TensorRTRTXEngine
from latency_models.isolated import Isolated
from latency_models.trt_compatibility import check
from latency_models.trt_examined import BUILT_OTHERWISE, Examiner

needs_library = pytest.mark.skipif(
    TensorRTRTXEngine().builds() is not None, reason="needs TensorRT for RTX"
)


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as asked:
        yield asked


def test_without_the_library_the_rules_answer_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TensorRTRTXEngine, "builds", lambda self: "not installed")
    with Examiner() as asked:
        for file in (upscaler(int8=True), REFUSED[0].file()):
            examined = asked.examine(file)
            assert examined.by == "the documented rules"
            assert examined.findings == check(file)


def test_where_the_machine_fails_the_library_the_rules_answer_and_say_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_little(self: Isolated, *asked: object, **options: object) -> str:
        raise DeviceError("OutOfMemory (Requested size was 68719477168 bytes.)")

    monkeypatch.setattr(TensorRTRTXEngine, "builds", lambda self: None)
    monkeypatch.setattr(Library, "version", lambda self: "1.7")
    monkeypatch.setattr(Isolated, "ask", too_little)
    with Examiner() as asked:
        examined = asked.examine(upscaler(int8=True))
    assert examined.by.startswith("the documented rules, for TensorRT for RTX 1.7 could not ans")
    assert "OutOfMemory" in examined.by
    assert examined.findings == check(upscaler(int8=True))


def test_a_file_that_cannot_be_read_is_told_once() -> None:
    with Examiner() as asked:
        for file in (b"", b"no onnx at all"):
            (finding,) = asked.examine(file).findings
            assert finding.message.startswith("it is no ONNX file that can be read")


@needs_library
def test_the_projects_own_style_has_no_error_by_the_library(examiner: Examiner) -> None:
    assert examiner.by == f"TensorRT for RTX {LIBRARY}"
    for file in (chain(), upscaler(float_type="fp16"), upscaler(float_type="fp16", int8=True)):
        assert examiner.examine(file).errors == []


@needs_library
@pytest.mark.parametrize("small", REFUSED[::4], ids=lambda small: small.name)
def test_what_the_library_refuses_is_told_in_its_own_words_first(
    examiner: Examiner, small: Small
) -> None:
    first = examiner.examine(small.file()).findings[0]
    assert (first.level, first.rule) == ("error", examiner.by)
    assert first.message.startswith("TensorRT for RTX cannot") and "\n" not in first.message


@needs_library
@pytest.mark.parametrize("small", TAKEN[::4], ids=lambda small: small.name)
def test_what_the_library_takes_has_no_error(examiner: Examiner, small: Small) -> None:
    assert examiner.examine(small.file()).errors == []


@needs_library
@pytest.mark.parametrize("small", KEPT, ids=lambda small: small.name)
def test_what_it_builds_otherwise_stays_an_error_and_a_mere_document_does_not(
    examiner: Examiner, small: Small
) -> None:
    examined = examiner.examine(small.file())
    (rule,) = small.rules
    if rule in BUILT_OTHERWISE:
        assert {error.rule for error in examined.errors} == {rule}
        assert all("computed otherwise" in error.message for error in examined.errors)
    else:
        assert examined.errors == []
        assert any(f.rule == rule and "builds it" in f.message for f in examined.findings)


@needs_library
def test_a_file_that_is_none_is_refused_and_the_next_one_answered(examiner: Examiner) -> None:
    assert examiner.examine(b"no onnx at all").errors
    assert examiner.examine(chain()).errors == []

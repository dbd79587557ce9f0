"""Will TensorRT take this ONNX file? Its own parser and builder say so where they are installed.

TensorRT for RTX parses and builds on machines without a GPU, with the parser of the full library;
that one may still lack a kernel for a file that is taken here, or have one that RTX lacks. Where
it is not installed the documented rules answer alone (`trt_compatibility`). What a file costs is
told by the rules in either case, and so is what the library builds without a word and computes
otherwise than the file says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from latency_models.base import Closing, CompileError, DeviceError
from latency_models.engines.trt_build import (
    BuildOptions,
    build_plan,
    known_operators,
    parsed,
)
from latency_models.engines.trt_library import LIBRARIES, take
from latency_models.engines.trt_rtx import TensorRTRTXEngine
from latency_models.isolated import Isolated
from latency_models.trt_compatibility import UNREADABLE, Finding, check

BUILT_OTHERWISE = frozenset(
    {"int8 zero point", "both inputs", "weight axis", "positive scale", "operator", "attribute"}
)
"""Rules whose breach the library builds silently: UINT8 is read as INT8, a convolution runs in
float, an infinite scale multiplies by zero, another domain's operator is taken for ONNX's own."""
_LIBRARY = LIBRARIES["tensorrt_rtx"]
_RULES = "the documented rules"


@dataclass(frozen=True)
class Examined:
    """What is known about one file.

    Attributes:
        findings: errors first.
        by: who answered: the library and its version, or the rules; and why the library did not
            where it was asked.
    """

    findings: Sequence[Finding]
    by: str

    @property
    def errors(self) -> list[Finding]:
        """Those that keep TensorRT from computing what the file says."""
        return [finding for finding in self.findings if finding.level == "error"]


class Parser:
    """The library itself, to be asked in a child process (`Isolated(Parser)`)."""

    def version(self) -> str:
        """The library's version."""
        return _LIBRARY.version()

    def refusal(self, onnx: bytes, *, build: bool = True) -> str:
        """Why it does not parse (and build) this file; empty when it does."""
        take(_LIBRARY.module)
        try:
            if build:
                build_plan(onnx, BuildOptions(), timing_cache=None, detailed=False)
            else:
                parsed(onnx)
        except CompileError as error:
            return str(error)
        return ""

    def operators(self, names: Sequence[str]) -> list[str]:
        """Those of these ONNX operators that its parser knows."""
        take(_LIBRARY.module)
        return known_operators(names)


class Examiner(Closing):
    """Asks the library, in a process of its own, else the rules."""

    def __init__(self) -> None:
        """Look whether the library is here; it is loaded with the first file."""
        here = TensorRTRTXEngine().builds() is None
        self._child = Isolated(Parser) if here else None
        self.by = f"{_LIBRARY.title} {_LIBRARY.version()}" if here else _RULES

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.close()

    def examine(self, onnx: bytes) -> Examined:
        """All that is known about this file.

        Where this machine keeps the library from an answer (it has too little memory, or the
        child was killed), the rules answer and `by` says so.
        """
        findings = check(onnx)
        if self._child is None or any(finding.rule == UNREADABLE for finding in findings):
            return Examined(findings, self.by if self._child is None else _RULES)
        try:
            refusal = self._child.ask("refusal", onnx)
        except CompileError as error:  # it crashed, or took too long
            refusal = str(error)
        except DeviceError as error:
            return Examined(findings, f"{_RULES}, for {self.by} could not answer: {error}")
        if refusal:
            told = Finding("error", "file", self.by, refusal)
            return Examined([told, *findings], self.by)
        errors, advice = [], []
        for finding in findings:
            if finding.level == "error" and finding.rule in BUILT_OTHERWISE:
                words = f"{finding.message} (built without a word, and computed otherwise)"
                errors.append(replace(finding, message=words))
            elif finding.level == "error":
                words = f"{finding.message} (a documented refusal; {self.by} builds it)"
                advice.append(replace(finding, level="advice", message=words))
            else:
                advice.append(finding)
        return Examined([*errors, *advice], self.by)

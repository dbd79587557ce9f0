"""The side that lacks the device: a latency model whose work a measuring worker does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from latency_models.base import (
    Arrays,
    CompileError,
    DeviceError,
    Frames,
    LatencyReport,
    Plan,
    Precision,
)
from nas.storage import Notice
from nas.workers.measuring import Measuring, Requests, unpack_frames

_POLL_S, _PATIENCE_S = 0.25, 60.0
_ERRORS: dict[str, type[Exception]] = {"compile": CompileError, "device": DeviceError}


class Compiler(Protocol):
    """What compiles a file on the side that asks, with the engine of the measuring worker."""

    def identity(self) -> dict[str, str]:
        """Its engine's version, among others."""

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        """Compile only, in a process of its own."""

    def close(self) -> None:
        """End that process."""


class ServedLatency:
    """A latency model, and a runner, whose work is done by a measuring worker.

    Attributes:
        patience_s: a request that was taken and not answered for so long is asked again.
    """

    def __init__(
        self,
        requests: Requests,
        protocol: Measuring,
        *,
        notice: Notice,
        patience_s: float = 300.0,
        safe_point: Callable[[], None] = lambda: None,
        compiler: Compiler | None = None,
    ) -> None:
        """Ask through this queue.

        Args:
            compiler: compiles each file here first, so that what the engine refuses never takes
                the device's time; None to leave that to the measuring worker.
        """
        self._requests, self._protocol = requests, protocol
        self._notice, self.patience_s, self._safe_point = notice, patience_s, safe_point
        self._compiler = compiler

    def close(self) -> None:
        """End what compiles here."""
        if self._compiler is not None:
            self._compiler.close()

    def identity(self) -> dict[str, str]:
        """That of the measuring worker; waits for the first one to come."""
        told = False
        while (identity := self._requests.identity) is None:
            if not told:
                self._notice("waiting for the first measuring worker: nas measure-worker")
                told = True
            self._safe_point()
            time.sleep(_POLL_S)
        return identity

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        """Have it measured.

        Raises:
            CompileError: the graph is at fault, here or there.
            DeviceError: the machine is at fault, there.
        """
        ask = {"method": "measure", "precision": precision, "limit_ms": limit_ms}
        plan = None
        if self._compiler is not None:
            built = self._compiler.build(onnx, precision)
            # A plan of another version, or for other cards, would only be refused there.
            version = self._compiler.identity()["engine_version"]
            if self._requests.loads_plans and self.identity()["engine_version"] == version:
                plan = built.data
        return LatencyReport.from_json(self._answer(onnx, None, ask, plan)["report"])

    def run(
        self, onnx: bytes, precision: Precision, frames: Frames, carried: Mapping[str, str]
    ) -> list[Arrays]:
        """Have it run over these frames, as `MeasuredLatency.run`.

        Raises:
            CompileError: the graph is at fault, there.
            DeviceError: the machine is at fault, there.
        """
        ask = {"method": "run", "precision": precision, "carried": dict(carried)}
        return unpack_frames(self._answer(onnx, frames, ask)["outputs"])

    def _answer(
        self,
        onnx: bytes,
        frames: Frames | None,
        ask: dict[str, Any],
        plan: bytes | None = None,
    ) -> dict[str, Any]:
        asked_for = {**ask, "protocol": self._protocol}
        request = self._requests.ask(onnx, frames, asked_for, plan)
        asked, told = time.monotonic(), False
        try:
            while (answer := self._requests.answer_to(request)) is None:
                self._safe_point()
                time.sleep(_POLL_S)
                waited_s = time.monotonic() - asked
                if waited_s > _PATIENCE_S and not told:
                    self._notice("waiting for a measuring worker (nas measure-worker)")
                    told = True
                if waited_s > self.patience_s:
                    self._requests.withdraw(request)
                    request = self._requests.ask(onnx, frames, asked_for, plan)
                    asked = time.monotonic()
        except BaseException:
            self._requests.withdraw(request)
            raise
        if "error" in answer:
            raise _ERRORS[answer["error"]](answer["text"])
        return answer

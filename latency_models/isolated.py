"""A crash or a hang of an engine costs a child process, not the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from latency_models import device
from latency_models.base import Arrays, Closing, Frames, LatencyReport, Layer, Plan, Precision
from latency_models.child import Child


class Isolated(Closing):
    """Runs what it is given in a child process that is kept while it is healthy.

    What the child does wrong while it works on a file is that file's rejection (`CompileError`):
    it crashed by a signal or an exit, hung, or took too much memory. A child that does not start,
    or that somebody killed from outside, is the machine's fault (`DeviceError`). After any of
    these the next call starts a fresh child. The child dies with this process, however that dies.

    Attributes:
        factory: makes what is asked in the child; anything that can be pickled by its name, as
            `functools.partial(MeasuredLatency, OpenVINOEngine())`.
        timeout_s: for one request, not counting the wait for another process that is timing.
        memory_limit_mib: resident memory of the child; without one, 80 % of what is free when
            the child starts.
        notice: told when the child waits for another process, and again each second.
    """

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        timeout_s: float = 120.0,
        memory_limit_mib: float | None = None,
        notice: device.Notice | None = None,
    ) -> None:
        if getattr(getattr(factory, "func", factory), "__module__", "") == "__main__":
            raise TypeError(
                "the factory is defined in the main script, which the child does not import: "
                "move it to a module"
            )
        self.factory = factory
        self.timeout_s = timeout_s
        self.memory_limit_mib = memory_limit_mib
        self.notice = notice
        self._child: Child | None = None
        self._one_at_a_time = threading.Lock()

    def close(self) -> None:
        """End the child; a later call starts another."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call this method in the child and return what it returns.

        Raises:
            CompileError: the child crashed, hung or took more memory than allowed.
            DeviceError: it did not start, or somebody killed it.
        """
        if device.is_held():
            raise RuntimeError(
                "this process holds a device alone, so the child would wait for it for ever: "
                "release it first"
            )
        with self._one_at_a_time:
            if self._child is None:
                self._child = Child(self.factory, self.memory_limit_mib, self.notice)
            child = self._child
            try:
                result = child.ask((method, args, kwargs), self.timeout_s)
            finally:
                if not child.is_healthy():
                    self.close()
            return result


class IsolatedLatency(Isolated):
    """A latency model in a child process; the arguments are those of `Isolated`."""

    def identity(self) -> dict[str, str]:
        """That of the model in the child."""
        identity: dict[str, str] = self.ask("identity")
        return identity

    def measure(
        self,
        onnx: bytes,
        precision: Precision,
        *,
        limit_ms: float | None = None,
        plan: bytes | None = None,
    ) -> LatencyReport:
        """Measure in the child.

        Args:
            plan: as for `MeasuredLatency`.

        Raises:
            CompileError: the graph is at fault: the engine refused it, crashed, hung or took more
                memory than allowed.
            DeviceError: the machine is at fault, or the child did not start.
        """
        more = {} if plan is None else {"plan": plan}
        report: LatencyReport = self.ask("measure", onnx, precision, limit_ms=limit_ms, **more)
        return report

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        """Compile in the child and load nothing, where its model can do that.

        Raises:
            CompileError: as in `measure`.
            DeviceError: as in `measure`.
        """
        plan: Plan = self.ask("build", onnx, precision)
        return plan

    def run(
        self, onnx: bytes, precision: Precision, frames: Frames, carried: Mapping[str, str]
    ) -> list[Arrays]:
        """Compile in the child and run over frames, as `MeasuredLatency.run`.

        Raises:
            CompileError: as in `measure`.
            DeviceError: as in `measure`.
        """
        whole = [
            {name: np.ascontiguousarray(array) for name, array in frame.items()}
            for frame in frames
        ]
        outputs: list[Arrays] = self.ask("run", onnx, precision, whole, dict(carried))
        return outputs

    def layers(self, onnx: bytes, precision: Precision) -> list[Layer]:
        """What the engine in the child executes, with the time of each layer.

        Raises:
            CompileError: as in `measure`.
            DeviceError: as in `measure`.
        """
        layers: list[Layer] = self.ask("layers", onnx, precision)
        return layers

"""An engine set up for timing: its child process, its receipts, and the roofs of its device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from latency_models.base import Closing, Engine, LatencyReport, Layer, Precision
from latency_models.cached import CachedLatency, IdentifiedLatency
from latency_models.device import Notice
from latency_models.energy import EnergyLatency
from latency_models.engines import pick_engine
from latency_models.int8_support import largest_weight
from latency_models.isolated import IsolatedLatency
from latency_models.protocol import MeasuringProtocol
from latency_models.roofline import Peaks, measure_peaks
from latency_models.trt_examined import Examined, Examiner

_TIMEOUT_S = 600.0
RECEIPTS = "receipts.sqlite"
WITHIN = 0.03


def receipts_path() -> Path:
    """The user's file of receipts: `$XDG_CACHE_HOME/freeway`, or `~/.cache/freeway`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "freeway" / RECEIPTS


class Bench(Closing):
    """Times files on one engine, each once: later questions are answered from receipts.

    Attributes:
        engine: what compiles and runs.
        named: the engine as files are written for it; `module:Class` of one's own.
        latency: what is asked; receipts first, then the child process.
        measured: how many files were really run, and not answered from receipts.
    """

    def __init__(
        self,
        engine: Engine,
        receipts: Path | None,
        *,
        named: str = "",
        within: float = WITHIN,
        notice: Notice | None = None,
    ) -> None:
        """Set up; the child starts with the first question.

        Args:
            engine: an available one.
            receipts: the file that keeps them; None to measure anew and keep nothing.
            named: the engine as files are written for it; its own name when empty.
            within: how far another process may find the same file's median, relative, when the
                verdict is `ok`.
            notice: told when another process is timing and this one waits.

        Raises:
            OSError: the receipts cannot be written there.
            ValueError: the file of receipts is something else.
        """
        self.engine, self.named = engine, named or engine.name
        self.measured = 0
        protocol = MeasuringProtocol.within(within)
        factory = partial(EnergyLatency, engine, protocol)
        self._isolated = IsolatedLatency(factory, timeout_s=_TIMEOUT_S, notice=notice)
        counted = _Counted(self, self._isolated)
        self.latency: IdentifiedLatency = counted
        if receipts:
            self.latency = CachedLatency(counted, receipts, widest=protocol.widest_ok)
        self._peaks: dict[Precision, Peaks] = {}
        self._examiner: Examiner | None = None

    def close(self) -> None:
        """End the child processes."""
        self._isolated.close()
        if self._examiner is not None:
            self._examiner.close()

    def last(self, onnx: bytes, precision: Precision) -> LatencyReport | None:
        """What is kept of this file on this device, whatever its verdict; nothing is measured.

        Raises:
            DeviceError: the machine is at fault.
        """
        cached = self.latency
        return cached.last(onnx, precision) if isinstance(cached, CachedLatency) else None

    def examine(self, onnx: bytes) -> Examined:
        """Whether TensorRT takes this file: its own parser says so where it is installed.

        Raises:
            DeviceError: the machine is at fault.
        """
        if self._examiner is None:
            self._examiner = Examiner()
        return self._examiner.examine(onnx)

    def layers(self, onnx: bytes, precision: Precision) -> Sequence[Layer]:
        """What the engine executes, each layer timed by its own profiler.

        Raises:
            CompileError: the graph is at fault.
            DeviceError: the machine is at fault.
        """
        return self._isolated.layers(onnx, precision)

    def peaks(self, precision: Precision) -> Peaks:
        """The roofs of this device, measured when they are first asked for.

        Raises:
            CompileError: the engine has no such precision.
            DeviceError: the machine is at fault.
        """
        if precision not in self._peaks:
            self._peaks[precision] = measure_peaks(
                self.latency, precision, weight_max=largest_weight(self.engine.name)
            )
        return self._peaks[precision]


def open_bench(
    name: str,
    *,
    threads: int,
    receipts: Path | None,
    within: float = WITHIN,
    notice: Notice | None = None,
) -> tuple[Bench, str]:
    """The engine of this name, ready to time, and the sentence that says why it was picked.

    Raises:
        ValueError: no such engine, or it has no threads to set.
        EngineUnavailable: it cannot run here.
        OSError: the receipts cannot be written.
    """
    from nas.spaces import find_modules_here

    find_modules_here()
    engine, why = pick_engine(name, threads=threads)
    named = name if ":" in name else engine.name
    return Bench(engine, receipts, named=named, within=within, notice=notice), why


class _Counted:
    """Passes questions on and counts them."""

    def __init__(self, bench: Bench, inner: IsolatedLatency) -> None:
        self._bench = bench
        self._inner = inner

    def identity(self) -> dict[str, str]:
        return self._inner.identity()

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        report = self._inner.measure(onnx, precision, limit_ms=limit_ms)
        self._bench.measured += 1
        return report

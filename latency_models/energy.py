"""Energy of one inference, where the device counts the energy it spends.

A GPU's counter is NVML's (`nvmlDeviceGetTotalEnergyConsumption`), a processor's is the powercap
interface of Linux (RAPL; readable by root only on most systems, for it can leak secrets:
CVE-2020-8694). Both count the whole device: idle power and all that others do on it are in them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from latency_models import device
from latency_models.base import Arrays, Engine, Frames, LatencyReport, Layer, Precision
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol

POWERCAP = Path("/sys/class/powercap")
_BATCH_S = 0.05
_MAX_RUNS = 256


class EnergyLatency:
    """Measures like `MeasuredLatency`; full receipts also tell the energy, in their conditions.

    `energy_mj` is per inference, `energy_w` the mean power meanwhile, `energy_of` which device
    was counted. Where nothing is counted, the receipt is what `MeasuredLatency` gives.

    Attributes:
        run_s: how long the network runs for it, after the latency is known.
    """

    def __init__(
        self, engine: Engine, protocol: MeasuringProtocol | None = None, *, run_s: float = 1.0
    ) -> None:
        self.inner = MeasuredLatency(engine, protocol)
        self.run_s = run_s

    def identity(self) -> dict[str, str]:
        """That of the measurement, and which counters there are."""
        counters = " ".join(sorted(_processor_uj())) + (" gpu" if self._gpu_j() else "")
        return self.inner.identity() | ({"energy": counters.strip()} if counters else {})

    def layers(self, onnx: bytes, precision: Precision) -> list[Layer]:
        """As `MeasuredLatency.layers`."""
        return self.inner.layers(onnx, precision)

    def run(
        self, onnx: bytes, precision: Precision, frames: Frames, carried: Mapping[str, str]
    ) -> list[Arrays]:
        """As `MeasuredLatency.run`."""
        return self.inner.run(onnx, precision, frames, carried)

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        """Measure, then run for `run_s` beside the counter.

        Raises:
            CompileError: the engine refuses the graph.
            DeviceError: the machine failed.
        """
        report = self.inner.measure(onnx, precision, limit_ms=limit_ms)
        on_gpu = report.clock == "device"
        if limit_ms is not None or self._spent(on_gpu, self._read(on_gpu)) is None:
            return report
        engine = self.inner.engine
        runs, batch = 0, round(_BATCH_S * 1e3 / max(report.median_ms, 1e-3))
        batch = min(_MAX_RUNS, max(1, batch))
        with engine.compile(onnx, precision) as compiled, device.exclusive(engine.device()):
            compiled.timed_runs(batch)
            before, started = self._read(on_gpu), time.perf_counter()
            while time.perf_counter() - started < self.run_s:
                compiled.timed_runs(batch)
                runs += batch
            joules, elapsed_s = self._spent(on_gpu, before), time.perf_counter() - started
        if not joules:
            return report
        facts: dict[str, float | str] = {
            "energy_mj": joules / runs * 1e3,
            "energy_w": joules / elapsed_s,
            "energy_of": "gpu" if on_gpu else "processor package",
        }
        return replace(report, conditions={**report.conditions, **facts})

    def _read(self, on_gpu: bool) -> Mapping[str, float]:
        return self._gpu_j() if on_gpu else _processor_uj()

    def _gpu_j(self) -> Mapping[str, float]:
        index = int(getattr(self.inner.engine, "device_index", 0))
        energy = device.gpu_conditions(index).get("gpu_energy_j")
        return {} if energy is None else {"gpu": float(energy)}

    def _spent(self, on_gpu: bool, before: Mapping[str, float]) -> float | None:
        """Joules since `before`; None where the device counts nothing."""
        if not before:
            return None
        now = self._read(on_gpu)
        if on_gpu:
            return now["gpu"] - before["gpu"]
        return sum(_grown(zone, before[zone], now.get(zone, 0.0)) for zone in before) / 1e6


def _processor_uj() -> dict[str, float]:
    """Microjoules by package; empty where they cannot be read."""
    counts: dict[str, float] = {}
    for zone in sorted(POWERCAP.glob("intel-rapl:[0-9]")):
        with suppress(OSError, ValueError):
            if (zone / "name").read_text().startswith("package"):
                counts[zone.name] = float((zone / "energy_uj").read_text())
    return counts


def _grown(zone: str, before: float, now: float) -> float:
    """How far a counter came that starts again at its greatest value."""
    if now >= before:
        return now - before
    with suppress(OSError, ValueError):
        return now - before + float((POWERCAP / zone / "max_energy_range_uj").read_text())
    return 0.0

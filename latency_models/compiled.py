"""What can be known of a network that is compiled and not run: that it compiles, and its roofs.

For machines that have an engine's compiler and not its device. The figures are estimates from a
data sheet, marked as such; no network was run for them.
"""

from __future__ import annotations

import time
from typing import Any

from latency_models.base import AheadOfTime, EngineUnavailable, LatencyReport, Plan, Precision
from latency_models.cards import CARDS, Card
from latency_models.file_work import work_of_file
from latency_models.measured import engine_options, file_facts_of
from latency_models.roofline import roof

STATE = "compiled, not run: the roofline of a data sheet"


class Compiler:
    """Compiles and nothing else.

    Attributes:
        engine: what compiles.
    """

    def __init__(self, engine: AheadOfTime) -> None:
        self.engine = engine

    def identity(self) -> dict[str, str]:
        """What a plan depends on beside the file and its precision."""
        return {
            "engine": self.engine.name,
            "engine_version": self.engine.version(),
            "options": engine_options(self.engine),
        }

    def build(self, onnx: bytes, precision: Precision) -> Plan:
        """Compile only.

        Raises:
            CompileError: the engine refuses the graph.
            EngineUnavailable: it cannot compile here.
        """
        return self.engine.build(onnx, precision)


class CompiledLatency(Compiler):
    """Compiles, and answers with what the card's data sheet allows at best.

    Attributes:
        card: a name in `cards.CARDS`, whose data sheet is asked.
    """

    def __init__(self, engine: AheadOfTime, card: str) -> None:
        super().__init__(engine)
        self.card = card

    def identity(self) -> dict[str, str]:
        """What a stored report depends on beside the file and its precision."""
        return {**super().identity(), "device": repr(self._sheet()), "state": STATE}

    def measure(
        self, onnx: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        """Compile and return an estimate: `median_ms` is the roofline's bound.

        Raises:
            CompileError: the engine refuses the graph.
            EngineUnavailable: it cannot compile here.
        """
        facts = file_facts_of(onnx)
        started = time.perf_counter()
        plan = self.engine.build(onnx, precision)
        build_s = time.perf_counter() - started
        sheet, work = self._sheet(), work_of_file(onnx)
        under = roof(work, sheet.peaks(precision))
        bound_ms = under.bound_ms
        told: dict[str, Any] = {
            "state": STATE,
            "parsed_layers": plan.parsed_layers,
            "macs": work.macs,
            "bytes_moved": work.bytes_moved,
            "compute_ms": under.compute_ms,
            "memory_ms": under.memory_ms,
            "nearer": under.nearer,
        }
        return LatencyReport(
            median_ms=bound_ms, p5_ms=bound_ms, p95_ms=bound_ms, p99_ms=bound_ms,
            ci_low_ms=bound_ms, ci_high_ms=bound_ms, samples=0, warmup_s=0.0, clock="device",
            wall_median_ms=bound_ms, cpu_median_ms=0.0, precision=precision,
            engine=self.engine.name, engine_version=self.engine.version(), device=sheet.title,
            threads=1, build_s=build_s, peak_memory_mib=0.0, engine_bytes=len(plan.data),
            layers_after=plan.parsed_layers, drift=0.0, verdict="ok", estimated=True,
            conditions=told, **facts,
        )

    def _sheet(self) -> Card:
        return CARDS[self.card]


def require_builder(engine: Any) -> AheadOfTime:
    """The engine, if it can compile on this machine without its device.

    Raises:
        EngineUnavailable: it cannot; says why and what would.
    """
    where = "it compiles on the device that it runs on, and tensorrt_rtx without one"
    reason = engine.builds() if hasattr(engine, "builds") else where
    if reason is not None:
        raise EngineUnavailable(f"engine '{engine.name}' cannot compile only: {reason}")
    builder: AheadOfTime = engine
    return builder

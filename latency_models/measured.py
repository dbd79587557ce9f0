"""The measuring protocol: a compiled network is run beside a fixed one until its median is known.

Which clock: the accelerator's where samples carry it; processor time for one thread, which hardly
moves when other processes take the core away; wall time for several threads.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import Any, cast

import numpy as np

from latency_models import device
from latency_models.base import (
    AheadOfTime,
    Arrays,
    CompiledModel,
    CompileError,
    DeviceError,
    Engine,
    Frames,
    LatencyReport,
    Layer,
    Precision,
    first_input_shape,
    graph_inputs,
    in_float,
    io_of,
)
from latency_models.protocol import MeasuringProtocol
from latency_models.reference_net import reference_onnx
from latency_models.rounds import (
    NOTABLY_FASTER,
    REFERENCE_RUNS,
    Rounds,
    Side,
    clock_for,
    on_clock,
    warm_up,
)
from runtime.pictures import entering, leaving
from runtime.signature import unroll

__all__ = ["MeasuredLatency", "MeasuringProtocol", "Side", "side_of"]
_CALIBRATION_S = 0.4


def side_of(report: LatencyReport, limit_ms: float, *, guard: float = 0.0) -> Side:
    """On which side of the limit this report's network is.

    For the limit that the report was made for, its own answer at its confidence; for another one,
    whether the whole 95 % interval lies on one side, `guard` away from the limit.
    """
    if report.conditions.get("limit_ms") == limit_ms:
        sides: dict[object, Side] = {"faster": "faster", "slower": "slower"}
        return sides.get(report.conditions.get("side"), "undecided")
    if report.ci_high_ms < limit_ms * (1 - guard):
        return "faster"
    if report.ci_low_ms > limit_ms * (1 + guard):
        return "slower"
    return "undecided"


STATE = "one call between calls of a reference network; inputs and outputs bound, none copied"
"""What is timed; receipts of anything else answer no question of this one."""


class MeasuredLatency:
    """Compiles with an engine and measures by the protocol; the truth that other models imitate.

    A report is `ok` when its interval decides the limit or is narrow (`half_width` is aimed at,
    `widest_ok` accepted). Where too few rounds were quiet, the interval is wider by what the
    correction may be wrong, so a machine that is busy throughout is seldom `ok`. It is
    `contended` when that failed while others used the machine: a wall median over 1.1 times the
    processor time at one thread, or other processes on cores that the threads need. It is
    `unstable` when it failed for no such reason. On processor time a busy machine can thus still
    give `ok`: the interval proves that it did not matter. On wall time contention is never `ok`.

    Attributes:
        engine: what compiles and runs.
        protocol: how long, how sure.
        notice: told when another process is timing and this one waits.
    """

    def __init__(
        self,
        engine: Engine,
        protocol: MeasuringProtocol | None = None,
        *,
        notice: device.Notice | None = None,
    ) -> None:
        self.engine = engine
        self.protocol = protocol or MeasuringProtocol()
        self.notice = notice
        self._reference: CompiledModel | None = None
        self._quiet_ms = self.protocol.reference_ms

    def identity(self) -> dict[str, str]:
        """What a stored report depends on beside the file and its precision."""
        engine = self.engine
        return {
            "engine": engine.name,
            "engine_version": engine.version(),
            "options": engine_options(engine),
            "device": engine.device(),
            "driver": device.driver(),
            "threads": str(engine.threads),
            "reference_ms": str(self.protocol.reference_ms),
            "state": STATE,
        }

    def run(
        self, onnx: bytes, precision: Precision, frames: Frames, carried: Mapping[str, str]
    ) -> list[Arrays]:
        """Compile once and run over frames: for parity and quality on the real engine.

        Args:
            frames: for each the inputs that come from outside, by name.
            carried: an output -> the input that takes it at the next frame; zeros at the first.

        Returns:
            All outputs of each frame by name.
        """
        import onnx as files

        model = files.load_model_from_string(onnx)
        inputs = {
            value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in graph_inputs(model)
        }
        taken = {value.name: io_of(value) for value in graph_inputs(model)}
        made_as = {value.name: io_of(value) for value in model.graph.output}

        def start(first: Arrays) -> Arrays:
            return {name: np.zeros(inputs[name], np.float32) for name in carried.values()}

        with self.engine.compile(onnx, precision) as compiled:

            def step(given: Arrays) -> Arrays:
                made = compiled.run([entering(given[name], io) for name, io in taken.items()])
                each = zip(made_as.items(), made, strict=True)
                return {name: leaving(array, io) for (name, io), array in each}

            return list(unroll(step, frames, carried=carried, start=start))

    def layers(self, onnx: bytes, precision: Precision) -> list[Layer]:
        """What the engine executes, each layer timed by the engine's own profiler.

        Raises:
            CompileError: the engine refuses the graph.
            DeviceError: the machine failed.
        """
        with self.engine.compile(onnx, precision) as compiled, self._alone():
            return compiled.layers(timed=True)

    def measure(
        self,
        onnx: bytes,
        precision: Precision,
        *,
        limit_ms: float | None = None,
        plan: bytes | None = None,
    ) -> LatencyReport:
        """Compile, measure and return the receipt.

        Args:
            plan: what the engine made of the file elsewhere, to be loaded in place of compiling;
                one that does not load here is made anew.

        Raises:
            CompileError: the engine refuses the graph.
            DeviceError: the machine failed.
        """
        facts = file_facts_of(onnx)
        with self._alone():
            reference, quiet_ms = self._calibrated()
        before_mib = device.resident_mib()
        device.reset_peak()
        started = time.perf_counter()
        of_plan: dict[str, str] = {}
        with self._compiled(onnx, precision, plan, of_plan) as compiled:
            facts["build_s"] = time.perf_counter() - started
            with self._alone():
                rounds = Rounds(
                    self.protocol,
                    compiled,
                    reference,
                    quiet_ms=quiet_ms,
                    threads=self.engine.threads,
                )
                rounds.until_known(limit_ms)
                if rounds.quiet_ms < quiet_ms and self.protocol.reference_ms is None:
                    self._remember(rounds.quiet_ms)
            grown_mib = max(0.0, device.resident_mib(peak=True) - before_mib)
            on_device_mib = compiled.peak_memory_mib
            facts["peak_memory_mib"] = grown_mib if on_device_mib is None else on_device_mib
            facts["engine_bytes"] = compiled.engine_bytes
            layers = compiled.layers()
            facts["layers_after"] = len(layers)
        in_floats = in_float(layers) if precision == "int8" else {}
        told: dict[str, float | str] = {**in_floats, **of_plan}
        return self._report(rounds, facts, precision, limit_ms, told)

    def _compiled(
        self, onnx: bytes, precision: Precision, plan: bytes | None, told: dict[str, str]
    ) -> CompiledModel:
        """The network, loaded or compiled; `told` gets what became of a plan."""
        if plan is not None:
            try:
                compiled = cast(AheadOfTime, self.engine).compile(onnx, precision, plan)
            except CompileError as error:
                told["plan"] = f"sent, not taken here, compiled anew: {error}"
            else:
                told["plan"] = "compiled elsewhere, loaded here"
                return compiled
        return self.engine.compile(onnx, precision)

    def _alone(self) -> AbstractContextManager[None]:
        return device.exclusive(self.engine.device(), notice=self.notice)

    def _calibrated(self) -> tuple[CompiledModel, float]:
        """The reference network, compiled once, and its quiet time on the clock that is used."""
        if self._reference is None:
            try:
                self._reference = self.engine.compile(reference_onnx(), "fp32")
            except CompileError as error:
                raise DeviceError(
                    f"{self.engine.name} cannot compile the reference network: {error}"
                ) from error
            warm_up(self._reference, self.protocol.warmup_s)
        if self._quiet_ms is None:
            medians = []
            started = time.perf_counter()
            while time.perf_counter() - started < _CALIBRATION_S:
                samples = self._reference.timed_runs(REFERENCE_RUNS)
                clock = clock_for(samples[0], self.engine.threads)
                medians.append(np.median([on_clock(clock, s) for s in samples]))
            self._remember(float(np.percentile(medians, 30)))
        assert self._quiet_ms is not None
        return self._reference, self._quiet_ms

    def _remember(self, reference_ms: float) -> None:
        """Take over a quiet time unless this machine knows a notably faster one."""
        key = f"{self.engine.name} {self.engine.version()} {self.engine.threads}"
        self._quiet_ms = device.remembered(
            self.engine.device(), key, reference_ms, notably_less=NOTABLY_FASTER
        )

    def _report(
        self,
        rounds: Rounds,
        facts: Mapping[str, Any],
        precision: Precision,
        limit_ms: float | None,
        told: Mapping[str, float | str],
    ) -> LatencyReport:
        machine = device.conditions() | rounds.conditions(limit_ms)
        p5, p95, p99 = np.percentile(rounds.corrected, [5, 95, 99])
        low, high = rounds.interval()
        return LatencyReport(
            median_ms=rounds.median_ms,
            p5_ms=float(p5),
            p95_ms=float(p95),
            p99_ms=float(p99),
            ci_low_ms=low,
            ci_high_ms=high,
            samples=len(rounds.corrected),
            warmup_s=rounds.warmup_s,
            clock=rounds.clock,
            wall_median_ms=rounds.median_of("wall"),
            cpu_median_ms=rounds.median_of("cpu"),
            precision=precision,
            engine=self.engine.name,
            engine_version=self.engine.version(),
            device=self.engine.device(),
            threads=self.engine.threads,
            drift=rounds.drift,
            verdict=rounds.verdict(),
            conditions={"state": STATE} | machine | dict(told),
            **facts,
        )


def engine_options(engine: Engine) -> str:
    """All that an engine keeps openly, except folders, which no latency depends on."""
    kept = {
        name: repr(value)
        for name, value in vars(engine).items()
        if not name.startswith("_") and not isinstance(value, PurePath)
    }
    return repr(sorted(kept.items()))


def file_facts_of(onnx_bytes: bytes) -> dict[str, Any]:
    """What a report says about the file.

    Raises:
        CompileError: it is no ONNX file or its input has an open dimension.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(onnx_bytes)
    except Exception as error:
        raise CompileError(f"not an ONNX file ({len(onnx_bytes)} bytes): {error}") from error
    shape = first_input_shape(model)
    return {
        "input_shape": shape,
        "batch_size": shape[0],
        "layers_before": len(model.graph.node),
        "io": io_of(graph_inputs(model)[0]),
        "onnx_sha256": hashlib.sha256(onnx_bytes).hexdigest(),
    }

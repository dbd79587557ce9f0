"""Files, engines and receipts for the parts that time networks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_parts.base import Absent, Form, Outcome, Pace, Row, Size, Tell, left_out, named, one_line
from latency_models.base import (
    Closing,
    CompiledModel,
    CompileError,
    DeviceError,
    Engine,
    LatencyModel,
    LatencyReport,
    Layer,
    Precision,
)
from latency_models.engines.inductor import InductorEngine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas import networks
from search_spaces.graph import Graph, channels_of

_LONGEST_S, _SHORTEST_S = 120.0, 5.0


@dataclass(frozen=True)
class Item:
    """One published network in one form."""

    name: str
    precision: Precision
    size: Size

    def __str__(self) -> str:
        return named(self.name, self.precision, self.size)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, C, H, W)."""
        return (1, channels_of(graph_of(self.name).nodes)[0], *self.size)

    def file(self, engine: str) -> bytes:
        """Its untrained file, as this engine takes it.

        Raises:
            Unsuitable: the size does not fit.
        """
        form = networks.Form(self.precision, self.size)
        return networks.resolve(self.name).file(form, engine)


def graph_of(name: str) -> Graph:
    """A published network."""
    network = networks.resolve(name)
    assert isinstance(network, networks.GraphNetwork)
    return network.graph


def items_of(
    names: Iterable[str], precisions: Iterable[Precision], sizes: Iterable[Size]
) -> list[Item]:
    """Every network in every form, a form at a time."""
    return [Item(n, p, size) for size in sizes for p in precisions for n in names]


def inductor(form: Form) -> InductorEngine:
    """PyTorch's compiler for this device; on a GPU each run replays a CUDA graph.

    `reduce-overhead` and not the engine's own `max-autotune`: that one times every convolution's
    candidates for minutes.
    """
    if form.device == "cpu":
        return InductorEngine()
    return InductorEngine(processor="cuda", mode="reduce-overhead")


class _Unlisted(Closing):
    """A compiled network that is timed only, and told of no layers."""

    def __init__(self, inner: CompiledModel) -> None:
        self._inner = inner
        self.run = inner.run
        self.timed_runs = inner.timed_runs
        self.engine_bytes = inner.engine_bytes

    @property
    def peak_memory_mib(self) -> float | None:
        return self._inner.peak_memory_mib

    def layers(self, *, timed: bool = False) -> list[Layer]:
        return []

    def close(self) -> None:
        self._inner.__exit__(None, None, None)


class UnlistedEngine:
    """An engine whose receipts count no layers after fusion.

    Inductor learns the names of its kernels from a second compilation under PyTorch's profiler:
    as long as the first, and what it loads into the process stays beside later timings.
    """

    def __init__(self, inner: Engine) -> None:
        """Everything but the layers is the inner one's."""
        self.inner = inner
        self.name = inner.name
        self.threads = inner.threads
        self.available = inner.available
        self.version = inner.version
        self.device = inner.device

    def compile(self, onnx: bytes, precision: Precision) -> CompiledModel:
        """Compile one file."""
        return _Unlisted(self.inner.compile(onnx, precision))


def here(engine: Engine) -> Engine:
    """The engine, if it can run here.

    Raises:
        Absent: it cannot; with the engine's reason.
    """
    reason = engine.available()
    if reason is not None:
        raise Absent(reason)
    return engine


def protocol_of(form: Form) -> MeasuringProtocol:
    """The default one, with this form's time."""
    return MeasuringProtocol(budget_s=form.measure_s)


def isolated(engine: Engine, protocol: MeasuringProtocol) -> IsolatedLatency:
    """Measures with the engine in a process of its own."""
    return IsolatedLatency(functools.partial(MeasuredLatency, engine, protocol))


def receipts(
    part: str,
    items: Sequence[Item],
    engine: Engine,
    pace: Pace,
    tell: Tell,
    *,
    latency: IsolatedLatency,
    more: Callable[[Item], tuple[str, dict[str, Any]]] = lambda item: ("", {}),
) -> None:
    """Time one item after the other, as far as the time reaches.

    Args:
        more: what else is to be said about an item, in words and as facts.
    """
    for index, item in enumerate(items):
        if not pace.allows():
            tell(left_out(part, [str(other) for other in items[index:]]))
            return
        with pace.turn():
            words, facts = more(item)
            tell(_receipt(part, item, engine, pace, latency, words, facts))


def _receipt(
    part: str,
    item: Item,
    engine: Engine,
    pace: Pace,
    latency: IsolatedLatency,
    words: str,
    facts: dict[str, Any],
) -> Row:
    try:
        report = measured(latency, item.file(engine.name), item.precision, pace)
    except (CompileError, DeviceError, networks.Unsuitable) as error:
        return unmeasured(part, str(item), error, pace)
    said = ", ".join(filter(None, (sureness(report), words)))
    facts = {**facts, "receipt": report.to_json()}
    return Row(part, str(item), "measured", report.median_ms, "ms", said, facts)


def unmeasured(part: str, what: str, error: Exception, pace: Pace) -> Row:
    """Why there is no figure: the time was over, the machine failed, or the graph is refused."""
    if pace.left_s <= 0:
        return Row(part, what, "skipped", words="skipped: time, while it was measured")
    outcome: Outcome = "failed" if isinstance(error, DeviceError) else "refused"
    return Row(part, what, outcome, words=one_line(str(error)))


def measured(
    latency: IsolatedLatency, file: bytes, precision: Precision, pace: Pace, **limit: float
) -> LatencyReport:
    """A receipt that takes no longer than the part has.

    Raises:
        CompileError: the graph is at fault, or it took too long.
        DeviceError: the machine is at fault.
    """
    latency.timeout_s = max(_SHORTEST_S, min(_LONGEST_S, pace.left_s))
    model: LatencyModel = latency
    return model.measure(file, precision, limit_ms=limit.get("limit_ms"))


def sureness(report: LatencyReport) -> str:
    """How sure a receipt is, by which clock, and the wall's time where that is another one."""
    half = (report.ci_high_ms - report.ci_low_ms) / 2 / report.median_ms
    words = f"{report.verdict} +-{half:.1%}, {report.clock} clock"
    if report.clock == "cpu":
        words += f" (wall {report.wall_median_ms:.4g} ms)"
    return f"{words}, built in {report.build_s:.1f} s"

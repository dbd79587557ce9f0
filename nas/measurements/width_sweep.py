"""How long one layer takes at each feature count, and which counts a device runs well.

A layer's own cost is the difference between a chain of three equal layers and one of them,
halved: what stands before and behind the chain is the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Literal

from latency_models.base import CompileError, DeviceError, LatencyModel, LatencyReport, Precision
from nas.networks import rules_for
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Conv
from search_spaces.untrained import untrained
from search_spaces.work import work_of

Op = Literal["conv", "depthwise", "separable", "pointwise"]
OPS: tuple[Op, ...] = ("conv", "depthwise", "separable", "pointwise")
SHORT, LONG = 1, 3
"""Layers of the two chains."""
_FALL = 0.9
"""A count whose efficiency is below this share of what a narrower one reached is past a cliff."""
_EVEN = 0.03
"""Differences of efficiency up to this are noise."""
_NOT_SLOWER = 1.01
UNCERTAIN = 0.1
"""Half an interval, relative, above which a count is measured a second time."""

Mark = Literal["", "sweet spot", "cliff", "no use"]


@dataclass(frozen=True)
class LayerShape:
    """The layer that is swept: `channels` in, as many out.

    Attributes:
        op: `conv` is dense, `depthwise` one filter per channel, `pointwise` 1x1, `separable`
            depthwise and then pointwise.
        height: rows of its input and output.
        width: columns of them.
    """

    op: Op = "conv"
    kernel: int = 3
    height: int = 360
    width: int = 640
    precision: Precision = "int8"

    def chain(self, channels: int, depth: int) -> Graph:
        """So many of it in a row."""
        graph = GraphBuilder(channels)
        last = 0
        for _ in range(depth):
            last = self._append(graph, last, channels)
        return graph.finish(last)

    def _append(self, graph: GraphBuilder, source: int, channels: int) -> int:
        kernel = (self.kernel, self.kernel)
        if self.op in ("depthwise", "separable"):
            activation = "relu" if self.op == "depthwise" else "none"
            source = graph.add(
                Conv, source, out_channels=channels, kernel=kernel, groups=channels,
                activation=activation,
            )
        if self.op == "depthwise":
            return source
        kernel = kernel if self.op == "conv" else (1, 1)
        return graph.add(
            Conv, source, out_channels=channels, kernel=kernel, activation="relu"
        )

    def macs(self, channels: int) -> int:
        """Multiply-adds of one layer."""
        return sum(w.macs for w in work_of(self.chain(channels, 1), self.height, self.width))


@dataclass(frozen=True)
class WidthPoint:
    """One feature count.

    Attributes:
        macs: of one layer.
        layer_ms: of one layer; None where the two chains could not be told apart, or not run.
        error_ms: half the 95 % interval of `layer_ms`.
        why: why there is no time.
        efficiency: multiply-adds per second, relative to the best count of the sweep.
        mark: `sweet spot` where the efficiency peaks or a plateau of it ends, `cliff` where it
            is a tenth below what a narrower count reached, `no use` where a wider one is not
            slower.
    """

    channels: int
    macs: int
    layer_ms: float | None = None
    error_ms: float = 0.0
    why: str = ""
    efficiency: float | None = None
    mark: Mark = ""

    @property
    def ns_per_mac(self) -> float | None:
        """Nanoseconds for one multiply-add."""
        return None if self.layer_ms is None else self.layer_ms * 1e6 / self.macs

    @property
    def is_uncertain(self) -> bool:
        """Whether its time is too vague to judge it by."""
        return self.layer_ms is None or self.error_ms > UNCERTAIN * self.layer_ms

    @property
    def is_worth_trying(self) -> bool:
        """Whether a search should have this count; nothing is left out on a vague time."""
        if self.layer_ms is None:
            return False
        return self.is_uncertain or self.mark in ("", "sweet spot")


def sweep(
    shape: LayerShape, widths: Sequence[int], latency: LatencyModel, *, engine: str
) -> Iterator[tuple[WidthPoint, LatencyReport | None]]:
    """Measure each count, an uncertain one twice; its receipt says on what."""
    for channels in widths:
        try:
            point, receipt = _measured(shape, channels, latency, engine)
            if point.is_uncertain:
                again, receipt = _measured(shape, channels, latency, engine)
                point = min(point, again, key=_uncertainty)
            yield point, receipt
        except (CompileError, DeviceError) as error:
            why = " ".join(str(error).split())
            yield WidthPoint(channels, shape.macs(channels), why=why), None


def _measured(
    shape: LayerShape, channels: int, latency: LatencyModel, engine: str
) -> tuple[WidthPoint, LatencyReport]:
    """One count by the difference of two chains, and the receipt of the longer one."""
    short, long = (
        latency.measure(
            untrained(
                shape.chain(channels, depth),
                precision=shape.precision,
                height=shape.height,
                width=shape.width,
                rules=rules_for(engine),
            ),
            shape.precision,
        )
        for depth in (SHORT, LONG)
    )
    layers, macs = LONG - SHORT, shape.macs(channels)
    layer_ms = (long.median_ms - short.median_ms) / layers
    halves = [(r.ci_high_ms - r.ci_low_ms) / 2 for r in (short, long)]
    error_ms = (halves[0] ** 2 + halves[1] ** 2) ** 0.5 / layers
    if layer_ms <= error_ms:
        why = (
            f"{LONG} layers cannot be told from {SHORT}: measure again when the machine is "
            "quiet, or give a larger --size"
        )
        return WidthPoint(channels, macs, why=why), long
    return WidthPoint(channels, macs, layer_ms, error_ms), long


def _uncertainty(point: WidthPoint) -> float:
    return inf if point.layer_ms is None else point.error_ms / point.layer_ms


def judge(points: Sequence[WidthPoint]) -> list[WidthPoint]:
    """Fill in efficiencies and marks, from the narrowest to the widest."""
    ordered = sorted(points, key=lambda point: point.channels)
    known = [p for p in ordered if p.layer_ms is not None]
    if not known:
        return ordered
    best = max(_rate(p) for p in known)
    shares = [_rate(p) / best for p in known]
    judged = {
        p.channels: _judged(p, shares[i], _mark(known, shares, i)) for i, p in enumerate(known)
    }
    return [judged.get(p.channels, p) for p in ordered]


def _judged(point: WidthPoint, efficiency: float, mark: Mark) -> WidthPoint:
    return WidthPoint(
        point.channels, point.macs, point.layer_ms, point.error_ms,
        efficiency=efficiency, mark=mark,
    )


def _rate(point: WidthPoint) -> float:
    assert point.layer_ms is not None
    return point.macs / point.layer_ms


def _mark(known: Sequence[WidthPoint], shares: Sequence[float], index: int) -> Mark:
    own, here = shares[index], known[index]
    wider = [p.layer_ms for p in known[index + 1 :]]
    if any(ms is not None and ms <= (here.layer_ms or 0) * _NOT_SLOWER for ms in wider):
        return "no use"
    if own < _FALL * max(shares[: index + 1]):
        return "cliff"
    falls_after = index + 1 < len(shares) and shares[index + 1] < own * (1 - _EVEN)
    last_of_best = all(share < 1 - _EVEN for share in shares[index + 1 :]) and own >= 1 - _EVEN
    if (falls_after or last_of_best) and (index == 0 or shares[index - 1] <= own * (1 + _EVEN)):
        return "sweet spot"
    return ""


def worth_trying(points: Sequence[WidthPoint]) -> list[int]:
    """The counts that a search should have."""
    return [p.channels for p in points if p.is_worth_trying]


def override(points: Sequence[WidthPoint]) -> str:
    """The setting of `nas search` that takes them over."""
    return f"search_space.widths=[{','.join(map(str, worth_trying(points)))}]"


def to_json(
    shape: LayerShape, points: Sequence[WidthPoint], receipt: LatencyReport
) -> dict[str, Any]:
    """The sweep as plain JSON types, with its circumstances."""
    told = ("engine", "engine_version", "device", "threads", "clock")
    return {
        "layer": asdict(shape),
        **{name: getattr(receipt, name) for name in told},
        "points": [{**asdict(p), "ns_per_mac": p.ns_per_mac} for p in points],
        "widths": worth_trying(points),
        "override": override(points),
    }

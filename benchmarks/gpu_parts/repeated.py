"""Repeatability: the same files in two processes, the second started when the first has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpu_parts.base import Form, Pace, Row, Tell, left_out
from gpu_parts.timing import (
    Item,
    UnlistedEngine,
    here,
    inductor,
    isolated,
    items_of,
    measured,
    protocol_of,
    unmeasured,
)
from latency_models.base import CompileError, DeviceError, Engine, LatencyReport

PART = "repeated"
_FIRST = 0.5
"""Of the part's time, for the first process."""
Found = LatencyReport | Row
"""What came of one file: a receipt, or the line that says why there is none."""


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Tell the ratio of both medians for each network."""
    engine = UnlistedEngine(inductor(form))
    here(engine)
    items = items_of(form.few, form.precisions, form.sizes)
    first = list(_receipts(items, engine, form, Pace(pace.left_s * _FIRST)))
    told = 0
    for one, other in zip(first, _receipts(items, engine, form, pace), strict=False):
        tell(_row(items[told], one, other))
        told += 1
    if told < len(items):
        tell(left_out(PART, [str(item) for item in items[told:]]))


def _receipts(
    items: Sequence[Item], engine: Engine, form: Form, pace: Pace
) -> Iterator[Found]:
    """What a fresh process finds, as far as the time reaches."""
    with isolated(engine, protocol_of(form)) as latency:
        for item in items:
            if not pace.allows():
                return
            found: Found
            with pace.turn():
                try:
                    file = item.file(engine.name)
                    found = measured(latency, file, item.precision, pace)
                except (CompileError, DeviceError) as error:
                    found = unmeasured(PART, str(item), error, pace)
            yield found


def _row(item: Item, first: Found, second: Found) -> Row:
    if isinstance(first, Row):
        return first
    if isinstance(second, Row):
        return second
    words = (
        f"second over first: {first.median_ms:.4g} ms {first.verdict}, "
        f"{second.median_ms:.4g} ms {second.verdict}"
    )
    facts = {"receipts": [first.to_json(), second.to_json()]}
    ratio = second.median_ms / first.median_ms
    return Row(PART, str(item), "measured", ratio, "times", words, facts)

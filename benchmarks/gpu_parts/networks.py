"""Receipts of published networks with inductor: CUDA graphs, each precision and size.

Compiling takes seconds and most of it is done by the processor, so several processes compile
ahead into one cache on disk; then one process compiles from that cache and times, alone on the
GPU. `first compiled in` is what it took without the cache, beside the other compilers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import onnx

from gpu_parts.base import Form, Pace, Tell
from gpu_parts.timing import (
    Item,
    UnlistedEngine,
    here,
    inductor,
    isolated,
    items_of,
    protocol_of,
    receipts,
)
from latency_models.base import CompileError, DeviceError, Engine, graph_inputs, random_inputs
from latency_models.isolated import IsolatedLatency
from nas.networks import Unsuitable

_AHEAD = 0.35
"""Of the part's time, for compiling ahead."""


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Compile ahead, then time one after the other."""
    engine = UnlistedEngine(inductor(form))
    here(engine)
    items = items_of(form.networks, form.precisions, form.sizes)
    took_s = _compiled_ahead(items, engine, form, pace.left_s * _AHEAD)

    def more(item: Item) -> tuple[str, dict[str, Any]]:
        seconds = took_s.get(item)
        if seconds is None:
            return "", {}
        return f"first compiled in {seconds:.1f} s", {"first_compiled_s": seconds}

    with isolated(engine, protocol_of(form)) as latency:
        receipts("networks", items, engine, pace, tell, latency=latency, more=more)


def _compiled_ahead(
    items: Sequence[Item], engine: Engine, form: Form, seconds: float
) -> dict[Item, float]:
    """Seconds that each took to compile and run once, of those that were through in time."""
    took_s: dict[Item, float] = {}
    if form.compilers == 0:
        return took_s
    until, waiting = time.monotonic() + seconds, iter(items)

    def work(latency: IsolatedLatency) -> None:
        for item in waiting:
            began = time.monotonic()
            if began >= until:
                return
            latency.timeout_s = until - began
            inputs = random_inputs(item.input_shape)
            # Whatever is wrong with it is told when it is timed.
            with suppress(CompileError, DeviceError, Unsuitable):
                file = item.file(engine.name)
                name = graph_inputs(onnx.load_model_from_string(file))[0].name
                latency.run(file, item.precision, [{name: inputs}], {})
                took_s[item] = time.monotonic() - began

    with ExitStack() as stack:
        protocol = protocol_of(form)
        latencies = [
            stack.enter_context(isolated(engine, protocol)) for _ in range(form.compilers)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(form.compilers))
        for job in [pool.submit(work, latency) for latency in latencies]:
            job.result()
    return took_s

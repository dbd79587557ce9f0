"""Receipts with the full TensorRT, where its library and a GPU are."""

from __future__ import annotations

from gpu_parts.base import Form, Pace, Tell
from gpu_parts.timing import here, isolated, items_of, protocol_of, receipts
from latency_models.base import PRECISIONS
from latency_models.engines.trt import TensorRTEngine


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Time a few networks at every precision."""
    engine = here(TensorRTEngine())
    items = items_of(form.few, PRECISIONS[::-1], form.sizes[:1])
    with isolated(engine, protocol_of(form)) as latency:
        receipts("trt", items, engine, pace, tell, latency=latency)

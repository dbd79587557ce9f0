"""Receipts with ONNX Runtime on the GPU, where its wheel has the CUDA provider."""

from __future__ import annotations

import functools

from gpu_parts.base import Form, Pace, Tell
from gpu_parts.timing import here, items_of, protocol_of, receipts
from latency_models.base import Engine
from latency_models.engines.ort import OnnxRuntimeEngine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """Time a few networks; on a processor with the processor's provider."""
    engine = here(OnnxRuntimeEngine(provider="cuda" if form.device == "cuda" else "cpu"))
    items = items_of(form.few, form.precisions, form.sizes[:1])
    model = functools.partial(beside_torch, engine, protocol_of(form))
    with IsolatedLatency(model) as latency:
        receipts("ort", items, engine, pace, tell, latency=latency)


def beside_torch(engine: Engine, protocol: MeasuringProtocol) -> MeasuredLatency:
    """What measures; PyTorch is loaded first, because it brings the libraries of CUDA."""
    import torch

    assert torch.__version__
    return MeasuredLatency(engine, protocol)

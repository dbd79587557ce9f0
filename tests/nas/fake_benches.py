"""An isolated latency that runs nothing: it counts what it is asked and answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx

from latency_models.base import CompileError, LatencyReport, Layer, Precision
from latency_models.file_work import work_of_file
from tests.nas.finished_studies import receipt

REFUSED = 17
"""A file with so many rows is refused by the engine."""


class FakeIsolated:
    """Takes the place of `IsolatedLatency`; 1 ms per 100 MMACs and never less than 0.1 ms."""

    asked: list[tuple[str, tuple[int, ...]]] = []

    def __init__(self, factory: Callable[[], Any], **_: Any) -> None:
        self.engine = factory.args[0]  # type: ignore[attr-defined]

    def identity(self) -> dict[str, str]:
        return {"engine": self.engine.name}

    def measure(
        self, file: bytes, precision: Precision, *, limit_ms: float | None = None
    ) -> LatencyReport:
        graph = onnx.load_model_from_string(file).graph
        shape = tuple(d.dim_value for d in graph.input[0].type.tensor_type.shape.dim)
        self.asked.append((precision, shape))
        if len(shape) == 4 and REFUSED in shape[1:3]:
            raise CompileError("the engine does not like odd pictures")
        return receipt(
            max(0.1, work_of_file(file).macs / 1e8),
            engine=self.engine.name,
            precision=precision,
            input_shape=shape,
            batch_size=shape[0],
            layers_before=len(graph.node),
        )

    def layers(self, file: bytes, precision: Precision) -> list[Layer]:
        nodes = onnx.load_model_from_string(file).graph.node
        fused = tuple(node.name for node in nodes)
        return [
            Layer("all", "Fused", "u8", (*fused, "made_up_by_the_engine"), 3.0),
            Layer("reorder_1", "Reorder", "u8", ("made_up_by_the_engine",), 1.0),
        ]

    def close(self) -> None:
        pass

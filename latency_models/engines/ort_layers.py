"""Reading what ONNX Runtime executes: its optimized graph and its profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latency_models.base import Layer
from latency_models.engines.file_facts import INTEGER_OPS

_KERNEL = "_kernel_time"
_BLOCKED = "_nchwc"


def optimized_layers(optimized: bytes, original: bytes) -> list[Layer]:
    """Nodes of the optimized graph with their types and the nodes of the file they come from."""
    import onnx

    graph = onnx.load_model_from_string(optimized).graph
    nodes = list(onnx.load_model_from_string(original).graph.node)
    types = {i.name: i.data_type for i in graph.initializer}
    return [
        Layer(
            name=node.name,
            kind=node.op_type,
            precision=_precision(node, types),
            original_nodes=_origin(node.name, nodes),
        )
        for node in graph.node
    ]


def event_times_ms(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Median kernel time per node over the profiled runs, the first two left out."""
    found: dict[str, list[float]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            found.setdefault(name.removesuffix(_KERNEL), []).append(float(event["dur"]) / 1e3)
    return [(name, float(np.median(times[2:] or times))) for name, times in found.items()]


def _precision(node: Any, types: Mapping[str, int]) -> str:
    """int8 for the integer kernels, else the type of the node's constants."""
    from onnx import TensorProto

    if node.op_type in INTEGER_OPS or node.op_type.startswith(("QLinear", "QAttention")):
        return "int8"
    known: dict[int, str] = {
        TensorProto.FLOAT: "fp32",
        TensorProto.FLOAT16: "fp16",
        TensorProto.INT8: "int8",
        TensorProto.UINT8: "int8",
    }
    found = [known[types[name]] for name in node.input if types.get(name) in known]
    return found[0] if found else "fp32"


def _origin(name: str, nodes: Sequence[Any]) -> tuple[str, ...]:
    """The nodes of the file behind a name that ONNX Runtime made.

    It keeps the first node's name and appends to it: the longest prefix is it. A convolution in
    its blocked layout is called by the tensor it makes; an activation that makes it is in it.
    """
    tensor = name.removesuffix(_BLOCKED)
    made_by = {output: node for node in nodes for output in node.output}
    if tensor != name and tensor in made_by:
        last = made_by[tensor]
        first = made_by.get(last.input[0])
        fused = [first, last] if first is not None and "Conv" not in last.op_type else [last]
        return tuple(node.name for node in fused if node.name)
    matches = [node.name for node in nodes if node.name and name.startswith(node.name)]
    return (max(matches, key=len),) if matches else ()

"""The file that a network's latency is measured on before it is trained."""

from __future__ import annotations

from search_spaces.graph import Graph
from search_spaces.onnx_writer import random_weights, write
from search_spaces.quantize import CPU_RULES, QuantRules, float_rest, nominal_scales, place


def untrained(
    graph: Graph,
    *,
    precision: str,
    height: int,
    width: int,
    batch: int = 1,
    rules: QuantRules = CPU_RULES,
) -> bytes:
    """The network with seeded random weights, as an engine of these rules takes it.

    Args:
        precision: `int8` places Q/DQ pairs with nominal scales; `fp16` or `fp32` none.
    """
    weights, quantized = random_weights(graph), None
    if precision == "int8":
        placement = place(graph, rules)
        quantized = (placement, nominal_scales(graph, placement, weights))
    return write(
        graph,
        weights,
        height=height,
        width=width,
        batch=batch,
        float_type=float_rest(precision, rules),
        quantized=quantized,
    )

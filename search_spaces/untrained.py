"""The file that a network's latency is measured on before it is trained."""

from __future__ import annotations

from search_spaces.graph import Graph
from search_spaces.onnx_writer import write
from search_spaces.primitives import Conv
from search_spaces.quantize import CPU_RULES, QuantRules, float_rest, nominal_scales, place
from search_spaces.weights import Weights, random_weights


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
    weights, quantized = _of_either_sign(graph, random_weights(graph)), None
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
        prelu=rules.prelu,
        io=rules.io,
        byte_quantizers=rules.uint8,
    )


def _of_either_sign(graph: Graph, weights: Weights) -> Weights:
    """Take each filter's mean out, so that features are of either sign where images are not.

    Kernels that branch on the sign (ONNX Runtime's PReLU on CPUs) take three times longer on
    such features, which trained networks have, than where one sign prevails.
    """
    found = dict(weights)
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Conv) and not node.fixed and found[f"n{index}.weight"][0].size > 1:
            weight = found[f"n{index}.weight"]
            found[f"n{index}.weight"] = weight - weight.mean(axis=(1, 2, 3), keepdims=True)
    return found

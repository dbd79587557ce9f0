"""The rules that hold for every node: the table of `trt_operators` applied to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from latency_models.trt_compatibility import Finding, GraphFacts, attribute, name_of
from latency_models.trt_operators import (
    INTEGER_OPERATORS,
    LOW,
    LOW_MOVERS,
    NOT_CAPTURABLE,
    OPERATORS,
    WITHOUT_KERNEL,
    Operator,
)

_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


def check_node(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """All findings that the operator table has about a node."""
    name = name_of(node)
    if node.op_type in INTEGER_OPERATORS:
        yield Finding(
            "error",
            name,
            "integer operator",
            f"{node.op_type} cannot be imported: quantize with Q/DQ around the float operator",
        )
        return
    if node.op_type in NOT_CAPTURABLE:
        yield Finding(
            "advice", name, "cuda graph", f"{node.op_type} keeps the network out of a CUDA graph"
        )
    operator = OPERATORS.get(node.op_type)
    if operator is None or node.domain not in ("", "ai.onnx"):
        yield Finding(
            "error", name, "operator", f"{node.domain or 'onnx'}.{node.op_type} is not known"
        )
        return
    if node.op_type in WITHOUT_KERNEL:
        message = f"TensorRT for RTX has no kernel for {node.op_type}: end the network before it"
        yield Finding("error", name, "operator", message)
    yield from _check_types(facts, node, operator)
    yield from _check_made_types(facts, node)
    yield from _check_attributes(facts, node, operator)
    yield from _check_inputs(facts, node, operator)


def _check_types(facts: GraphFacts, node: Any, operator: Operator) -> Iterator[Finding]:
    name = name_of(node)
    # DOUBLE is built as FLOAT.
    kinds = [
        facts.types.get(tensor, "").replace("DOUBLE", "FLOAT") for tensor in node.input if tensor
    ]
    if kinds and kinds[0] not in ("", "UNDEFINED", *operator.types):
        # A dequantized INT32 has a rule and a message of its own.
        if node.op_type != "DequantizeLinear":
            yield Finding(
                "error", name, "operator type", f"{node.op_type} does not take {kinds[0]}"
            )
    floats = {kind for kind in kinds if kind in ("FLOAT", "FLOAT16", "BFLOAT16")}
    if operator.same_type and len(floats) > 1:
        yield Finding(
            "error",
            name,
            "one float type",
            f"{node.op_type} mixes {' and '.join(sorted(floats))}: nothing is promoted, cast or "
            "convert the constants",
        )


def _check_made_types(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """Types below 8 bits, and UINT8, exist at few places only (the builder's own words)."""
    name = name_of(node)
    for tensor in (name for name in node.output if name):
        kind = facts.types.get(tensor, "")
        if kind in LOW and node.op_type not in ("QuantizeLinear", "Constant", *LOW_MOVERS):
            message = f"{node.op_type} cannot make {kind}: only a quantizer or a constant does"
            yield Finding("error", name, "operator type", message)
        elif kind == "UINT8" and node.op_type not in (*_QUANTIZERS, "Constant", "Identity"):
            if node.op_type not in ("Cast", "CastLike") or tensor not in facts.outputs:
                message = "UINT8 is for inputs and outputs of the network alone: cast to INT32"
                yield Finding("error", name, "operator type", message)


def _check_attributes(facts: GraphFacts, node: Any, operator: Operator) -> Iterator[Finding]:
    name = name_of(node)
    for key, allowed in operator.attributes:
        found = attribute(node, key)
        values = found if isinstance(found, (list, tuple)) else [] if found is None else [found]
        wrong = [value for value in values if value not in allowed]
        if wrong:
            choices = ", ".join(map(str, allowed))
            yield Finding(
                "error", name, "attribute", f"{key} is {wrong[0]}, TensorRT takes {choices}"
            )
    shape = facts.shapes.get(node.input[0] if node.input else "", None)
    if operator.ranks and shape is not None and len(shape) not in operator.ranks:
        yield Finding("error", name, "rank", f"its input has rank {len(shape)}")
    used = [out for out in node.output if out]
    if operator.outputs and len(used) > operator.outputs:
        yield Finding("error", name, "outputs", f"only {operator.outputs} output is supported")


def _check_inputs(facts: GraphFacts, node: Any, operator: Operator) -> Iterator[Finding]:
    name = name_of(node)
    for index, tensor in enumerate(node.input):
        if not tensor:
            continue
        if index in operator.weight_inputs and not facts.is_weight(tensor):
            message = f"'{tensor}' must be a constant, computed by nothing but a Cast"
            yield Finding("error", name, "constant input", message)
        elif index in operator.known_inputs and tensor not in facts.known:
            message = f"'{tensor}' decides a shape, so it must be a constant"
            yield Finding("error", name, "constant input", message)
        # Clip and the quantizers take their INT8 constants as parameters, not as tensors.
        is_int8 = tensor in facts.constants and facts.types.get(tensor) == "INT8"
        if is_int8 and node.op_type not in (*_QUANTIZERS, "Clip"):
            message = f"the INT8 constant '{tensor}' is not dequantized: store it as INT32"
            yield Finding("error", name, "int8 constant", message)

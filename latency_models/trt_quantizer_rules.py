"""TensorRT's hard rules for Q/DQ nodes: breaking one fails the build or makes another net.

Sources: onnx-tensorrt onnxOpImporters.cpp (symmetric, positive scale, types), NvInfer.h
(IQuantizeLayer, IConvolutionLayer::setNbGroups), the ONNX operator pages (types per opset).
Compared with TensorRT for RTX 1.7.1.116, which builds some of the files and gives another network
than the one that was written: those rules say so and stay errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from latency_models.trt_compatibility import Finding, GraphFacts, attribute, is_positive, name_of
from latency_models.trt_operators import FIRST_HALF_QUANTIZER_OPSET, WEIGHT_AXIS, WEIGHTED, Q

_MIXED_TYPES_OPSET = 23  # from here on Q/DQ may have another scale type than their data


def check_quantizers(facts: GraphFacts) -> Iterator[Finding]:
    """All findings about Q/DQ nodes and the weighted operators behind them."""
    for node in facts.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield from _check_parameters(facts, node)
            yield from _check_scale_shape(facts, node)
            yield from _check_float_type(facts, node)
        elif node.op_type in WEIGHTED:
            yield from _check_weighted(facts, node)


def _error(node: Any, rule: str, message: str) -> Finding:
    return Finding("error", name_of(node), rule, message)


def _advice(node: Any, rule: str, message: str) -> Finding:
    return Finding("advice", name_of(node), rule, message)


def _check_parameters(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    data = facts.types.get(node.input[0], "")
    if node.op_type == "DequantizeLinear" and data and data not in Q:
        if data == "INT32":
            message = "an INT32 bias is dequantized: leave the bias in float"
            yield _error(node, "int32 bias", message)
        # What a quantizer of this file makes is INT8 to TensorRT, whatever ONNX calls it.
        elif data != "UINT8" or facts.maker(node.input[0], "QuantizeLinear") is None:
            yield _error(node, "quantized type", f"{data} cannot be dequantized")
    if _has_odd_number(facts, node.input[0], data):
        # The parser: "4-bit quantization requires an even number of elements".
        yield _error(node, "quantized type", f"{data} needs an even number of elements")
    yield from _check_scale_values(facts, node)
    yield from _check_zero_point(facts, node)


def _has_odd_number(facts: GraphFacts, tensor: str, kind: str) -> bool:
    shape = facts.shapes.get(tensor)
    return kind in ("INT4", "FLOAT4E2M1") and shape is not None and bool(np.prod(shape) % 2)


def _check_scale_values(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    scale = facts.constants.get(node.input[1])
    if node.input[1] not in facts.known:
        # Built, but documented as a build-time constant (NvInfer.h, IQuantizeLayer).
        yield _error(node, "constant scale", f"the scale '{node.input[1]}' is no constant")
    elif scale is not None and not is_positive(scale):
        # Zero and negative are refused; infinity is built and multiplies by zero.
        yield _error(
            node, "positive scale", "a scale is zero, negative or not finite: clamp it (>= 6e-8)"
        )


def _check_zero_point(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    if len(node.input) < 3 or not node.input[2]:
        if node.op_type == "QuantizeLinear" and not attribute(node, "output_dtype"):
            message = "without a zero point ONNX means UINT8 and TensorRT INT8: give int8 zeros"
            yield _advice(node, "int8 zero point", message)
        return
    scale = facts.constants.get(node.input[1])
    zero = facts.constants.get(node.input[2])
    if node.input[2] not in facts.known or (
        zero is not None and np.any(np.asarray(zero, np.float64) != 0)
    ):
        yield _error(node, "symmetric", "the zero point is not a constant 0")
    elif facts.types.get(node.input[2], "") == "UINT8":
        # Built after a warning, with the values read as INT8: another network.
        yield _error(node, "int8 zero point", "the zero point is UINT8: TensorRT reads INT8")
    if zero is not None and scale is not None and zero.size != scale.size:
        yield _error(node, "zero point size", f"{zero.size} zero points for {scale.size} scales")


def _check_scale_shape(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    scale = facts.constants.get(node.input[1])
    if scale is None or scale.size == 1:
        return
    if facts.constant_weight(node.input[0]) is None:
        yield _error(
            node, "scalar activation scale", f"an activation has {scale.size} scales, it takes one"
        )
        return
    shape = facts.shapes.get(node.input[0]) or []
    axis = int(attribute(node, "axis", 1))
    if not -len(shape) <= axis < len(shape) or scale.ndim != 1 or scale.size != shape[axis]:
        yield _error(
            node,
            "scale length",
            f"{scale.size} scales along axis {axis} of a weight of shape {shape}",
        )


def _check_float_type(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    scale = facts.types.get(node.input[1], "")
    if scale == "FLOAT16" and facts.opset < FIRST_HALF_QUANTIZER_OPSET:
        yield _advice(
            node,
            "fp16 scale opset",
            f"fp16 scales need opset {FIRST_HALF_QUANTIZER_OPSET}, the file has {facts.opset}: "
            "TensorRT takes it, other runtimes do not",
        )
    if node.op_type != "QuantizeLinear":
        return
    data = facts.types.get(node.input[0], "")
    floats = ("FLOAT", "FLOAT16", "BFLOAT16")
    mixed = data in floats and scale in floats and data != scale
    # A FLOAT scale with half data is TensorRT's own liberty, and ONNX's from opset 23 on.
    if mixed and (scale != "FLOAT" or facts.opset < _MIXED_TYPES_OPSET):
        yield _error(node, "scale type", f"the scale is {scale}, the data {data}: use one type")


def _check_weighted(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    data, weight = (facts.maker(name, "DequantizeLinear") for name in node.input[:2])
    constant = facts.constant_weight(node.input[1])
    if (data is None) != (weight is None):
        # Built, but the convolution silently runs in float.
        which = "data" if weight is None else "weight"
        other = "weight" if weight is None else "data"
        yield _error(
            node, "both inputs", f"its {which} is quantized and its {other} is not: do both"
        )
        return
    if data is None or weight is None:
        return
    if constant is None:
        yield _error(node, "constant weight", "an int8 weight must be a constant")
        return
    axis = int(attribute(weight, "axis", 1))
    expected = WEIGHT_AXIS.get(node.op_type)
    scale = facts.constants.get(weight.input[1])
    # Built, but the convolution silently runs in float.
    if expected is not None and scale is not None and scale.size > 1 and axis != expected:
        yield _error(
            weight,
            "weight axis",
            f"a {node.op_type} weight is quantized along axis {axis}: use {expected}",
        )
    groups = int(attribute(node, "group", 1))
    if groups > 1:
        yield from _check_groups(node, constant.shape, groups)


def _check_groups(node: Any, shape: tuple[int, ...], groups: int) -> Iterator[Finding]:
    if node.op_type == "Conv":
        channels_out, channels_in = shape[0] // groups, shape[1]
    else:
        channels_out, channels_in = shape[1], shape[0] // groups
    if channels_in % 4 or channels_out % 4:
        padded = -(-channels_in // 4) * 4 / channels_in
        yield _advice(
            node,
            "int8 groups",
            f"an int8 grouped {node.op_type} has {channels_in} input and {channels_out} output "
            f"channels per group and is padded to multiples of 4, {padded:.3g} times the data: "
            "leave it unquantized",
        )

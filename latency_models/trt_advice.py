"""What TensorRT takes but does not run fast: advice, each rule with its source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from latency_models.trt_compatibility import Finding, GraphFacts, attribute, name_of
from latency_models.trt_operators import CHANNEL_MULTIPLE, COMMUTING, WEIGHTED

_FLOAT_NAMES = {"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "fp16"}


def advise(facts: GraphFacts) -> Iterator[Finding]:
    """All advice about a file."""
    quantized = any(node.op_type == "QuantizeLinear" for node in facts.nodes)
    for node in facts.nodes:
        if node.op_type in ("Conv", "ConvTranspose"):
            yield from _channels(facts, node)
            yield from _int8_kernel(facts, node)
        elif quantized and node.op_type in COMMUTING:
            yield from _needless_pair(facts, node)
        elif quantized and node.op_type == "Add":
            yield from _residual(facts, node)
    yield from _two_quantizers(facts)
    if quantized:
        yield from _float_islands(facts)


def _advice(node: Any, rule: str, message: str) -> Finding:
    return Finding("advice", name_of(node), rule, message)


def _is_int8(facts: GraphFacts, node: Any) -> bool:
    return all(facts.maker(name, "DequantizeLinear") is not None for name in node.input[:2])


def _channels_of(facts: GraphFacts, node: Any) -> tuple[int, int, int] | None:
    """Input channels per group, output channels and groups."""
    weight = facts.constant_weight(node.input[1])
    if weight is None:
        return None
    groups = int(attribute(node, "group", 1))
    if node.op_type == "Conv":
        return weight.shape[1], weight.shape[0], groups
    return weight.shape[0] // groups, weight.shape[1] * groups, groups


def _channels(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """Tensor cores pad channels: those just above a multiple are paid for and not used."""
    found = _channels_of(facts, node)
    if found is None or found[2] > 1:
        return
    kind = _FLOAT_NAMES.get(facts.types.get(node.output[0], ""), "fp32")
    precision = "int8" if _is_int8(facts, node) else kind
    multiple = CHANNEL_MULTIPLE[precision]
    channels_out = found[1]
    # Output layers have the channels that their task needs.
    if channels_out % multiple and channels_out > multiple:
        padded = -(-channels_out // multiple) * multiple
        yield _advice(
            node,
            "channel alignment",
            f"{channels_out} output channels are padded to {padded} in {precision}: "
            f"{padded} cost the same, {padded - multiple} cost less",
        )


def _int8_kernel(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """NVIDIA ModelOpt quantizes only these (graph_utils.py, find_nodes_from_convs_to_exclude)."""
    found = _channels_of(facts, node)
    if found is None or not _is_int8(facts, node):
        return
    channels_in, channels_out, groups = found
    weight = facts.constant_weight(node.input[1])
    kernel = list(weight.shape[2:]) if weight is not None else []
    if channels_out >= 16 and channels_in >= 16:
        return
    if groups > 1:
        fits = channels_out % 8 == 0 and all(side >= 3 for side in kernel)
        what = "a grouped or depthwise convolution"
    else:
        first = facts.maker(node.input[0], "DequantizeLinear")
        quantizer = facts.made_by.get(first.input[0]) if first is not None else None
        is_first = quantizer is not None and quantizer.input[0] in facts.inputs
        wide = channels_out >= 16 or channels_in >= 16
        even = channels_out % 8 == 0 or channels_in % 8 == 0
        fits = even and len(set(kernel)) == 1 and (is_first or wide)
        what = "a thin or non-square convolution"
    if not fits:
        yield _advice(
            node,
            "int8 kernel",
            f"{what} ({channels_in} channels in, {channels_out} out, kernel {kernel}) seldom has "
            "a fast int8 kernel: leave it in float and measure both",
        )
    elif groups > 1:
        yield _advice(
            node,
            "int8 depthwise",
            "grouped convolutions were slower in int8 than in fp16 (NVIDIA/TensorRT 4529): "
            "leave it in float and measure both",
        )


def _needless_pair(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """Q/DQ move through what only moves values; a pair on both sides breaks fusions."""
    before = facts.maker(node.input[0], "DequantizeLinear")
    after = [n for n in facts.readers.get(node.output[0], []) if n.op_type == "QuantizeLinear"]
    if before is not None and after:
        yield _advice(
            node,
            "needless pair",
            f"{node.op_type} has Q/DQ before and after it: it needs none of its own",
        )


def _residual(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """Without Q/DQ on the skip the Add runs in float (NVIDIA/TensorRT 1992)."""
    if any(name in facts.constants for name in node.input):
        return
    behind_conv = [_behind_int8_conv(facts, name) for name in node.input]
    dequantized = [facts.maker(name, "DequantizeLinear") is not None for name in node.input]
    feeds_int8 = any(n.op_type == "QuantizeLinear" for n in _after(facts, node))
    if not feeds_int8 or not any(behind_conv):
        return
    if not any(dequantized):
        yield _advice(
            node, "residual pair", "its skip input has no Q/DQ, so the addition runs in float"
        )
    elif all(dequantized):
        yield _advice(
            node, "residual pair", "both inputs have Q/DQ: leave the convolution's side in float"
        )


def _after(facts: GraphFacts, node: Any) -> list[Any]:
    """Readers of a node's output, looking past an activation."""
    readers = facts.readers.get(node.output[0], [])
    acts = [r for r in readers if r.op_type in ("Relu", "Clip")]
    return [*readers, *(n for a in acts for n in facts.readers.get(a.output[0], []))]


def _behind_int8_conv(facts: GraphFacts, tensor: str) -> bool:
    node = facts.made_by.get(tensor)
    if node is not None and node.op_type == "DequantizeLinear":
        quantizer = facts.made_by.get(node.input[0])
        node = facts.made_by.get(quantizer.input[0]) if quantizer is not None else None
    return node is not None and node.op_type in WEIGHTED and _is_int8(facts, node)


def _two_quantizers(facts: GraphFacts) -> Iterator[Finding]:
    """One tensor, one scale: two quantizers on it cannot be merged."""
    for tensor, readers in facts.readers.items():
        scales = {n.input[1] for n in readers if n.op_type == "QuantizeLinear"}
        values = {float(facts.constants[s].reshape(-1)[0]) for s in scales if s in facts.constants}
        if len(values) > 1:
            message = f"it is quantized with {len(values)} scales: share one"
            yield Finding("advice", tensor, "one scale", message)


def _float_islands(facts: GraphFacts) -> Iterator[Finding]:
    """The float rest of an int8 file must be fp16, or it is slower than plain fp16."""
    kinds = {
        facts.types.get(node.output[0])
        for node in facts.nodes
        if node.op_type in WEIGHTED and node.output
    }
    if "FLOAT16" not in kinds and kinds & {"FLOAT"}:
        yield Finding(
            "advice",
            "graph",
            "float rest",
            "the unquantized part is fp32: write it in fp16 (ultralytics issue 26159)",
        )
        return
    for node in facts.nodes:
        if node.op_type in ("Constant", "Cast", "QuantizeLinear", "Shape") or not node.output:
            continue
        if facts.types.get(node.output[0]) == "FLOAT" and "FLOAT16" in kinds:
            yield _advice(node, "fp32 island", "it runs in fp32 between fp16 and int8 layers")

"""What the parser or the builder refuses of single operators.

Each rule was tried on small files with TensorRT for RTX 1.7.1.116; the words in quotes are the
library's. Most are assertions of onnx-tensorrt's onnxOpImporters.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from latency_models.trt_compatibility import Finding, GraphFacts, attribute, name_of

FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")
HALF_TYPES = ("FLOAT16", "BFLOAT16")
LARGEST_K = 3840
FIRST_BROADCASTING_OPSET = 7
BROADCASTING = frozenset(
    "Add Sub Mul Div Pow Min Max Sum Mean Equal Greater Less And Or Xor".split()
)
Rule = Callable[[GraphFacts, Any], Iterator[tuple[str, str]]]


def check_operator(facts: GraphFacts, node: Any) -> Iterator[Finding]:
    """All findings of the rules that are written for this node's operator."""
    if node.domain not in ("", "ai.onnx"):
        return
    for rule in (_old_broadcast, _RULES.get(node.op_type)):
        for name, message in rule(facts, node) if rule is not None else ():
            yield Finding("error", name_of(node), name, message)


def _old_broadcast(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    # "Pre-opset 7 broadcasting is unsupported", and equal shapes do not help.
    if facts.opset >= FIRST_BROADCASTING_OPSET:
        return
    shapes = [facts.shapes.get(name) for name in node.input]
    stretched = node.op_type == "PRelu" and shapes[0] != shapes[1]
    if node.op_type in BROADCASTING or stretched or attribute(node, "broadcast", 0):
        yield "opset", f"{node.op_type} of opset {facts.opset} is refused: export at 19 to 21"


def _input(node: Any, index: int) -> str:
    return str(node.input[index]) if index < len(node.input) else ""


def _constant(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    if any(a.name in ("sparse_value", "value_string", "value_strings") for a in node.attribute):
        yield "attribute", "sparse and string constants are refused"


def _resize(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    if attribute(node, "coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        if attribute(node, "nearest_mode", "round_prefer_floor") != "round_prefer_floor":
            yield "attribute", "tf_half_pixel_for_nn needs round_prefer_floor"


def _dropout(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    if facts.opset < FIRST_BROADCASTING_OPSET and not attribute(node, "is_test", 1):
        yield "training", "Dropout is in training mode: export the network in eval mode"
    training = _input(node, 2)
    if not training:
        return
    if not facts.is_weight(training):
        yield "constant input", f"training_mode '{training}' must be a constant"
    elif training in facts.constants and bool(np.any(facts.constants[training])):
        yield "training", "Dropout is in training mode: export the network in eval mode"


def _matmul(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    first, second = (facts.shapes.get(name) for name in node.input[:2])
    # The vector is given the wrong batch: "reshape changes volume".
    if first is not None and second is not None and len(first) == 1 and len(second) > 2:
        if second[0] != 1:
            yield "rank", "a vector times a batch of matrices: make it a row of rank 2 first"


def _topk(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    wanted = facts.constants.get(_input(node, 1))
    if wanted is not None and np.any(wanted > LARGEST_K):
        yield "attribute", f"K exceeds the maximum value allowed ({LARGEST_K})"


def _mod(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    if not attribute(node, "fmod", 0) and facts.types.get(node.input[0]) in FLOATS:
        yield "attribute", "fmod is 0: the inputs cannot be of floating point types"


def _attention(facts: GraphFacts, node: Any) -> Iterator[tuple[str, str]]:
    key, value = (facts.shapes.get(name) for name in node.input[1:3])
    if key is not None and value is not None and key != value:
        yield "attention", f"keys are {key}, values {value}: they must have the same shape"
    if attribute(node, "is_causal", 0) and _input(node, 3):
        yield "attention", "it is causal and has a mask: put the causal part into the mask"
    if attribute(node, "softmax_precision") is not None:
        yield "attribute", "softmax_precision cannot be set"
    query = facts.shapes.get(node.input[0])
    if query is not None and not _has_attention_kernel(facts, node, query):
        yield "attention kernel", "no kernel: use FLOAT16 or BFLOAT16 and heads of 9 to 256"


def _has_attention_kernel(facts: GraphFacts, node: Any, query: list[int]) -> bool:
    """Whether the builder has a kernel, or may take the attention apart.

    "Attention operation was not supported by a dedicated kernel" is what every combination of
    type, head size, rank and constant keys was asked for.
    """
    heads = max(1, int(attribute(node, "q_num_heads", 1)))
    head = query[-1] // heads if len(query) == 3 else query[-1]
    if facts.types.get(node.input[0]) in HALF_TYPES and 8 < head <= 256:
        return True
    if query[-2] == 1:
        return True
    plain = not attribute(node, "is_causal", 0) and not any(node.input[3:])
    grouped = heads != int(attribute(node, "kv_num_heads", heads))
    computed = not any(name in facts.known for name in node.input[1:3])
    return len(query) == 3 and plain and not grouped and computed


_RULES: dict[str, Rule] = {
    "Constant": _constant,
    "Resize": _resize,
    "Dropout": _dropout,
    "MatMul": _matmul,
    "TopK": _topk,
    "Mod": _mod,
    "Attention": _attention,
}

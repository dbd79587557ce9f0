"""What an ONNX file asks of a device: multiply-adds and bytes, counted, not timed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from latency_models.base import CompileError
from latency_models.trt_compatibility import GraphFacts

_FUSED = frozenset(
    "Relu PRelu LeakyRelu Clip Sigmoid Tanh HardSwish HardSigmoid Elu Gelu Mish Identity Cast "
    "QuantizeLinear DequantizeLinear Reshape Flatten Squeeze Unsqueeze Dropout "
    "BatchNormalization".split()
)
"""What engines do while a tensor is at hand: it is neither written nor read again for it."""
_SHAPE_ONLY = frozenset("Constant Shape Size ConstantOfShape Range".split())
_TYPE_BYTES = {
    "FLOAT16": 2, "BFLOAT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1, "DOUBLE": 8, "INT64": 8,
}
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class FileWork:
    """The work of one inference.

    Attributes:
        macs: multiply-adds of convolutions and matrix products. A transposed convolution counts
            its kernel per input pixel.
        bytes_moved: every layer reads its inputs and weights and writes its output once, at the
            precision that is in the file; activations and Q/DQ are fused into their neighbours.
        uncounted: nodes whose shapes the file does not tell.
    """

    macs: int
    bytes_moved: int
    uncounted: tuple[str, ...] = ()

    @property
    def macs_per_byte(self) -> float:
        """The arithmetic intensity."""
        return self.macs / max(1, self.bytes_moved)


@dataclass(frozen=True)
class NodeWork:
    """The work of one node that moves data.

    Attributes:
        output: the tensor that it writes.
    """

    output: str
    macs: int
    bytes_moved: int


def work_of_file(onnx: bytes) -> FileWork:
    """Count a file's work.

    Raises:
        CompileError: it cannot be read.
    """
    nodes, uncounted = work_of_nodes(onnx)
    return FileWork(
        sum(n.macs for n in nodes), sum(n.bytes_moved for n in nodes), tuple(uncounted)
    )


def work_of_nodes(onnx: bytes) -> tuple[list[NodeWork], list[str]]:
    """The work of each node, and the nodes whose shapes the file does not tell.

    Raises:
        CompileError: it cannot be read.
    """
    from onnx import load_model_from_string

    try:
        facts = GraphFacts(load_model_from_string(onnx))
    except Exception as error:
        raise CompileError(f"not an ONNX file that can be counted: {error}") from error
    counted, uncounted = [], []
    for node in facts.nodes:
        if node.op_type in _FUSED | _SHAPE_ONLY:
            continue
        try:
            counted.append(NodeWork(node.output[0], _macs(facts, node), _bytes(facts, node)))
        except KeyError:
            uncounted.append(str(node.name or node.op_type))
    return counted, uncounted


def _macs(facts: GraphFacts, node: Any) -> int:
    match node.op_type:
        case "Conv":
            batch, _, *pixels = facts.shapes[node.output[0]]
        case "ConvTranspose":
            batch, _, *pixels = facts.shapes[node.input[0]]
        case "MatMul" | "Gemm":
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            inner = facts.shapes[node.input[0]][0 if transposed else -1]
            return prod(facts.shapes[node.output[0]]) * inner
        case _:
            return 0
    return prod(facts.shapes[node.input[1]]) * batch * prod(pixels)


def _bytes(facts: GraphFacts, node: Any) -> int:
    total = sum(_read(facts, name) for name in dict.fromkeys(node.input) if name)
    return total + sum(
        prod(facts.shapes[name]) * _written_width(facts, name) for name in node.output if name
    )


def _read(facts: GraphFacts, tensor: str) -> int:
    """Bytes of one input, at the type it is kept in."""
    elements, width = prod(facts.shapes[tensor]), _width(facts, tensor)
    while tensor in facts.made_by and facts.made_by[tensor].op_type in _FUSED:
        tensor = facts.made_by[tensor].input[0]
        width = min(width, _width(facts, tensor))
    return elements * width


def _written_width(facts: GraphFacts, tensor: str) -> int:
    """Bytes of one element where it is stored: one where all that read it quantize it first."""
    own, readers = _width(facts, tensor), facts.readers.get(tensor, [])
    if tensor in facts.outputs or not readers:
        return own
    return max(
        min(own, _written_width(facts, reader.output[0])) if reader.op_type in _FUSED else own
        for reader in readers
    )


def _width(facts: GraphFacts, tensor: str) -> int:
    return _TYPE_BYTES.get(facts.types.get(tensor, "FLOAT"), _FLOAT_BYTES)

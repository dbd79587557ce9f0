"""What an ONNX file asks of a device: multiply-adds and bytes, counted, not timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from latency_models.base import CompileError
from latency_models.flat_file import ELSE, THEN, Branch, FlatFile, flattened
from latency_models.trt_compatibility import GraphFacts, attribute

_FUSED = frozenset(
    "Relu PRelu LeakyRelu Clip Sigmoid Tanh HardSwish HardSigmoid Elu Gelu Mish Identity Cast "
    "QuantizeLinear DequantizeLinear Reshape Flatten Squeeze Unsqueeze Dropout "
    "BatchNormalization".split()
)
"""What engines do while a tensor is at hand: it is neither written nor read again for it."""
_SHAPE_ONLY = frozenset("Constant Shape Size ConstantOfShape Range".split())
_WEIGHT_INPUT = {
    "Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "DeformConv": 1, "QLinearConv": 3,
}
_PRODUCTS = frozenset("MatMul Gemm MatMulInteger QLinearMatMul".split())
_NOT_COUNTED = frozenset(
    "Loop Scan SequenceMap LSTM GRU RNN Attention LinearAttention CausalConvWithState DFT STFT "
    "Optional OptionalGetElement".split()
)
"""Operators with multiply-adds that the shapes in the file do not tell; never taken for none."""
_TYPE_BYTES = {
    "FLOAT16": 2, "BFLOAT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1, "DOUBLE": 8, "INT64": 8,
}
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class FileWork:
    """The work of one inference.

    Attributes:
        macs: multiply-adds of convolutions and matrix products. A transposed convolution counts
            its kernel per input pixel. Of an If the branches must agree.
        bytes_moved: every layer reads its inputs and weights and writes its output once, at the
            precision that is in the file; activations and Q/DQ are fused into their neighbours.
        uncounted: nodes whose work the file does not tell; the figures are without them.
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


@dataclass(frozen=True)
class _Counted:
    """A node's work, or its name where that is not known, and the branches that it stands in."""

    path: tuple[Branch, ...]
    work: NodeWork | None = None
    unknown: str = ""


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
    """The work of each node, and the nodes whose work the file does not tell.

    Raises:
        CompileError: it cannot be read.
    """
    from onnx import load_model_from_string

    try:
        flat = flattened(load_model_from_string(onnx))
        facts = GraphFacts(flat.model)
    except Exception as error:
        raise CompileError(f"not an ONNX file that can be counted: {error}") from error
    counted = [
        _counted(facts, node, flat.inside.get(node.output[0], ()))
        for node in facts.nodes
        if node.output and node.op_type not in _FUSED | _SHAPE_ONLY
    ]
    for number in reversed(range(len(flat.choices))):
        counted = _one_branch(facts, flat, counted, number)
    works = [node.work for node in counted if node.work is not None]
    return works, [node.unknown for node in counted if node.unknown]


def _counted(facts: GraphFacts, node: Any, path: tuple[Branch, ...]) -> _Counted:
    kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    try:
        if kind in _NOT_COUNTED or kind != node.op_type:
            raise KeyError(kind)
        work = NodeWork(node.output[0], _macs(facts, node), _bytes(facts, node))
    except KeyError:
        return _Counted(path, unknown=f"{kind} {node.name}".strip())
    return _Counted(path, work)


def _one_branch(
    facts: GraphFacts, flat: FlatFile, counted: Sequence[_Counted], number: int
) -> list[_Counted]:
    """Count one branch of an If where both do the same work, else tell that it is not counted."""
    branches = [
        [node for node in counted if (number, name) in node.path] for name in (THEN, ELSE)
    ]
    macs = [sum(node.work.macs for node in nodes if node.work) for nodes in branches]
    shapes = [
        [facts.shapes.get(name) for name in flat.results.get((number, branch), ())]
        for branch in (THEN, ELSE)
    ]
    outside = [
        node for node in counted
        if (number, THEN) not in node.path and (number, ELSE) not in node.path
    ]
    if macs[0] == macs[1] and shapes[0] == shapes[1]:
        unknown = [node for node in branches[1] if node.unknown]
        return [*outside, *branches[0], *unknown]
    why = f"If {flat.choices[number]} (its branches take {macs[0]} and {macs[1]} MACs)"
    path = min((node.path for nodes in branches for node in nodes), key=len, default=())
    around = tuple(branch for branch in path if branch[0] < number)
    return [*outside, _Counted(around, unknown=why)]


def _macs(facts: GraphFacts, node: Any) -> int:
    kind = node.op_type
    if kind in _WEIGHT_INPUT:
        over = node.input[0] if kind == "ConvTranspose" else node.output[0]
        batch, _, *pixels = _shape(facts, over)
        weight = _shape(facts, node.input[_WEIGHT_INPUT[kind]])
        return prod(weight) * batch * prod(pixels)
    if kind in _PRODUCTS:
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        inner = _shape(facts, node.input[0])[0 if transposed else -1]
        return prod(_shape(facts, node.output[0])) * inner
    return _einsum(facts, node) if kind == "Einsum" else 0


def _einsum(facts: GraphFacts, node: Any) -> int:
    """Two tensors: one multiply-add for each combination of all their indices.

    Raises:
        KeyError: more than two tensors, whose order of multiplication is the engine's choice.
    """
    equation = str(attribute(node, "equation")).replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) == 1:
        return 0
    if len(terms) > 2 or "..." in equation:
        raise KeyError(equation)
    sizes: dict[str, int] = {}
    for letters, tensor in zip(terms, node.input, strict=True):
        sizes |= dict(zip(letters, _shape(facts, tensor), strict=True))
    return prod(sizes.values())


def _shape(facts: GraphFacts, tensor: str) -> list[int]:
    """The shape of a tensor.

    Raises:
        KeyError: the file does not tell it, or leaves a dimension open.
    """
    shape = facts.shapes[tensor]
    if tensor not in facts.constants and any(size <= 0 for size in shape):
        raise KeyError(tensor)
    return shape


def _bytes(facts: GraphFacts, node: Any) -> int:
    total = sum(_read(facts, name) for name in dict.fromkeys(node.input) if name)
    return total + sum(
        prod(_shape(facts, name)) * _written_width(facts, name) for name in node.output if name
    )


def _read(facts: GraphFacts, tensor: str) -> int:
    """Bytes of one input, at the type it is kept in."""
    elements, width = prod(_shape(facts, tensor)), _width(facts, tensor)
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

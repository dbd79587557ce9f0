"""Will TensorRT take this ONNX file? A check that needs neither TensorRT nor a GPU.

Errors are refusals of the parser or the builder, and files that it builds into another network
than the one that was written; advice is what costs speed. The rules are TensorRT's documentation
and its parser's source read as data (`trt_operators`, `trt_node_rules`, `trt_operator_rules`,
`trt_quantizer_rules`), corrected by what TensorRT for RTX 1.7.1.116 says about small files.
Passing them is not a build, and only a build decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latency_models.trt_operators import NEWEST_OPSET, OLDEST_OPSET, TENSOR_TYPES

Level = Literal["error", "advice"]
UNREADABLE = "unreadable"
"""The rule that a file breaks of which nothing else can be told."""


@dataclass(frozen=True)
class Finding:
    """One rule that one node breaks.

    Attributes:
        level: "error" when TensorRT refuses the file or reads it wrong, "advice" when it costs
            speed.
        node: the node's name, or the tensor's or graph's where no node is at fault.
        rule: short name of the rule.
        message: what is wrong and what to do.
    """

    level: Level
    node: str
    rule: str
    message: str


class GraphFacts:
    """A parsed file with what the rules look up: types, ranks, constants, neighbours."""

    def __init__(self, model: Any) -> None:
        import onnx
        from onnx import TensorProto

        self.model = model
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self.nodes: list[Any] = list(graph.node)
        self.opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.types: dict[str, str] = {}
        self.shapes: dict[str, list[int]] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            kind = value.type.tensor_type
            self.types[value.name] = TensorProto.DataType.Name(kind.elem_type)
            if value.type.WhichOneof("value") not in (None, "tensor_type"):
                self.types[value.name] = str(value.type.WhichOneof("value"))
            if kind.HasField("shape"):
                self.shapes[value.name] = [int(d.dim_value) for d in kind.shape.dim]
        self.constants: dict[str, NDArray[Any]] = {}
        for tensor in graph.initializer:
            self._add_constant(tensor.name, tensor)
        for node in self.nodes:
            if node.op_type == "Constant":
                self._add_constant_node(node)
        self.made_by = {out: node for node in self.nodes for out in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.inputs = [v.name for v in graph.input if v.name not in self.constants]
        self.outputs = {value.name for value in graph.output}
        self.known = self._known_when_building()

    def _add_constant(self, name: str, tensor: Any) -> None:
        from onnx import TensorProto, numpy_helper

        self.constants[name] = numpy_helper.to_array(tensor)
        self.types[name] = TensorProto.DataType.Name(tensor.data_type)
        self.shapes[name] = list(tensor.dims)

    def _add_constant_node(self, node: Any) -> None:
        from onnx import helper

        for candidate in node.attribute:
            value = helper.get_attribute_value(candidate)
            if candidate.name == "value":
                self._add_constant(node.output[0], value)
            elif candidate.name.startswith(("value_int", "value_float")):
                kind = np.int64 if candidate.name.startswith("value_int") else np.float32
                self.constants[node.output[0]] = np.asarray(value, kind)

    def _known_when_building(self) -> set[str]:
        """Names of the tensors whose values depend on no network input, only on its shape."""
        known = set(self.constants)
        for node in self.nodes:
            by_itself = node.op_type.startswith("Random") or any(
                candidate.HasField("g") for candidate in node.attribute
            )
            of_shapes = node.op_type in ("Shape", "Size")
            if of_shapes or (not by_itself and all(name in known for name in node.input if name)):
                known.update(node.output)
        return known

    def maker(self, tensor: str, op: str) -> Any | None:
        """The node that makes this tensor, when it is of this kind."""
        node = self.made_by.get(tensor)
        return node if node is not None and node.op_type == op else None

    def is_weight(self, tensor: str) -> bool:
        """True for a constant that the parser holds as such: it sees through these two alone."""
        for _ in self.nodes:  # no more steps than nodes, also in a file that goes in circles
            node = self.made_by.get(tensor)
            if node is None or node.op_type not in ("Cast", "Identity"):
                break
            tensor = node.input[0]
        return tensor in self.constants

    def constant_weight(self, tensor: str) -> NDArray[Any] | None:
        """A weight's values, looking through its quantizers."""
        while tensor not in self.constants:
            node = self.made_by.get(tensor)
            if node is None or node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                return None
            tensor = node.input[0]
        return self.constants[tensor]


def name_of(node: Any) -> str:
    """A node's name, or its kind and output where it has none."""
    return str(node.name or f"{node.op_type} -> {node.output[0] if node.output else '?'}")


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """An attribute's value as plain Python."""
    from onnx import helper

    for candidate in node.attribute:
        if candidate.name == name:
            value = helper.get_attribute_value(candidate)
            return value.decode() if isinstance(value, bytes) else value
    return default


def check(onnx: bytes) -> list[Finding]:
    """Return all findings, errors first; an empty list means that no rule is broken."""
    from onnx import checker, load_model_from_string

    from latency_models.trt_advice import advise
    from latency_models.trt_node_rules import check_node
    from latency_models.trt_operator_rules import check_operator
    from latency_models.trt_quantizer_rules import check_quantizers

    try:
        model = load_model_from_string(onnx)
    except Exception as error:
        return [_unreadable(str(error))]
    if not model.opset_import:
        return [_unreadable("no ONNX network is in it")]
    try:
        facts = GraphFacts(model)
    except Exception as error:
        return [Finding("error", "file", "onnx", f"it cannot be read: {error}")]
    findings = [*_check_graph(facts)]
    for node in facts.nodes:
        findings += check_node(facts, node)
        findings += check_operator(facts, node)
    findings += check_quantizers(facts)
    findings += advise(facts)
    if not any(finding.level == "error" for finding in findings):
        try:
            checker.check_model(model)
        except Exception as error:
            words = f"the ONNX checker says: {' '.join(str(error).split())}"
            findings.append(Finding("error", "file", "onnx", words))
    return sorted(findings, key=lambda finding: finding.level != "error")


def _unreadable(why: str) -> Finding:
    return Finding("error", "file", UNREADABLE, f"it is no ONNX file that can be read: {why}")


def _check_graph(facts: GraphFacts) -> Iterator[Finding]:
    if not OLDEST_OPSET <= facts.opset <= NEWEST_OPSET:
        yield Finding(
            "advice",
            "graph",
            "opset",
            f"opset {facts.opset} is outside the documented {OLDEST_OPSET}..{NEWEST_OPSET}: "
            "export at 19 to 21",
        )
    for value in facts.model.graph.input:
        if value.name in facts.inputs and not _is_static(value):
            shape = facts.shapes.get(value.name, [])
            message = f"the input has an open dimension ({shape})"
            yield Finding("error", value.name, "static shape", message)
    for name, kind in facts.types.items():
        if kind == "DOUBLE":
            message = "the tensor is DOUBLE and is built as FLOAT: export FLOAT or FLOAT16"
            yield Finding("advice", name, "tensor type", message)
        elif kind not in TENSOR_TYPES and kind != "UNDEFINED":
            message = f"the tensor is {kind}, which TensorRT does not have"
            yield Finding("error", name, "tensor type", message)


def _is_static(value: Any) -> bool:
    """True when all sizes are written down; a scalar has none, zero is a size, -1 is none."""
    kind = value.type.tensor_type
    return kind.HasField("shape") and all(
        d.HasField("dim_value") and d.dim_value >= 0 for d in kind.shape.dim
    )


def is_positive(values: NDArray[Any]) -> bool:
    """True when every value is finite and above zero."""
    numbers = np.asarray(values, np.float64)
    return bool(np.all(np.isfinite(numbers)) and np.all(numbers > 0))

"""Will TensorRT take this ONNX file? A check that needs neither TensorRT nor a GPU.

Errors are documented refusals of the parser or the builder; advice is what costs speed. The rules
are TensorRT's documentation and its parser's source read as data (`trt_operators`,
`trt_quantizer_rules`): passing them is not a build, and only a build decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latency_models.trt_operators import (
    INTEGER_OPERATORS,
    NEWEST_OPSET,
    NOT_CAPTURABLE,
    OLDEST_OPSET,
    OPERATORS,
    Operator,
)

Level = Literal["error", "advice"]


@dataclass(frozen=True)
class Finding:
    """One rule that one node breaks.

    Attributes:
        level: "error" when TensorRT refuses the file, "advice" when it costs speed.
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
            if kind.HasField("shape"):
                self.shapes[value.name] = [int(d.dim_value) for d in kind.shape.dim]
        self.constants: dict[str, NDArray[Any]] = {}
        for tensor in graph.initializer:
            self._add_constant(tensor.name, tensor)
        for node in self.nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self._add_constant(node.output[0], attribute.t)
        self.made_by = {out: node for node in self.nodes for out in node.output}
        self.readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.inputs = [v.name for v in graph.input if v.name not in self.constants]
        self.outputs = {value.name for value in graph.output}

    def _add_constant(self, name: str, tensor: Any) -> None:
        from onnx import TensorProto, numpy_helper

        self.constants[name] = numpy_helper.to_array(tensor)
        self.types[name] = TensorProto.DataType.Name(tensor.data_type)
        self.shapes[name] = list(tensor.dims)

    def maker(self, tensor: str, op: str) -> Any | None:
        """The node that makes this tensor, when it is of this kind."""
        node = self.made_by.get(tensor)
        return node if node is not None and node.op_type == op else None

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
    from latency_models.trt_quantizer_rules import check_quantizers

    try:
        model = load_model_from_string(onnx)
        facts = GraphFacts(model)
    except Exception as error:
        return [Finding("error", "file", "onnx", f"it cannot be read: {error}")]
    findings = [*_check_graph(facts)]
    for node in facts.nodes:
        findings += _check_node(facts, node)
    findings += check_quantizers(facts)
    findings += advise(facts)
    if not any(finding.level == "error" for finding in findings):
        try:
            checker.check_model(model)
        except Exception as error:
            findings.append(Finding("error", "file", "onnx", f"the ONNX checker says: {error}"))
    return sorted(findings, key=lambda finding: finding.level != "error")


def _check_graph(facts: GraphFacts) -> Iterator[Finding]:
    if not OLDEST_OPSET <= facts.opset <= NEWEST_OPSET:
        yield Finding(
            "error",
            "graph",
            "opset",
            f"opset {facts.opset} is outside {OLDEST_OPSET}..{NEWEST_OPSET}: export at 19 to 21",
        )
    for name in facts.inputs:
        shape = facts.shapes.get(name, [])
        if not shape or any(size <= 0 for size in shape):
            yield Finding(
                "error", name, "static shape", f"the input has an open dimension ({shape})"
            )
    for name, kind in facts.types.items():
        if kind in ("DOUBLE", "STRING", "COMPLEX64", "COMPLEX128"):
            yield Finding(
                "error", name, "tensor type", f"the tensor is {kind}: use FLOAT or FLOAT16"
            )


def _check_node(facts: GraphFacts, node: Any) -> Iterator[Finding]:
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
        if node.op_type not in NOT_CAPTURABLE:
            yield Finding(
                "error", name, "operator", f"{node.domain or 'onnx'}.{node.op_type} is not known"
            )
        return
    yield from _check_types(facts, node, operator)
    yield from _check_attributes(facts, node, operator)


def _check_types(facts: GraphFacts, node: Any, operator: Operator) -> Iterator[Finding]:
    name = name_of(node)
    kinds = [facts.types.get(tensor, "") for tensor in node.input if tensor]
    if kinds and kinds[0] and kinds[0] not in (*operator.types, "DOUBLE"):
        # A dequantized INT32 has a rule and a message of its own.
        if node.op_type != "DequantizeLinear":
            yield Finding(
                "error", name, "operator type", f"{node.op_type} does not take {kinds[0]}"
            )
    floats = {kind for kind in kinds if kind in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")}
    if operator.same_type and len(floats) > 1:
        yield Finding(
            "error",
            name,
            "one float type",
            f"{node.op_type} mixes {' and '.join(sorted(floats))}: nothing is promoted, cast or "
            "convert the constants",
        )


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
    for index in operator.constant_inputs:
        tensor = node.input[index] if index < len(node.input) else ""
        if tensor and tensor not in facts.constants:
            yield Finding("error", name, "constant input", f"'{tensor}' must be a constant")
    if node.op_type == "Constant" and attribute(node, "value") is None:
        if any(
            a.name in ("sparse_value", "value_string", "value_strings") for a in node.attribute
        ):
            yield Finding("error", name, "attribute", "sparse and string constants are refused")
    if attribute(node, "coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        if attribute(node, "nearest_mode", "round_prefer_floor") != "round_prefer_floor":
            yield Finding(
                "error", name, "attribute", "tf_half_pixel_for_nn needs round_prefer_floor"
            )


def is_positive(values: NDArray[Any]) -> bool:
    """True when every value is finite and above zero."""
    numbers = np.asarray(values, np.float64)
    return bool(np.all(np.isfinite(numbers)) and np.all(numbers > 0))

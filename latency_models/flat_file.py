"""A file made countable: no local functions, both branches of each If in line, ONNX's operators.

Nothing is run from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Branch = tuple[int, str]
"""Which If, by number, and `then_branch` or `else_branch`."""
THEN, ELSE = "then_branch", "else_branch"
_MICROSOFT = "com.microsoft"
_TWINS: dict[str, tuple[str, tuple[int, ...]]] = {
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "QLinearSigmoid": ("Sigmoid", (0,)),
    "QLinearSoftmax": ("Softmax", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QGemm": ("Gemm", (0, 3)),
    "FusedConv": ("Conv", (0, 1)),
    "QuantizeLinear": ("QuantizeLinear", (0, 1, 2)),
    "DequantizeLinear": ("DequantizeLinear", (0, 1, 2)),
    "Gelu": ("Gelu", (0,)),
}
"""ONNX Runtime's own operators: ONNX's that has the same shapes, and which inputs are its data."""


@dataclass(frozen=True)
class FlatFile:
    """A file to count; it computes more than the original, whose Ifs run one branch each.

    Attributes:
        model: the graph, without If and local functions.
        choices: of each If its name.
        inside: for a node's first output the branches that it stands in, outermost first.
        results: the tensors that each branch gives.
    """

    model: Any
    choices: tuple[str, ...] = ()
    inside: Mapping[str, tuple[Branch, ...]] = field(default_factory=dict)
    results: Mapping[Branch, tuple[str, ...]] = field(default_factory=dict)


def flattened(model: Any) -> FlatFile:
    """Put local functions and branches in line; tensors of a branch get a name of their own."""
    import onnx
    import onnx.inliner

    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    kinds = {node.op_type for node in model.graph.node}
    if "If" not in kinds and all(n.domain != _MICROSOFT for n in model.graph.node):
        return FlatFile(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    flattening = _Flattening(copy.graph)
    nodes = list(flattening.flat(model.graph, {}, ()))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return FlatFile(
        copy, tuple(flattening.choices), flattening.inside, flattening.results
    )


class _Flattening:
    """Walks through a graph and its branches; their weights move into the outer graph."""

    def __init__(self, outer: Any) -> None:
        self._outer = outer
        self.choices: list[str] = []
        self.inside: dict[str, tuple[Branch, ...]] = {}
        self.results: dict[Branch, tuple[str, ...]] = {}

    def flat(
        self, graph: Any, renamed: Mapping[str, str], path: tuple[Branch, ...]
    ) -> Iterator[Any]:
        """The nodes of a graph in order, with an If's two branches in its place."""
        for node in graph.node:
            if node.op_type == "If" and node.domain in ("", "ai.onnx"):
                yield from self._branches(node, renamed, path)
                continue
            copy = _twin(node)
            for names in (copy.input, copy.output):
                names[:] = [renamed.get(name, name) for name in names]
            if path and copy.output:
                self.inside[copy.output[0]] = path
            yield copy

    def _branches(
        self, node: Any, renamed: Mapping[str, str], path: tuple[Branch, ...]
    ) -> Iterator[Any]:
        from onnx import helper

        number = len(self.choices)
        self.choices.append(str(node.name or node.output[0]))
        for attribute in node.attribute:
            branch, prefix = attribute.g, f"if{number}/{attribute.name}/"
            own = [name for inner in branch.node for name in inner.output if name]
            own += [tensor.name for tensor in branch.initializer]
            names = {**renamed, **{name: prefix + name for name in own}}
            for tensor in branch.initializer:
                moved = self._outer.initializer.add()
                moved.CopyFrom(tensor)
                moved.name = names[tensor.name]
            yield from self.flat(branch, names, (*path, (number, attribute.name)))
            self.results[number, attribute.name] = tuple(
                names.get(value.name, value.name) for value in branch.output
            )
        # What reads the If reads this branch: where both agree in shape, that is right.
        results = self.results.get((number, THEN), ())
        for source, name in zip(results, node.output, strict=False):
            yield helper.make_node("Identity", [source], [renamed.get(name, name)])


def _twin(node: Any) -> Any:
    """A copy of a node, as ONNX's own operator where it is one of ONNX Runtime's that we know."""
    copy = type(node)()
    copy.CopyFrom(node)
    if node.domain != _MICROSOFT:
        return copy
    if node.op_type == "QLinearConcat":
        kind, data = "Concat", tuple(range(2, len(node.input), 3))
    elif node.op_type in _TWINS:
        kind, data = _TWINS[node.op_type]
    else:
        return copy
    copy.op_type, copy.domain = kind, ""
    copy.input[:] = [node.input[index] for index in data if index < len(node.input)]
    return copy

"""The Graph: a network as a list of primitives, its shapes and its identity.

Shapes and identity are read here without torch or ONNX; what a network costs is in `work.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from runtime.signature import INPUT, OUTPUT, InvalidSignature, Port, Signature
from search_spaces.base import InvalidArchitecture
from search_spaces.primitive import by
from search_spaces.primitives import Input, Primitive, Shape

__all__ = ["Graph", "GraphBuilder", "Shape", "channels_of", "shapes_of"]


@dataclass(frozen=True)
class Graph:
    """A network: primitives in order of execution.

    Attributes:
        nodes: the primitives.
        results: the network's outputs by name, each with the index of the node that gives it;
            empty where the last node gives the only one, called `output`.
        pictures: names of outputs that are pictures in [0, 1], which a file may give as levels.
    """

    nodes: tuple[Primitive, ...]
    results: tuple[tuple[str, int], ...] = ()
    pictures: tuple[str, ...] = ()

    @property
    def outputs(self) -> Mapping[str, int]:
        """Each output's name with the index of its node, in order."""
        return dict(self.results or ((OUTPUT, len(self.nodes) - 1),))

    @property
    def output(self) -> int:
        """Index of the node that gives the first output."""
        return next(iter(self.outputs.values()))

    @property
    def inputs(self) -> Mapping[str, int]:
        """Each input's name with the index of its node, in order."""
        nodes = enumerate(self.nodes)
        return {node.name: index for index, node in nodes if isinstance(node, Input)}

    def consumers(self) -> list[list[int]]:
        """For each node the nodes that read it."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                readers[source].append(index)
        return readers

    def canonical_hash(self) -> str:
        """sha256 of the network up to the order in which independent nodes are written.

        All nodes are counted, not only what the output is made of: one layer that is read twice
        is another network than two equal layers with weights of their own. A field that has its
        default is left out, so that a primitive may grow one without new hashes.
        """
        digests: list[str] = []
        for node in self.nodes:
            sources = [digests[i] for i in node.inputs]
            text = repr((type(node).__name__, _own_fields(node), sources))
            digests.append(hashlib.sha256(text.encode()).hexdigest())
        ends = [f"{name} {digests[index]}" for name, index in self.results]
        found = [*(ends or [digests[-1]]), *sorted(digests)]
        return hashlib.sha256(" ".join(found).encode()).hexdigest()


def _own_fields(node: Primitive) -> list[tuple[str, Any]]:
    values = [(f.name, getattr(node, f.name), f.default) for f in fields(node)]
    return [
        (name, value)
        for name, value, default in values
        if name != "inputs" and (default is MISSING or value != default)
    ]


class GraphBuilder:
    """Appends primitives and hands out their indices; drops what the outputs do not need."""

    def __init__(self, *inputs: int | Port) -> None:
        """Begin with the inputs, whose indices are 0, 1, 2 and so on.

        Args:
            inputs: as ports; a number is the channels of a picture called `input`.
        """
        self._nodes: list[Primitive] = []
        for port in inputs:
            port = Port(INPUT, port) if isinstance(port, int) else port
            facts = {"name": port.name, "scale": port.scale, "kind": port.kind}
            self.add(Input, channels=port.channels, **facts)
        self._taken = len(inputs)

    def add(self, make: Callable[..., Primitive], *inputs: int, **fields: Any) -> int:
        """Append one primitive and return its index."""
        self._nodes.append(make(inputs, **fields))
        return len(self._nodes) - 1

    def channels(self, index: int) -> int:
        """Feature count of a node."""
        return channels_of(self._nodes)[index]

    def positive(self, index: int) -> bool:
        """Whether a node's values cannot be negative, as far as is known without running it."""
        from search_spaces.signs import not_negative

        return index in not_negative(Graph(tuple(self._nodes)))

    def finish(self, output: int | Mapping[str, int]) -> Graph:
        """Return the Graph that ends here, without unused nodes; its inputs all stay.

        Args:
            output: the node that gives the only output, or each output's name with its node.
        """
        ends = (output,) if isinstance(output, int) else tuple(output.values())
        needed = set(ends)
        for index in range(max(ends), -1, -1):
            if index in needed:
                needed.update(self._nodes[index].inputs)
        order = sorted(needed | set(range(self._taken)))
        place = {old: new for new, old in enumerate(order)}
        nodes = tuple(
            replace(self._nodes[i], inputs=tuple(place[s] for s in self._nodes[i].inputs))
            for i in order
        )
        if isinstance(output, int):
            return Graph(nodes)
        return Graph(nodes, tuple((name, place[index]) for name, index in output.items()))


def channels_of(nodes: Sequence[Primitive]) -> list[int]:
    """Feature count of every node's output."""
    out: list[int] = []
    for node in nodes:
        out.append(node.channels_from([out[i] for i in node.inputs]))
    return out


def shapes_of(graph: Graph, height: int, width: int) -> list[Shape]:
    """Output shape of every node, (C, H, W), where the deployment is of this size.

    Raises:
        InvalidArchitecture: sizes or channels do not fit together.
    """
    shapes: list[Shape] = []
    for index, (node, c) in enumerate(zip(graph.nodes, channels_of(graph.nodes), strict=True)):
        where = f"node {index} ({type(node).__name__})"
        if isinstance(node, Input):
            shapes.append(_entering(node, height, width))
            continue
        sources = [shapes[i] for i in node.inputs]
        if any(len(source) != 3 for source in sources):
            raise InvalidArchitecture(f"{where}: nothing may follow a Flatten")
        if misfit := node.misfit(sources):
            raise InvalidArchitecture(f"{where}: {misfit}")
        if any(side % node.divisor for side in sources[0][1:]):
            raise InvalidArchitecture(
                f"{where}: a {by(sources[0])} tensor does not divide by {node.divisor}"
            )
        size = node.size_from(sources)
        if size and min(size) < 1:
            raise InvalidArchitecture(f"{where}: a {by(sources[0])} tensor is too small for it")
        shapes.append((c, *size))
    return shapes


def _entering(node: Input, height: int, width: int) -> Shape:
    """The shape of an input inside the network."""
    try:
        shape = node.port.shape(height, width)
    except InvalidSignature as error:
        raise InvalidArchitecture(str(error)) from error
    return shape if len(shape) == 3 else (*shape, 1, 1)


def require_signature(graph: Graph, signature: Signature) -> None:
    """Refuse a Graph that has other inputs and outputs than it was to have.

    Raises:
        InvalidArchitecture: says what differs.
    """
    inputs = tuple(n.port for n in graph.nodes if isinstance(n, Input))
    if inputs != signature.inputs:
        wanted = _names(signature.inputs)
        raise InvalidArchitecture(f"its inputs are {_names(inputs)}, not {wanted}")
    channels = channels_of(graph.nodes)
    made = {name: channels[index] for name, index in graph.outputs.items()}
    asked = {port.name: port.channels for port in signature.outputs}
    if list(made.items()) != list(asked.items()):
        raise InvalidArchitecture(f"it gives {made} (channels by name), not {asked}")


def _names(ports: Sequence[Port]) -> str:
    return ", ".join(f"{p.name} ({p.channels} channels, scale {p.scale})" for p in ports)

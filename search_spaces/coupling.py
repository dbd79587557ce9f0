"""Which channels of a Graph have to stay or go together when some are removed.

An Add makes the channels of its inputs one; a Concat, a Slice or a pixel shuffle moves them; a
depthwise layer passes them on. Every channel of every node is followed on its own, so that any
wiring of primitives is understood.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from search_spaces.graph import Graph, channels_of
from search_spaces.primitives import (
    Conv,
    ConvTranspose,
    Primitive,
)

Place = tuple[int, int]
"""A channel: (node, number)."""


@dataclass(frozen=True)
class Coupled:
    """Layers whose output channels are removed together.

    Attributes:
        nodes: all that they pass through.
        layers: those among them that make them.
        channels: each entry stays or goes whole: one or more (layer, output channel).
    """

    nodes: tuple[int, ...]
    layers: tuple[int, ...]
    channels: tuple[tuple[Place, ...], ...]


class _Ties:
    """Sets of channels that are one, and whether they may be removed (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[Place, Place] = {}
        self._held: set[Place] = set()

    def root(self, place: Place) -> Place:
        self._parent.setdefault(place, place)
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place

    def tie(self, one: Place, other: Place) -> None:
        a, b = self.root(one), self.root(other)
        self._parent[b] = a

    def hold(self, place: Place) -> None:
        """Never remove this channel."""
        self._held.add(place)

    def held(self) -> set[Place]:
        """Roots of the sets in which a channel is held."""
        return {self.root(place) for place in self._held}


def is_depthwise(node: Primitive, in_channels: int) -> bool:
    """Whether a layer makes each output channel of the input channel of the same number."""
    return isinstance(node, Conv) and node.depthwise(in_channels)


def coupled_channels(graph: Graph) -> list[Coupled]:
    """What may be removed, in groups of layers, in the order of the Graph.

    Held back are the image, the output, fixed kernels, and what grouped layers and operations on
    groups of channels read and make: removing a channel there would move the others.
    """
    channels = channels_of(graph.nodes)
    ties = _Ties()
    for index, node in enumerate(graph.nodes):
        _tie(ties, channels, index, node)
    for output in graph.outputs.values():
        for number in range(channels[output]):
            ties.hold((output, number))
    held = ties.held()
    sets: dict[Place, list[Place]] = defaultdict(list)
    for index, count in enumerate(channels):
        for number in range(count):
            sets[ties.root((index, number))].append((index, number))
    makers = {
        index
        for index, node in enumerate(graph.nodes)
        if _makes_channels(node, channels[node.inputs[0]] if node.inputs else 0)
    }
    # Channels that pass through the same nodes are alternatives to each other; those of two
    # slices of one layer are not, because neither slice may become empty.
    groups: dict[tuple[int, ...], list[tuple[Place, ...]]] = defaultdict(list)
    for root, places in sets.items():
        if root not in held:
            made = tuple(place for place in places if place[0] in makers)
            groups[tuple(sorted({node for node, _ in places}))].append(made)
    return [
        Coupled(nodes, tuple(node for node in nodes if node in makers), tuple(found))
        for nodes, found in sorted(groups.items())
    ]


def _makes_channels(node: Primitive, in_channels: int) -> bool:
    return isinstance(node, Conv | ConvTranspose) and not is_depthwise(node, in_channels)


def _tie(ties: _Ties, channels: list[int], index: int, node: Primitive) -> None:
    """Enter what one node does to channels."""
    counts = [channels[i] for i in node.inputs]
    found = node.ties(counts)
    held = [node.inputs[number] for number in node.whole_inputs]
    if found is None:
        held = [index, *node.inputs]
    for at in held:
        for number in range(channels[at]):
            ties.hold((at, number))
    for own, source, number in found or ():
        ties.tie((node.inputs[source], number), (index, own))

"""What stands several times in a row in a network, found so that it is shown once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from search_spaces.graph import Graph, Shape


@dataclass(frozen=True)
class Repeat:
    """Equal parts in a row, each reading only the one before it.

    Attributes:
        start: the first node of the first part.
        length: nodes of one part.
        count: how many parts there are.
        inside: the first part, itself folded.
    """

    start: int
    length: int
    count: int
    inside: tuple[Step, ...]


Step = int | Repeat
"""One node, or a part of the network that stands several times."""


def fold(graph: Graph, shapes: Sequence[Shape]) -> tuple[Step, ...]:
    """The network with every repetition folded, the largest first, and again inside of it.

    Two nodes are alike when their kind, their choices, the shapes they read and write and the
    distance to what they read are; so equal layers at another size stay apart.
    """
    return tuple(_Folder(graph, shapes).fold(0, len(graph.nodes)))


def representatives(steps: Sequence[Step]) -> dict[int, int]:
    """For every node the one that is shown for it."""
    found: dict[int, int] = {}
    for step in steps:
        if isinstance(step, int):
            found[step] = step
            continue
        first = representatives(step.inside)
        for part in range(step.count):
            for node, shown in first.items():
                found[node + part * step.length] = shown
    return found


def times_shown(steps: Sequence[Step], times: int = 1) -> dict[int, int]:
    """How often each shown node stands in the network."""
    found: dict[int, int] = {}
    for step in steps:
        if isinstance(step, int):
            found[step] = times
        else:
            found |= times_shown(step.inside, times * step.count)
    return found


def repeats(steps: Sequence[Step], depth: int = 0) -> Iterator[tuple[Repeat, int]]:
    """Every repetition, outer ones first, with how many others it lies in."""
    for step in steps:
        if isinstance(step, Repeat):
            yield step, depth
            yield from repeats(step.inside, depth + 1)


class _Folder:
    """One network being folded."""

    def __init__(self, graph: Graph, shapes: Sequence[Shape]) -> None:
        self._readers = graph.consumers()
        self._sources = [node.inputs for node in graph.nodes]
        self._looks: list[tuple[Any, ...]] = [
            (
                type(node).__name__,
                tuple(getattr(node, f.name) for f in fields(node) if f.name != "inputs"),
                tuple(index - source for source in node.inputs),
                tuple(shapes[source] for source in node.inputs),
                shapes[index],
            )
            for index, node in enumerate(graph.nodes)
        ]

    def fold(self, first: int, end: int) -> Iterator[Step]:
        best = self._largest(first, end)
        if best is None:
            yield from range(first, end)
            return
        start, length, count = best
        yield from self.fold(first, start)
        yield Repeat(start, length, count, tuple(self.fold(start, start + length)))
        yield from self.fold(start + length * count, end)

    def _largest(self, first: int, end: int) -> tuple[int, int, int] | None:
        """Start, length and count of what saves most lines; of equals the shortest part."""
        best, most = None, 0
        for length in range(1, (end - first) // 2 + 1):
            equal = 0
            for start in range(end - length - 1, first - 1, -1):
                same = self._looks[start] == self._looks[start + length]
                equal = equal + 1 if same else 0
                if length * (equal // length) <= most:
                    continue
                count = self._closed(start, length, equal // length + 1)
                if length * (count - 1) > most:
                    best, most = (start, length, count), length * (count - 1)
        return best

    def _closed(self, start: int, length: int, count: int) -> int:
        """How many parts from `start` on touch the rest by their first input and last output."""
        for node in range(start, start + length):
            if any(source < start - 1 for source in self._sources[node]):
                return 0
        for part in range(count):
            begin, last = start + part * length, start + (part + 1) * length - 1
            for node in range(begin, last):
                if any(reader > last for reader in self._readers[node]):
                    return part
            goes_on = all(reader <= last + length for reader in self._readers[last])
            if not goes_on:
                return part + 1
        return count

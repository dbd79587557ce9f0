"""Where the nodes and edges of a network stand in its drawing: rows, columns and lanes.

Every shown node has a row of its own, in the order of execution. The longest path stands in the
main column; a branch beside it has a column of its own for as long as it lasts; an edge that finds
its way blocked, as a skip connection does, runs in a lane beside the main column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nas.report.folding import Repeat, Step, repeats, representatives, times_shown
from search_spaces.graph import Graph

Way = Literal["straight", "out", "back", "lane"]
"""Down one column; out into a branch's column and down it; down it and back; through a lane."""


@dataclass(frozen=True)
class Edge:
    """A tensor on its way from one shown node to another.

    Attributes:
        lane: its number from the main column on, 0 the nearest; -1 where it needs none.
    """

    source: int
    target: int
    way: Way
    lane: int = -1


@dataclass(frozen=True)
class Layout:
    """A network arranged.

    Attributes:
        rows: of each shown node, from 0 on, all different.
        columns: of each shown node, 0 the main one.
        main: the nodes of the main column, in order.
        times: how often each shown node stands in the network.
        stands_for: for every node of the network the one that is shown for it.
    """

    rows: Mapping[int, int]
    columns: Mapping[int, int]
    edges: Sequence[Edge]
    main: Sequence[int]
    times: Mapping[int, int]
    stands_for: Mapping[int, int]

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return 1 + max((edge.lane for edge in self.edges), default=-1)


def arrange(graph: Graph, steps: Sequence[Step]) -> Layout:
    """Give every shown node its row and column, and every edge its way."""
    stands_for, times = representatives(steps), times_shown(steps)
    shown = sorted(times)
    rows = {node: row for row, node in enumerate(shown)}
    sources = {
        node: list(dict.fromkeys(stands_for[i] for i in graph.nodes[node].inputs))
        for node in shown
    }
    branches = _branches(sources, rows)
    columns, spans = _columns(branches, sources, rows)
    ways = [
        (source, node, _way(source, node, rows, columns, spans))
        for node in shown
        for source in sources[node]
    ]
    lanes = _with_lanes(ways, rows, [part for part, _ in repeats(steps)])
    return Layout(rows, columns, lanes, branches[0], times, stands_for)


def _branches(sources: Mapping[int, list[int]], rows: Mapping[int, int]) -> list[list[int]]:
    """The network as paths: the longest one first, then what is left, from the end on."""
    depth: dict[int, int] = {}
    for node in sorted(sources):
        depth[node] = 1 + max((depth[source] for source in sources[node]), default=0)
    left, branches = set(sources), []
    while left:
        node = max(left)
        branch = [node]
        while before := [s for s in sources[node] if s in left]:
            node = max(before, key=lambda s: depth[s])
            branch.append(node)
        left.difference_update(branch)
        branches.append(branch[::-1])
    return branches


def _columns(
    branches: Sequence[list[int]], sources: Mapping[int, list[int]], rows: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """The column of every node, and the rows over which its branch keeps that column."""
    readers: dict[int, list[int]] = {node: [] for node in sources}
    for node, read in sources.items():
        for source in read:
            readers[source].append(node)
    columns, spans = {}, {}
    taken: list[list[tuple[int, int]]] = []
    for branch in branches:
        first, last = branch[0], branch[-1]
        begin = min((rows[s] for s in sources[first]), default=rows[first])
        end = min((rows[r] for r in readers[last]), default=rows[last])
        column = next(
            (c for c, spans_there in enumerate(taken) if c and all(
                end <= b or e <= begin for b, e in spans_there)),
            len(taken),
        )
        if column == len(taken):
            taken.append([])
        taken[column].append((begin, end))
        columns.update(dict.fromkeys(branch, column))
        spans.update(dict.fromkeys(branch, (begin, end)))
    return columns, spans


def _way(
    source: int,
    target: int,
    rows: Mapping[int, int],
    columns: Mapping[int, int],
    spans: Mapping[int, tuple[int, int]],
) -> Way:
    begin, end = rows[source], rows[target]

    def is_free(column: int) -> bool:
        return not any(begin < rows[n] < end for n, c in columns.items() if c == column)

    if columns[source] == columns[target]:
        return "straight" if is_free(columns[source]) else "lane"
    if columns[target] and begin >= spans[target][0] and is_free(columns[target]):
        return "out"
    if columns[source] and end <= spans[source][1] and is_free(columns[source]):
        return "back"
    return "lane"


def _with_lanes(
    ways: Sequence[tuple[int, int, Way]], rows: Mapping[int, int], parts: Sequence[Repeat]
) -> list[Edge]:
    """Give lanes to the edges that need one, short ones nearest.

    Edges of one source share a lane, except where one enters a repetition and another does not:
    in the later repetitions it has another source.
    """

    def entered(source: int, target: int) -> int:
        ends = [(p.start, p.start + p.length) for p in parts]
        return sum(begin <= target < end and not begin <= source < end for begin, end in ends)

    reach: dict[tuple[int, int], int] = {}
    for source, target, way in ways:
        if way == "lane":
            key = (source, entered(source, target))
            reach[key] = max(reach.get(key, 0), rows[target])
    lanes: dict[tuple[int, int], int] = {}
    taken: list[list[tuple[int, int]]] = []
    for key in sorted(reach, key=lambda k: (reach[k] - rows[k[0]], k)):
        begin, end = rows[key[0]], reach[key]
        lane = 0
        while lane < len(taken) and any(begin < e and b < end for b, e in taken[lane]):
            lane += 1
        if lane == len(taken):
            taken.append([])
        taken[lane].append((begin, end))
        lanes[key] = lane
    return [
        Edge(source, target, way, lanes[source, entered(source, target)] if way == "lane" else -1)
        for source, target, way in ways
    ]

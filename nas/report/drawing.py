"""The picture of a network, as SVG that follows the page's colours and fits one printed page.

Each layer is a bar: as long as its output is wide and high (each halving shortens it by one step)
and as thick as it has channels. What stands several times in a row is drawn once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import log2, prod

from nas.report.drawing_layout import Edge, Layout, arrange
from nas.report.folding import Repeat, fold, repeats
from nas.report.layers import LayerLine, layer_lines
from nas.report.markup import NETWORK, PALETTE
from search_spaces.graph import Graph

WIDTH = 700.0
"""Pixels at 96 to the inch: what is left of A4 between usual margins."""
HEIGHT = 1000.0
_TALLEST, _LEAST = 26.0, 12.0
_EDGE, _LANE, _CHIP, _SHARE = 8.0, 9.0, 36.0, 92.0
_COLUMN, _COLUMNS = 62.0, 130.0
_BAR, _NARROWEST, _SHORTEST = 176.0, 96.0, 16.0
_ROUND = 5.0
_HEADING = 12.5
_LETTER, _BOLD = 0.55, 0.65
"""Mean width of a letter, relative to the size of the type."""


@dataclass(frozen=True)
class _Frame:
    """Sizes and places that the whole drawing shares, in pixels.

    Attributes:
        pitch: from row to row.
        type_size: of the labels.
        head: above the first row.
        middle: x of the main column's middle line.
        bar: length of the longest bar.
        column: width of a branch's column.
        lanes: x where the columns end and the lanes begin.
        label, output, share, chips: x of the text columns; `output` is its right edge.
    """

    pitch: float
    type_size: float
    head: float
    middle: float
    bar: float
    column: float
    lanes: float
    label: float
    output: float
    share: float
    chips: float
    width: float
    height: float


def drawing(graph: Graph, *, height: int, width: int, name: str = "") -> str:
    """The network for an input of this size, as an element of an HTML page.

    Args:
        name: for those who cannot see it.

    Raises:
        InvalidArchitecture: the size does not fit the network.
    """
    picture = _Picture(graph, height, width)
    size = f"{picture.frame.width:.0f} {picture.frame.height:.0f}"
    return (
        f'<svg class="net" viewBox="0 0 {size}" role="img" '
        f'style="max-width:{picture.frame.width:.0f}px">'
        f"<title>{escape(_told(name, picture.lines))}</title>{picture.body()}</svg>"
    )


def drawing_file(graph: Graph, *, height: int, width: int, name: str) -> str:
    """The same as a file of its own, with a heading.

    Raises:
        InvalidArchitecture: the size does not fit the network.
    """
    picture = _Picture(graph, height, width)
    wide, high, above = picture.frame.width, picture.frame.height, 34.0
    told = _told(name, picture.lines)
    figures = told.removeprefix(name).removeprefix(": ")
    room = int((wide - 2 * _EDGE - 10 - len(figures) * _HEADING * _LETTER) / (_HEADING * _BOLD))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="net" width="{wide:.0f}" '
        f'height="{high + above:.0f}" viewBox="0 {-above:.0f} {wide:.0f} {high + above:.0f}" '
        f'role="img"><title>{escape(told)}</title><style>{PALETTE}{NETWORK}</style>'
        f'<rect class="sheet" x="0" y="{-above:.0f}" width="{wide:.0f}" '
        f'height="{high + above:.0f}"/>'
        f'<text x="{_EDGE:.0f}" y="-12" style="font-size:{_HEADING}px">'
        f'<tspan class="kind">{escape(_cut(name, max(8, room)))}</tspan>'
        f'<tspan class="soft" dx="10">{escape(figures)}</tspan></text>{picture.body()}</svg>\n'
    )


def _told(name: str, lines: Sequence[LayerLine]) -> str:
    """Name, layers, parameters and work in one line."""
    params, macs = sum(line.params for line in lines), sum(line.macs for line in lines)
    size = " x ".join(map(str, lines[0].shape[1:]))
    convolutions = sum(line.macs > 0 for line in lines)
    parts = [
        f"{convolutions} convolution{'s' if convolutions != 1 else ''}",
        f"{params:,} parameters",
        f"{macs / 1e9:.3g} GMACs at {size}",
    ]
    return f"{name}: {', '.join(parts)}" if name else ", ".join(parts)


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip(" ,") + "…"


class _Picture:
    """One drawing in the making."""

    def __init__(self, graph: Graph, height: int, width: int) -> None:
        self.lines = layer_lines(graph, height=height, width=width)
        steps = fold(graph, [line.shape for line in self.lines])
        self.layout: Layout = arrange(graph, steps)
        self._repeats: list[tuple[Repeat, int]] = list(repeats(steps))
        self._output = len(graph.nodes) - 1
        self._macs = sum(line.macs for line in self.lines)
        self._most_macs = max(self.lines[n].macs * t for n, t in self.layout.times.items())
        self.frame = self._framed()
        sides = [prod(line.shape[1:]) ** 0.5 for line in self.lines]
        self._levels = [log2(max(sides) / side) for side in sides]
        self._most_channels = max(64, *(line.shape[0] for line in self.lines))

    def _framed(self) -> _Frame:
        rows, layout = len(self.layout.rows), self.layout
        pitch = min(_TALLEST, max(_LEAST, (HEIGHT - 64) / rows))
        type_size = min(12.0, max(9.0, pitch * 0.8))
        columns = max(layout.columns.values())
        column = min(_COLUMN, _COLUMNS / max(1, columns))
        lanes = _EDGE + columns * column
        bars = lanes + layout.lanes * _LANE + (12 if layout.lanes else 0)
        nested = max((depth + 1 for _, depth in self._repeats), default=0)
        share = _SHARE if self._macs else 0.0
        output = max(len(self._size(line)) for line in self.lines) * type_size * _LETTER
        rest = WIDTH - bars - 16 - output - 14 - share - nested * _CHIP - _EDGE
        longest = max(len(line.title) for line in self.lines) * type_size * _LETTER
        bar = min(_BAR, max(_NARROWEST, rest - longest))
        label = bars + bar + 16
        right = label + min(max(longest, 90.0), max(90.0, rest - bar)) + 14 + output
        return _Frame(
            pitch, type_size, 24.0, bars + bar / 2, bar, column, lanes, label, right, right + 16,
            right + share, right + share + nested * _CHIP + _EDGE, 24.0 + rows * pitch + 8,
        )

    def body(self) -> str:
        """Everything inside of the `svg` element."""
        parts = [*self._heads(), *self._panels(), self._hull()]
        parts += [self._edge(edge) for edge in self.layout.edges]
        parts += [self._node(node) for node in self.layout.rows]
        return "".join(parts)

    def _y(self, node: int) -> float:
        return self.frame.head + (self.layout.rows[node] + 0.5) * self.frame.pitch

    def _x(self, node: int) -> float:
        frame, column = self.frame, self.layout.columns[node]
        return frame.lanes - (column - 0.5) * frame.column if column else frame.middle

    def _length(self, node: int) -> float:
        """How long the bar of a node is."""
        longest = self.frame.bar
        deepest = max(self._levels)
        step = min(longest * 0.22, (longest - _SHORTEST) / deepest) if deepest else 0.0
        length = longest - step * self._levels[node]
        return length * (self.frame.column - 12) / longest if self.layout.columns[node] else length

    def _thickness(self, node: int) -> float:
        channels = self.lines[node].shape[0]
        share = log2(1 + channels) / log2(1 + self._most_channels)
        return self.frame.pitch * (0.06 + 0.68 * float(share**1.25))

    def _half(self, node: int) -> float:
        """From the middle of a node to where an edge meets it from the side."""
        return self._radius if self.lines[node].sign else self._length(node) / 2

    @property
    def _radius(self) -> float:
        return min(8.0, self.frame.pitch * 0.36)

    def _heads(self) -> Iterator[str]:
        frame = self.frame
        heads = [(frame.middle, "feature map", "middle"), (frame.label, "layer", ""),
                 (frame.output, "output, C × H × W", "end")]
        if self._macs:
            heads.append((frame.share, "share of MACs", ""))
        for x, words, css in heads:
            yield self._text(x, 12, words, f"soft {css}", min(frame.type_size, 10.5))

    def _panels(self) -> Iterator[str]:
        """A field behind everything that is repeated, and how often it is."""
        frame = self.frame
        for part, depth in self._repeats:
            inside = [n for n in self.layout.rows if part.start <= n < part.start + part.length]
            lanes = [e.lane for e in self.layout.edges if e.target in inside]
            left = frame.middle - frame.bar / 2 - 8 - (1 + max(lanes)) * _LANE
            left = min([left, *(self._x(n) - frame.column / 2 for n in inside)])
            right = frame.width - 4 - depth * _CHIP
            top = self._y(inside[0]) - frame.pitch / 2 + 1 + depth
            bottom = self._y(inside[-1]) + frame.pitch / 2 - 1 - depth
            yield (
                f'<rect class="repeat" x="{left:.1f}" y="{top:.1f}" rx="5" '
                f'width="{right - left:.1f}" height="{bottom - top:.1f}"/>'
            )
            yield self._text(right - 7, (top + bottom) / 2 + frame.type_size * 0.35,
                             f"×{part.count}", "times end")

    def _hull(self) -> str:
        """The outline of the main column, behind its bars."""
        corners = [(self._y(n), self._length(n) / 2) for n in self.layout.main]
        middle = self.frame.middle
        right = [f"{middle + half:.1f} {y:.1f}" for y, half in corners]
        left = [f"{middle - half:.1f} {y:.1f}" for y, half in reversed(corners)]
        return f'<path class="hull" d="M{"L".join([*right, *left])}Z"/>'

    def _edge(self, edge: Edge) -> str:
        """One tensor's way, with an arrow where it comes from the side."""
        x, y = self._x(edge.source), self._y(edge.source)
        to_x, to_y = self._x(edge.target), self._y(edge.target)
        tap = y + self.frame.pitch / 2
        if edge.way == "straight":
            return f'<path class="flow" d="M{x:.1f} {y:.1f}V{to_y:.1f}"/>'
        if edge.way == "out":
            corner = f"H{to_x + _ROUND:.1f}q{-_ROUND} 0 {-_ROUND} {_ROUND}"
            return f'<path class="skip" d="M{x:.1f} {tap:.1f}{corner}V{to_y:.1f}"/>'
        from_left = edge.way == "lane" or x < to_x
        meets = to_x - self._half(edge.target) - 1
        if edge.way == "lane" and self.layout.columns[edge.target]:
            from_left, meets = False, to_x + self._half(edge.target) + 1
        way = f"M{x:.1f} {y:.1f}"
        if edge.way == "lane":
            side = self.frame.middle - self.frame.bar / 2 - 8 - (edge.lane + 0.5) * _LANE
            turn = _ROUND if side < x else -_ROUND
            way = f"M{x:.1f} {tap:.1f}H{side + turn:.1f}q{-turn} 0 {-turn} {_ROUND}"
        turn, head = (_ROUND, -4.5) if from_left else (-_ROUND, 4.5)
        way += f"V{to_y - _ROUND:.1f}q0 {_ROUND} {turn} {_ROUND}H{meets + head * 0.8:.1f}"
        arrow = f"M{meets:.1f} {to_y:.1f}l{head} -3v6z"
        return f'<path class="skip" d="{way}"/><path class="head" d="{arrow}"/>'

    def _node(self, node: int) -> str:
        frame, line = self.frame, self.lines[node]
        x, y, times = self._x(node), self._y(node), self.layout.times[node]
        base = y + frame.type_size * 0.35
        stands = [n for n, shown in self.layout.stands_for.items() if shown == node]
        many = f", {times} times" if times > 1 else ""
        facts = f"{line.name}: {line.title}, {line.size}{many}"
        kind = "output" if node == self.layout.stands_for[self._output] else ""
        parts = [f'<g data-nodes="{" ".join(map(str, stands))}"><title>{escape(facts)}</title>']
        if self.layout.columns[node]:
            parts.append(f'<path class="leader" d="M{x + self._half(node) + 3:.1f} {y:.1f}'
                         f'H{frame.label - 5:.1f}"/>')
        parts += [self._mark(node, x, y), self._label(line, base, kind)]
        parts.append(self._text(frame.output, base, self._size(line), "soft end"))
        if line.macs:
            parts.append(self._share(line.macs * times, y, base))
        return "".join(parts) + "</g>"

    def _mark(self, node: int, x: float, y: float) -> str:
        line = self.lines[node]
        if line.sign:
            r = self._radius
            arm = r * 0.5
            cross = f"M{x - arm:.1f} {y:.1f}h{2 * arm:.1f}M{x:.1f} {y - arm:.1f}v{2 * arm:.1f}"
            turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if line.sign == "×" else ""
            return (f'<circle class="join" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"/>'
                    f'<path class="sign" d="{cross}"{turned}/>')
        length, thick = self._length(node), self._thickness(node)
        return (f'<rect class="{line.look}" x="{x - length / 2:.1f}" y="{y - thick / 2:.1f}" '
                f'width="{length:.1f}" height="{thick:.1f}" rx="{min(2.5, thick / 2):.1f}"/>')

    def _label(self, line: LayerLine, base: float, note: str) -> str:
        """Kind and detail, cut to the room there is."""
        frame = self.frame
        room = frame.output - len(self._size(line)) * frame.type_size * _LETTER - 8 - frame.label
        most = max(8, int(room / (frame.type_size * _LETTER)))
        kind = _cut(line.kind, most)
        detail = _cut(line.detail, most - len(kind) - 1) if most - len(kind) > 3 else ""
        return (
            f'<text x="{frame.label:.1f}" y="{base:.1f}" '
            f'style="font-size:{frame.type_size:.1f}px">'
            f'<tspan class="kind">{escape(kind)}</tspan> '
            f'<tspan class="soft">{escape(detail)}</tspan></text>'
        )

    def _share(self, macs: int, y: float, base: float) -> str:
        """How much of all multiply-adds a layer does, all its repetitions together."""
        x, share = self.frame.share, macs / self._macs
        length = max(1.0, macs / self._most_macs * (_SHARE - 16 - 38))
        words = f"{share:.0%}" if share >= 0.005 else "<1%"
        return (
            f'<rect class="work" x="{x:.1f}" y="{y - 2.5:.1f}" height="5" rx="1.5" '
            f'width="{length:.1f}"/>'
            + self._text(x + length + 5, base, words, "soft")
        )

    def _size(self, line: LayerLine) -> str:
        return " × ".join(map(str, line.shape))

    def _text(self, x: float, y: float, words: str, css: str, size: float = 0.0) -> str:
        return (
            f'<text class="{css.strip()}" x="{x:.1f}" y="{y:.1f}" '
            f'style="font-size:{size or self.frame.type_size:.1f}px">{escape(words)}</text>'
        )

"""The drawing of a network: whole, well-formed, on one page, nothing over its edge."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise

import pytest
from networks import HEIGHT as SMALL_HEIGHT
from networks import NETWORKS
from networks import WIDTH as SMALL_WIDTH

from nas.report.drawing import HEIGHT, WIDTH, drawing, drawing_file
from nas.report.drawing_layout import Layout, arrange
from nas.report.folding import fold
from search_spaces.base import SearchSpace
from search_spaces.draws import draw
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.graph import Graph, GraphBuilder, shapes_of
from search_spaces.mobile import MobileSpace
from search_spaces.primitives import Add, Concat, Conv, MaxPool, Resize
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace

Box = tuple[float, float, float, float]
LEAST_TYPE = 9.0
SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>&'


def published(name: str) -> tuple[Graph, int, int]:
    entry = REFERENCES[name]
    return lower(reference(name, entry.nearest_scale(2))), *entry.size


def u_net(levels: int = 4) -> Graph:
    graph = GraphBuilder(3)
    body, skips = 0, []
    for level in range(levels):
        for _ in range(2):
            body = graph.add(Conv, body, out_channels=16 * 2**level, activation="relu")
        skips.append(body)
        body = graph.add(MaxPool, body, factor=2)
    for level in reversed(range(levels)):
        body = graph.add(Resize, body, factor=2, mode="nearest")
        body = graph.add(Concat, body, skips[level])
        body = graph.add(Conv, body, out_channels=16 * 2**level, activation="relu")
    return graph.finish(graph.add(Conv, body, out_channels=3))


def boxes(svg: ET.Element) -> Iterator[Box]:
    """Left, top, right and bottom of everything that is drawn; text by the width of its type."""
    for element in svg.iter():
        kind = element.tag.removeprefix(SVG)
        at = {k: float(v) for k, v in element.items() if re.fullmatch(r"-?[\d.]+", v)}
        if kind == "rect":
            yield at["x"], at["y"], at["x"] + at["width"], at["y"] + at["height"]
        elif kind == "circle":
            yield (at["cx"] - at["r"], at["cy"] - at["r"], at["cx"] + at["r"], at["cy"] + at["r"])
        elif kind == "path":
            yield path_box(element.get("d", ""))
        elif kind == "text":
            yield text_box(element)


def text_box(element: ET.Element) -> Box:
    size = type_size(element)
    length = sum(map(len, element.itertext())) * size * 0.55
    x, y, css = float(element.get("x", 0)), float(element.get("y", 0)), element.get("class", "")
    left = x - length if "end" in css else x - length / 2 if "middle" in css else x
    return left, y - size, left + length, y + size * 0.3


def type_size(element: ET.Element) -> float:
    return float(re.findall(r"font-size:([\d.]+)px", element.get("style", ""))[0])


def path_box(path: str) -> Box:
    """Of the absolute points and those that are relative to them."""
    x = y = 0.0
    xs, ys = [], []
    for command, given in re.findall(r"([MLHVqlhvzZ])([^MLHVqlhvzZ]*)", path):
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", given)]
        match command:
            case "M" | "L":
                x, y = numbers
            case "H":
                x = numbers[0]
            case "V":
                y = numbers[0]
            case "h":
                x += numbers[0]
            case "v":
                y += numbers[0]
            case "l" | "q":
                x, y = x + numbers[-2], y + numbers[-1]
        xs.append(x)
        ys.append(y)
    return min(xs), min(ys), max(xs), max(ys)


def check(graph: Graph, height: int, width: int) -> ET.Element:
    """Parse the drawing, and hold it against what every drawing must be."""
    text = drawing_file(graph, height=height, width=width, name="net")
    assert text.startswith("<svg xmlns=") and "…" not in text
    svg = ET.fromstring(text)
    left, top, wide, high = (float(n) for n in svg.get("viewBox", "").split())
    for box in boxes(svg):
        assert left <= box[0] and top <= box[1], box
        assert box[2] <= left + wide + 0.5 and box[3] <= top + high + 0.5, box
    nodes = [int(n) for g in svg.iter(f"{SVG}g") for n in g.get("data-nodes", "").split()]
    assert sorted(nodes) == list(range(len(graph.nodes)))
    assert all(type_size(t) >= LEAST_TYPE for t in svg.iter(f"{SVG}text"))
    check_layout(graph, laid_out(graph, height, width))
    return svg


def laid_out(graph: Graph, height: int, width: int) -> Layout:
    return arrange(graph, fold(graph, shapes_of(graph, height, width)))


def check_layout(graph: Graph, layout: Layout) -> None:
    """Every tensor has a way, and no way leads through a node or along another's."""
    shown = layout.stands_for
    wanted = {(shown[s], n) for n in layout.rows for s in graph.nodes[n].inputs}
    assert {(e.source, e.target) for e in layout.edges} == wanted
    assert len(set(layout.rows.values())) == len(layout.rows)
    for edge in layout.edges:
        begin, end = layout.rows[edge.source], layout.rows[edge.target]
        assert begin < end
        ends = {edge.source: layout.columns[edge.source], edge.target: layout.columns[edge.target]}
        column = ends[edge.target if edge.way == "out" else edge.source]
        between = [n for n, row in layout.rows.items() if begin < row < end]
        if edge.way != "lane":
            assert all(layout.columns[n] != column for n in between)
    spans: dict[int, dict[int, tuple[int, int]]] = {}
    for edge in layout.edges:
        if edge.lane >= 0:
            begin, end = layout.rows[edge.source], layout.rows[edge.target]
            lane = spans.setdefault(edge.lane, {})
            lane[edge.source] = (begin, max(end, lane.get(edge.source, (0, 0))[1]))
    for lane in spans.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(lane.values())))


@pytest.mark.parametrize("name", REFERENCES)
def test_every_published_network_is_drawn_whole_on_one_page(name: str) -> None:
    graph, height, width = published(name)
    svg = check(graph, height, width)
    assert float(svg.get("width", "inf")) <= WIDTH
    assert float(svg.get("height", "inf")) <= HEIGHT + 40


@pytest.mark.parametrize("seed", range(50))
def test_whatever_a_space_proposes_is_drawn_whole(seed: int) -> None:
    check(lower(draw(SuperResolutionSpace(), seed=seed).architecture), 32, 48)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("space", [EncoderDecoderSpace(), MobileSpace()], ids=["unet", "mobile"])
def test_deep_spaces_fit_the_page_too(space: SearchSpace, seed: int) -> None:
    svg = check(lower(draw(space, seed=seed).architecture), 224, 224)
    assert float(svg.get("height", "inf")) <= HEIGHT + 40


@pytest.mark.parametrize("name", NETWORKS)
def test_every_primitive_is_drawn(name: str) -> None:
    check(NETWORKS[name], SMALL_HEIGHT, SMALL_WIDTH)


def test_a_u_net_narrows_and_widens_and_its_skips_lie_inside_one_another() -> None:
    graph = u_net()
    check(graph, 64, 96)
    lanes = [edge for edge in laid_out(graph, 64, 96).edges if edge.way == "lane"]
    assert [edge.lane for edge in sorted(lanes, key=lambda e: e.source)] == [3, 2, 1, 0]
    svg = ET.fromstring(drawing_file(graph, height=64, width=96, name="u"))
    bars = [float(r.get("width", 0)) for r in svg.iter(f"{SVG}rect") if r.get("rx") and
            r.get("class") == "learned"]
    narrowest = bars.index(min(bars))
    assert bars[:narrowest] == sorted(bars[:narrowest], reverse=True)
    assert bars[narrowest:] == sorted(bars[narrowest:])


def test_more_channels_are_a_thicker_bar() -> None:
    graph = GraphBuilder(3)
    body = graph.add(Conv, 0, out_channels=8)
    svg = check(graph.finish(graph.add(Conv, body, out_channels=64)), 8, 8)
    thick = [float(r.get("height", 0)) for r in svg.iter(f"{SVG}rect")
             if r.get("class") in ("interface", "learned")]
    assert thick == sorted(thick) and thick[0] < thick[1] < thick[2]


def test_a_repeated_block_is_drawn_once_and_counted() -> None:
    graph = GraphBuilder(3)
    body = graph.add(Conv, 0, out_channels=8)
    for _ in range(5):
        inner = graph.add(Conv, body, out_channels=8, activation="relu")
        body = graph.add(Add, graph.add(Conv, inner, out_channels=8), body)
    svg = check(graph.finish(graph.add(Conv, body, out_channels=3)), 8, 8)
    words = ["".join(t.itertext()).strip() for t in svg.iter(f"{SVG}text")]
    assert "×5" in words and words.count("add") == 1
    assert sum(c.get("class") == "repeat" for c in svg.iter(f"{SVG}rect")) == 1


def test_a_skip_that_enters_a_repetition_is_not_joined_with_one_that_passes_it() -> None:
    graph = GraphBuilder(3)
    stem = body = graph.add(Conv, 0, out_channels=8)
    for _ in range(3):
        body = graph.add(Add, graph.add(Conv, body, out_channels=8), body)
    layout = laid_out(graph.finish(graph.add(Add, body, stem)), 8, 8)
    lanes = [edge.lane for edge in layout.edges if edge.way == "lane"]
    assert len(lanes) == len(set(lanes)) == 2


def test_a_branch_stands_beside_the_longest_path() -> None:
    graph = GraphBuilder(3)
    long = graph.add(Conv, graph.add(Conv, 0, out_channels=8), out_channels=3)
    short = graph.add(Conv, 0, out_channels=3, kernel=(1, 1))
    layout = laid_out(graph.finish(graph.add(Add, long, short)), 8, 8)
    assert list(layout.main) == [0, 1, 2, 4] and layout.columns[short] == 1
    assert {e.way for e in layout.edges if short in (e.source, e.target)} == {"out", "back"}


def test_what_is_written_on_it_is_escaped() -> None:
    graph = u_net(1)
    for text in (drawing_file(graph, height=8, width=8, name=EVIL),
                 drawing(graph, height=8, width=8, name=EVIL)):
        assert "<script" not in text and "&lt;script&gt;" in text
        ET.fromstring(text)


def test_those_who_cannot_see_it_are_told_what_it_is() -> None:
    svg = ET.fromstring(drawing(u_net(1), height=8, width=8, name="tiny"))
    assert svg.get("role") == "img"
    title = svg.find("title")
    assert title is not None and title.text is not None
    assert title.text.startswith("tiny: 4 convolutions, ") and "GMACs at 8 x 8" in title.text


def test_a_network_without_arithmetic_is_drawn_too() -> None:
    graph = GraphBuilder(3)
    svg = check(graph.finish(graph.add(MaxPool, 0, factor=2)), 8, 8)
    assert not any("MACs" in (t.text or "") for t in svg.iter(f"{SVG}text"))

"""What stands several times in a row is found, and nothing else is."""

from __future__ import annotations

from nas.report.folding import Repeat, Step, fold, repeats, representatives, times_shown
from search_spaces.graph import Graph, GraphBuilder, shapes_of
from search_spaces.primitives import Add, Concat, Conv


def folded(graph: Graph) -> tuple[Step, ...]:
    return fold(graph, shapes_of(graph, 16, 16))


def conv(graph: GraphBuilder, source: int, width: int = 8, kernel: int = 3) -> int:
    return graph.add(Conv, source, out_channels=width, kernel=(kernel, kernel))


def residual_net(blocks: int, *, inner: int = 2) -> Graph:
    graph = GraphBuilder(3)
    body = conv(graph, 0)
    for _ in range(blocks):
        before = body
        for _ in range(inner):
            body = conv(graph, body)
        body = graph.add(Add, body, before)
    return graph.finish(conv(graph, body, 3))


def test_equal_layers_are_one() -> None:
    graph = GraphBuilder(3)
    last = conv(graph, 0)
    for _ in range(4):
        last = conv(graph, last)
    steps = folded(graph.finish(conv(graph, last, 3)))
    assert steps == (0, 1, Repeat(2, 1, 4, (2,)), 6)


def test_a_layer_that_reads_another_width_is_not_equal() -> None:
    graph = GraphBuilder(3)
    steps = folded(graph.finish(conv(graph, conv(graph, 0))))
    assert steps == (0, 1, 2)


def test_repeated_blocks_are_one_and_folded_inside() -> None:
    steps = folded(residual_net(3))
    assert steps == (0, 1, Repeat(2, 3, 3, (Repeat(2, 1, 2, (2,)), 4)), 11)
    assert [(part.count, depth) for part, depth in repeats(steps)] == [(3, 0), (2, 1)]


def test_every_node_is_shown_by_one_that_is_shown_and_counted() -> None:
    graph = residual_net(3)
    steps = folded(graph)
    shown, times = representatives(steps), times_shown(steps)
    assert sorted(shown) == list(range(len(graph.nodes)))
    assert set(shown.values()) == set(times)
    assert sum(times.values()) == len(graph.nodes)
    assert times[2] == 6
    assert shown[9] == 2


def test_blocks_whose_outputs_are_read_later_stay_apart() -> None:
    graph = GraphBuilder(3)
    outputs = [conv(graph, 0)]
    for _ in range(3):
        outputs.append(conv(graph, outputs[-1]))
    steps = folded(graph.finish(conv(graph, graph.add(Concat, *outputs), 3)))
    assert steps == tuple(range(7))


def test_blocks_that_all_read_one_early_tensor_stay_apart() -> None:
    graph = GraphBuilder(3)
    stem = body = conv(graph, 0)
    for _ in range(3):
        body = graph.add(Add, conv(graph, body), stem)
    assert not list(repeats(folded(graph.finish(body))))


def test_a_skip_over_a_whole_row_does_not_unfold_it() -> None:
    graph = GraphBuilder(3)
    stem = body = conv(graph, 0)
    for _ in range(5):
        body = conv(graph, body)
    steps = folded(graph.finish(graph.add(Add, body, stem)))
    assert steps == (0, 1, Repeat(2, 1, 5, (2,)), 7)

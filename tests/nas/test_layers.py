"""A layer in words, for whatever primitives there are."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from finished_studies import network
from networks import HEIGHT, NETWORKS, WIDTH

from nas.report.layers import _detail, layer_lines
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import Conv, ConvTranspose, Primitive, Resize, Slice
from search_spaces.skeletons import lower
from search_spaces.work import params_of, work_of


def words(make: type[Primitive], width: int = 8, **fields: object) -> str:
    graph = GraphBuilder(width)
    built = graph.finish(graph.add(make, 0, **fields))
    return layer_lines(built, height=16, width=16)[-1].title


def test_layers_are_listed_with_shape_and_work() -> None:
    lines = layer_lines(lower(network(16, 1)), height=32, width=32)
    stem = next(line for line in lines if line.kind == "conv")
    assert (stem.detail, stem.size, stem.name) == ("3x3, stride 2, relu", "16 x 16 x 16", "t2")
    assert stem.macs == 16 * 3 * 9 * 16 * 16
    assert lines[0].kind == "input"


@pytest.mark.parametrize(
    ("told", "make", "fields"),
    [
        ("conv 3x3", Conv, {"out_channels": 8}),
        ("conv 1x5, no bias, tanh", Conv,
         {"out_channels": 8, "kernel": (1, 5), "bias": False, "activation": "tanh"}),
        ("depthwise conv 3x3", Conv, {"out_channels": 8, "groups": 8}),
        ("grouped conv 3x3, 4 groups", Conv, {"out_channels": 8, "groups": 4}),
        ("fixed conv 5x5, bicubic, by 2", Conv,
         {"out_channels": 32, "kernel": (5, 5), "fixed": "bicubic", "factor": 2}),
        ("conv 3x3, leaky relu 0.1", Conv,
         {"out_channels": 8, "activation": "leaky_relu", "slope": 0.1}),
        ("transposed conv 9x9, stride 2", ConvTranspose,
         {"out_channels": 3, "kernel": (9, 9), "stride": 2}),
        ("resize by 2, nearest", Resize, {"factor": 2, "mode": "nearest"}),
        ("slice channels 2 to 5", Slice, {"start": 2, "stop": 6}),
        ("slice channel 0", Slice, {"start": 0, "stop": 1}),
    ],
)
def test_a_layer_is_told_by_what_was_chosen(
    told: str, make: type[Primitive], fields: dict[str, object]
) -> None:
    assert words(make, **fields) == told


def test_a_choice_that_nobody_foresaw_is_told_by_its_name() -> None:
    @dataclass(frozen=True)
    class Novel(Primitive):
        kernel: tuple[int, int]
        wobble: float = 0.0
        twist: int = 3

    assert _detail(Novel((0,), (3, 3), 0.25), 1, 8) == "3x3, wobble 0.25"


@pytest.mark.parametrize("name", NETWORKS)
def test_all_layers_together_are_the_network(name: str) -> None:
    graph = NETWORKS[name]
    lines = layer_lines(graph, height=HEIGHT, width=WIDTH)
    assert [line.index for line in lines] == list(range(len(graph.nodes)))
    assert sum(line.params for line in lines) == params_of(graph)
    assert sum(line.macs for line in lines) == sum(w.macs for w in work_of(graph, HEIGHT, WIDTH))
    assert all(line.kind and line.kind == line.kind.lower() for line in lines)

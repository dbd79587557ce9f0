"""The skeleton of classification backbones: stem, stages, head; (C, H, W) -> (classes,)."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.base import Architecture, BlockSpec
from search_spaces.blocks import STRIDED, activation_fields, append
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import AveragePool, Conv, Flatten, GlobalAveragePool, Shift
from search_spaces.skeletons.registry import CENTRE, skeleton
from search_spaces.skeletons.resampling import halve


@skeleton("classifier")
def classifier(architecture: Architecture) -> Graph:
    """Blocks in a row; one with `stride` = 2 halves the size, `out_channels` are the classes.

    Arguments: `centre` subtracts mid-grey from the input; `shrink` is a factor by which the
    picture is averaged first; `reduction` is how a stage halves its size: `strided` inside its
    first block where that can, else before it, as in `resampling`; `head_width` is the width of a
    1x1 layer before the mean over all pixels, 0 for none.

    Raises:
        UnknownName: no such reduction.
    """
    graph = GraphBuilder(architecture.in_channels)
    body = 0
    shrink = int(architecture.arg("shrink", 1))
    if shrink > 1:
        body = graph.add(AveragePool, body, factor=shrink)
    if architecture.arg("centre", False):
        body = graph.add(Shift, body, value=-CENTRE)
    reduction = str(architecture.arg("reduction", "strided"))
    for spec in architecture.blocks:
        if spec.arg("stride", 1) == 2 and (reduction != "strided" or spec.op not in STRIDED):
            body = halve(graph, body, how=reduction, into=spec)
            spec = _unstrided(spec)
        body = append(graph, body, spec)
    last = architecture.blocks[-1]
    head_width = int(architecture.arg("head_width", 0))
    if head_width:
        body = graph.add(
            Conv, body, out_channels=head_width, kernel=(1, 1), **activation_fields(last)
        )
    pooled = graph.add(GlobalAveragePool, body)
    scores = graph.add(Conv, pooled, out_channels=architecture.out_channels, kernel=(1, 1))
    return graph.finish(graph.add(Flatten, scores))


def _unstrided(spec: BlockSpec) -> BlockSpec:
    return replace(spec, args=tuple(arg for arg in spec.args if arg[0] != "stride"))

"""Numbers that describe a network, for models that are fitted to networks."""

from __future__ import annotations

from math import log10

from search_spaces.graph import Graph, channels_of
from search_spaces.primitives import (
    Conv,
    ConvTranspose,
    DepthToSpace,
    Pool,
    Resize,
    SpaceToDepth,
)
from search_spaces.work import params_of, work_of

_SIDE = 96
"""An input of this side has every reduction of the spaces as a whole number of pixels."""


def features_of(graph: Graph) -> dict[str, float]:
    """Describe a network by numbers that don't depend on the size of its input.

    Returns:
        `log_macs` and `log_traffic`: decimal logarithms of the multiply-adds and of the tensor
        elements moved, per pixel of the input; `log_params`; `depth`: learned convolutions that
        follow each other at most; `log_receptive_field`: of its side in input pixels;
        `widest`: the largest feature count of a learned convolution but the last.
    """
    work = work_of(graph, _SIDE, _SIDE)
    pixels = _SIDE * _SIDE
    depths, fields = _depths(graph), receptive_fields(graph)
    channels = channels_of(graph.nodes)
    inner = [
        channels[index]
        for index, node in enumerate(graph.nodes)
        if isinstance(node, Conv) and not node.fixed
    ]
    return {
        "log_macs": log10(max(1, sum(w.macs for w in work)) / pixels),
        "log_traffic": log10(max(1, sum(w.elements for w in work)) / pixels),
        "log_params": log10(max(1, params_of(graph))),
        "depth": float(depths[graph.output]),
        "log_receptive_field": log10(fields[graph.output]),
        "widest": float(max(inner[:-1] or inner or [0])),
    }


def _depths(graph: Graph) -> list[int]:
    """For every node the most learned convolutions on a way to it."""
    found: list[int] = []
    for node in graph.nodes:
        learned = isinstance(node, ConvTranspose) or isinstance(node, Conv) and not node.fixed
        found.append(max((found[i] for i in node.inputs), default=0) + learned)
    return found


def receptive_fields(graph: Graph) -> list[float]:
    """For every node the side of the square of input pixels that one of its values depends on.

    Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks",
    Distill 2019; enlargements divide the step between neighbours.
    """
    fields: list[float] = []
    steps: list[float] = []
    for node in graph.nodes:
        field = max((fields[i] for i in node.inputs), default=1.0)
        step = min((steps[i] for i in node.inputs), default=1.0)
        if isinstance(node, Conv):
            reach = (max(node.kernel) - 1) * node.dilation
            field, step = field + reach * step, step * node.stride
        elif isinstance(node, ConvTranspose):
            field, step = field + (max(node.kernel) - 1) * step / node.stride, step / node.stride
        elif isinstance(node, SpaceToDepth | Pool):
            side = node.side if isinstance(node, Pool) else node.factor
            field, step = field + (side - 1) * step, step * node.factor
        elif isinstance(node, DepthToSpace | Resize):
            step /= node.factor
        fields.append(field)
        steps.append(step)
    return fields

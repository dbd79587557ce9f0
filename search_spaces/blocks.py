"""Blocks: named functions that append primitives to a network. No torch, no ONNX.

A block maps a tensor to one with `spec.channels` features at the same size. Which ones are fast
is not decided here: each candidate is timed.
"""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.base import BlockSpec, UnknownName
from search_spaces.graph import Add, Conv, GraphBuilder

Block = Callable[[GraphBuilder, int, BlockSpec], int]
BLOCKS: dict[str, Block] = {}


def block(name: str) -> Callable[[Block], Block]:
    """Register a block under the name that stored architectures use."""

    def register(function: Block) -> Block:
        BLOCKS[name] = function
        return function

    return register


def append(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Append `spec.repeat` of one block.

    Raises:
        UnknownName: no such block.
    """
    if spec.op not in BLOCKS:
        raise UnknownName("block", spec.op, list(BLOCKS))
    for _ in range(spec.repeat):
        source = BLOCKS[spec.op](graph, source, spec)
    return source


def _kernel(spec: BlockSpec) -> int:
    return int(spec.arg("kernel", 3))


def _activation(spec: BlockSpec) -> str:
    return str(spec.arg("activation", "relu"))


@block("conv")
def full(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """A full k x k convolution: dense arithmetic, the best use of wide vector units."""
    k = _kernel(spec)
    return graph.add(
        Conv, source, out_channels=spec.channels, kernel=(k, k), activation=_activation(spec)
    )


@block("separable")
def depthwise_separable(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Depthwise k x k, then 1x1 (Howard et al., "MobileNets", 2017): few MACs, more traffic."""
    k, width = _kernel(spec), graph.channels(source)
    spatial = graph.add(Conv, source, out_channels=width, kernel=(k, k), groups=width)
    return graph.add(
        Conv, spatial, out_channels=spec.channels, kernel=(1, 1), activation=_activation(spec)
    )


@block("factorized")
def factorized(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1 x k, then k x 1 (Szegedy et al., "Rethinking the Inception Architecture", 2016)."""
    k = _kernel(spec)
    row = graph.add(Conv, source, out_channels=spec.channels, kernel=(1, k))
    return graph.add(
        Conv, row, out_channels=spec.channels, kernel=(k, 1), activation=_activation(spec)
    )


@block("residual")
def residual(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Two k x k convolutions added to their input (He et al., 2016), which keeps its width."""
    k = _kernel(spec)
    inner = full(graph, source, spec)
    branch = graph.add(Conv, inner, out_channels=spec.channels, kernel=(k, k))
    if graph.channels(source) != spec.channels:
        source = graph.add(Conv, source, out_channels=spec.channels, kernel=(1, 1))
    return graph.add(Add, branch, source)

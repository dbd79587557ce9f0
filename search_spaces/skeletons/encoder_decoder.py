"""The skeleton of multi-scale networks: halved level by level, grown back, joined by skips."""

from __future__ import annotations

from collections import defaultdict

from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture, UnknownName
from search_spaces.blocks import append
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import Add, Concat, Conv, DepthToSpace, Shift, SpaceToDepth
from search_spaces.skeletons.heads import enlarge
from search_spaces.skeletons.registry import CENTRE, skeleton
from search_spaces.skeletons.resampling import double, halve

ENTRIES = ("full", "space_to_depth")
JOINS = ("add", "concat", "none")
SIDES = ("encoder", "decoder")
INPUT = "input"
Levels = dict[int, list[BlockSpec]]


@skeleton("encoder_decoder")
def encoder_decoder(architecture: Architecture) -> Graph:
    """After Ronneberger et al., "U-Net", MICCAI 2015, with choices where engines differ.

    A block says where it stands: `side` (encoder, the default, or decoder) and `level`, the number
    of halvings before it (0 by default). The deepest level belongs to the encoder; a level without
    decoder blocks is only joined. At its first block's width a level is entered again.

    Arguments: `centre` subtracts mid-grey from the input; `entry` (full, space_to_depth) is
    whether level 0 has the input's size or half of it; `reduction` and `growth` as in
    `resampling`; `join` (add, concat, none) is how an encoder's output meets its decoder;
    `head_kernel`, `head_activation`; `base` is what the network's output is added to: none,
    `input` where the output is as large as the input, else a fixed upsampler.

    Raises:
        UnknownName: no such side, entry, reduction, growth, join or base.
        InvalidArchitecture: a level is missing, or the parts do not fit together.
    """
    graph = GraphBuilder(architecture.in_channels)
    offset = CENTRE if architecture.arg("centre", False) else 0.0
    image = graph.add(Shift, 0, value=-offset) if offset else 0
    down, up = _levels(architecture)
    entry = str(architecture.arg("entry", "full"))
    if entry not in ENTRIES:
        raise UnknownName("entry", entry, ENTRIES)
    half = entry == "space_to_depth"
    body = graph.add(SpaceToDepth, image, factor=2) if half else image
    body = _pyramid(graph, body, architecture, down, up)
    shrunk = 2 if half else 1
    if architecture.scale == 1:
        return graph.finish(_same_size(graph, body, architecture, shrunk, offset))
    return graph.finish(enlarge(graph, architecture, body, image, shrunk=shrunk, offset=offset))


def _levels(architecture: Architecture) -> tuple[Levels, Levels]:
    """The blocks of each side by level, in the order in which they stand."""
    sides: dict[str, Levels] = {side: defaultdict(list) for side in SIDES}
    for spec in architecture.blocks:
        side = str(spec.arg("side", "encoder"))
        if side not in SIDES:
            raise UnknownName("side of a block", side, SIDES)
        sides[side][int(spec.arg("level", 0))].append(spec)
    down, up = sides["encoder"], sides["decoder"]
    deepest = max(down, default=-1)
    missing = sorted(set(range(deepest + 1)) - set(down))
    if missing or deepest < 0:
        raise InvalidArchitecture(f"the encoder has no block at level {(missing or [0])[0]}")
    outside = sorted(set(up) - set(range(deepest)))
    if outside:
        raise InvalidArchitecture(
            f"the decoder has a block at level {outside[0]}: its levels are those above the "
            f"deepest, {deepest}"
        )
    return down, up


def _pyramid(
    graph: GraphBuilder, body: int, architecture: Architecture, down: Levels, up: Levels
) -> int:
    reduction = str(architecture.arg("reduction", "strided"))
    growth = str(architecture.arg("growth", "depth_to_space"))
    join = str(architecture.arg("join", "add"))
    skips: list[int] = []
    for level in range(len(down)):
        if level:
            skips.append(body)
            body = halve(graph, body, how=reduction, into=down[level][0])
        for spec in down[level]:
            body = append(graph, body, spec)
    for level in reversed(range(len(down) - 1)):
        skip = skips[level]
        body = double(graph, body, how=growth, channels=graph.channels(skip))
        body = _joined(graph, body, skip, join)
        for spec in up.get(level, ()):
            body = append(graph, body, spec)
    return body


def _joined(graph: GraphBuilder, body: int, skip: int, join: str) -> int:
    if join == "none":
        return body
    if join == "add":
        return graph.add(Add, body, skip)
    if join == "concat":
        return graph.add(Concat, body, skip)
    raise UnknownName("join", join, JOINS)


def _same_size(
    graph: GraphBuilder, body: int, architecture: Architecture, shrunk: int, offset: float
) -> int:
    """The head of a network whose output is as large as its input."""
    base, k = str(architecture.arg("base", "none")), int(architecture.arg("head_kernel", 3))
    if base not in ("none", INPUT):
        raise UnknownName("base at the input's size", base, ("none", INPUT))
    if base == INPUT and architecture.in_channels != architecture.out_channels:
        raise InvalidArchitecture(
            f"{architecture.in_channels} input and {architecture.out_channels} output channels: "
            "only with equally many can the output be added to the input"
        )
    head = graph.add(
        Conv,
        body,
        out_channels=architecture.out_channels * shrunk**2,
        kernel=(k, k),
        activation=str(architecture.arg("head_activation", "none")),
        offset=offset if base == "none" else 0.0,
    )
    if shrunk > 1:
        head = graph.add(DepthToSpace, head, factor=shrunk)
    return graph.add(Add, head, 0) if base == INPUT else head

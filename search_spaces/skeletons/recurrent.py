"""The skeleton of networks that see a renderer's frames and remember what they made."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.moving import COLOUR, DEPTH, HISTORY, JITTER, MOTION, REMEMBERED
from runtime.signature import OUTPUT
from search_spaces.base import Architecture, InvalidArchitecture, UnknownName
from search_spaces.blocks import append
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    Activation,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    DepthToSpace,
    Multiply,
    Resize,
    Scale,
    Shift,
    SpaceToDepth,
    Warp,
)
from search_spaces.skeletons.heads import over_base
from search_spaces.skeletons.registry import CENTRE, skeleton
from search_spaces.skeletons.resampling import double, halve

ENTRIES = ("early", "late")
BLENDS = ("none", "gate", "gates")
_SMALLER = 1 / 16
"""Brings motion of a few pixels into the range of what it is joined with."""


@skeleton("recurrent")
def recurrent(architecture: Architecture) -> Graph:
    """Colour, depth, jitter and a warped history through a body at low size, over a fixed base.

    A history of the picture's size is moved where it is and then read as phases at low size; one
    of features is moved at low size. All that is joined lies in [-1/2, 1/2], so that int8 has one
    scale for all of it.

    Arguments: `entry` is whether the history is read by the stem (`early`) or behind it (`late`);
    `warped` whether it is moved along the motion, which the stem reads otherwise; `blend` how it
    reaches the picture beside the body: not at all (`none`), or mixed with what else was made, by
    one weight in [0, 1] for each place (`gate`) or for each value (`gates`), which only a history
    of the picture's size can. (A last layer that reads it with weights of any size ran away within
    a hundred frames.) `halved` is whether the body behind the stem has half the size; `base` and
    `head_kernel` as in `heads`.

    Raises:
        UnknownName: no such entry or blend.
        InvalidArchitecture: its inputs are not those of `runtime.moving`, or have no such history.
    """
    for name, known in (("entry", ENTRIES), ("blend", BLENDS)):
        if (value := str(architecture.arg(name, known[0]))) not in known:
            raise UnknownName(name, value, known)
    ports = [port.name for port in architecture.signature.inputs]
    if ports[:4] != [COLOUR, DEPTH, MOTION, JITTER]:
        raise InvalidArchitecture(
            f"a recurrent network takes colour, depth, motion and jitter, not {', '.join(ports)}"
        )
    graph = GraphBuilder(*architecture.signature.inputs)
    image = graph.add(Shift, 0, value=-CENTRE)
    now = [image, graph.add(Shift, 1, value=-0.5), 3]
    history = _history(graph, architecture) if HISTORY in ports else None
    if history is None or not architecture.arg("warped", True):
        # Engines drop an input that nothing reads, and whoever runs the file gives it.
        now.append(graph.add(Scale, 2, value=_SMALLER))
    body = _body(graph, architecture, now, history)
    return _ends(graph, architecture, body, image, history)


@dataclass(frozen=True)
class _History:
    """What is remembered, as nodes.

    Attributes:
        values: in [0, 1], at low size.
        centred: the same about zero.
    """

    values: int
    centred: int


def _history(graph: GraphBuilder, architecture: Architecture) -> _History:
    """The history at low size, where it is now."""
    port = architecture.signature.inputs[-1]
    values, motion, times = 4, 2, int(port.scale or 1)
    if architecture.arg("warped", True):
        if times > 1:
            motion = graph.add(Resize, motion, factor=times, mode="nearest")
            motion = graph.add(Scale, motion, value=float(times))
        values = graph.add(Warp, values, motion)
    if times > 1:
        values = graph.add(SpaceToDepth, values, factor=times)
    return _History(values, graph.add(Shift, values, value=-CENTRE))


def _body(
    graph: GraphBuilder, architecture: Architecture, now: list[int], history: _History | None
) -> int:
    """Features of the frame and of the history."""
    early = architecture.arg("entry", "early") == "early"
    first, *rest = architecture.blocks
    joined = [*now, *([history.centred] if history is not None and early else [])]
    body = append(graph, graph.add(Concat, *joined), first)
    if history is not None and not early:
        body = graph.add(Concat, body, history.centred)
    if not architecture.arg("halved", False):
        for spec in rest:
            body = append(graph, body, spec)
        return body
    if not rest:
        raise InvalidArchitecture("nothing stands behind the stem: give it a block to be halved")
    stem = body
    body = halve(graph, body, how="strided", into=rest[0])
    for spec in rest:
        body = append(graph, body, spec)
    body = double(graph, body, how="depth_to_space", channels=first.channels)
    return graph.add(Concat, body, stem)


def _ends(
    graph: GraphBuilder, architecture: Architecture, body: int, image: int,
    history: _History | None,
) -> Graph:
    """The picture, and what is remembered of it."""
    blend, scale = str(architecture.arg("blend", "none")), architecture.scale
    remembered = architecture.signature.outputs[-1]
    shows = history is not None and remembered.channels * (remembered.scale or 1) == 3 * scale
    if blend != "none" and not shows:
        raise InvalidArchitecture(f"only a history that is a picture can be mixed: blend={blend}")
    made = over_base(graph, architecture, body, image, shrunk=1, offset=CENTRE)
    if blend != "none" and history is not None:
        made = _mixed(graph, body, made, history, each=blend == "gates", scale=scale)
    picture = graph.add(DepthToSpace, made, factor=scale) if scale > 1 else made
    if history is None:
        return graph.finish({OUTPUT: picture})
    if shows:
        # Bounded, or what is carried over hundreds of frames may grow without end.
        bounded = graph.add(Activation, made, activation="clip")
        kept = graph.add(DepthToSpace, bounded, factor=scale) if scale > 1 else bounded
    else:
        kept = graph.add(Conv, body, out_channels=remembered.channels, activation="clip")
    return graph.finish({OUTPUT: picture, REMEMBERED: kept})


def _mixed(
    graph: GraphBuilder, body: int, made: int, history: _History, *, each: bool, scale: int
) -> int:
    """What was made, moved towards the history by weights in [0, 1]."""
    phases = scale**2
    # From the order of SpaceToDepth to that of DepthToSpace.
    past = history.values
    if scale > 1:
        past = graph.add(ChannelShuffle, past, groups=phases)
    apart = graph.add(Add, past, graph.add(Scale, made, value=-1.0))
    weights = graph.add(
        Conv, body, out_channels=graph.channels(made) if each else 1, activation="sigmoid"
    )
    return graph.add(Add, graph.add(Multiply, apart, weights), made)

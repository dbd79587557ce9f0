"""What a shader has to compute for a network, pass by pass.

Nothing that only moves, joins, splits or shifts channels costs a pass: it is another way to look
at textures that are there. Convolutions that are added up share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nas.formats.base import Source, refused
from nas.formats.textures import (
    LANES,
    MOST_TEXTURES,
    NOTHING,
    PICTURE,
    Combined,
    Convolved,
    Part,
    Pass,
    Place,
    Shuffle,
    Sum,
    View,
    Work,
    phases,
    pieces,
    reads,
    scaled,
)
from search_spaces.graph import channels_of
from search_spaces.primitives import (
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    Conv,
    DepthToSpace,
    Input,
    MaxPool,
    Multiply,
    Pool,
    Primitive,
    Resize,
    Scale,
    Shift,
    Slice,
    SpaceToDepth,
)

ACTIVATIONS = (
    "none", "relu", "prelu", "leaky_relu", "relu6", "clip", "tanh", "sigmoid", "hardsigmoid",
    "hardswish", "silu",
)  # fmt: skip


_LOOKS = (Input, Shift, Scale, Concat, Slice, ChannelShuffle, SpaceToDepth)
"""Primitives that cost no pass."""


def passes_of(source: Source) -> list[Pass]:
    """All that has to be computed, in order; the last one makes the picture.

    Raises:
        Unwritable: a layer cannot be written so.
    """
    plan = _Plan(source)
    plan.compute(source.graph.output)
    return plan.passes


class _Plan:
    """The passes of one network in the making."""

    def __init__(self, source: Source) -> None:
        self._source, self._nodes = source, source.graph.nodes
        self._channels = channels_of(self._nodes)
        self._readers = source.graph.consumers()
        self._views: dict[int, View] = {}
        self.passes: list[Pass] = []

    def compute(self, index: int) -> View:
        """Append the pass that makes a node's textures."""
        node = self._nodes[index]
        work, share = self._work(index, node)
        if isinstance(work, Sum):
            work = replace(work, parts=self._few(index, share, work.parts))
        return self._append(index, f"T{index}", share, work)

    def _append(self, index: int, name: str, share: Fraction, work: Work) -> View:
        self.passes.append(Pass(index, name, share, self._channels[index], work))
        return self.passes[-1].made()

    def _few(self, index: int, share: Fraction, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts of a sum; where they are in too many textures, most are added up before."""
        if reads(parts) <= MOST_TEXTURES:
            return tuple(parts)
        rest = [piece for part in parts for piece in pieces(part)]
        before: list[Part] = []
        while reads([*before, *rest]) > MOST_TEXTURES:
            count = next(n for n in range(len(rest), 0, -1)
                         if reads([*before, *rest[:n]]) <= MOST_TEXTURES)
            name = f"T{index}part{len(rest)}"
            before = [self._append(index, name, share, Sum((*before, *rest[:count])))]
            rest = rest[count:]
        return (*before, *rest)

    def _work(self, index: int, node: Primitive) -> tuple[Work, Fraction]:
        match node:
            case DepthToSpace():
                return self._shuffled(index, self._view(node.inputs[0]), node.factor)
            case Multiply():
                first, second = (self._view(source) for source in node.inputs)
                if first.share != second.share:
                    raise self._refused(index, "multiplies by something of another size")
                return Combined((first, second), "product"), first.share
            case MaxPool() | AveragePool():
                return self._pooled(index, node)
            case Resize() if node.mode == "nearest":
                view, area = self._view(node.inputs[0]), node.factor**2
                each = tuple(lane for lane in view.lanes for _ in range(area))
                return self._shuffled(index, View(view.share, each), node.factor)
            case Activation():
                parts, share = self._parts(node.inputs[0])
                return self._sum(index, parts, node.activation, node.slope), share
            case Conv() if node.activation != "none":
                parts, share = self._convolved(index, node)
                return self._sum(index, parts, node.activation, node.slope), share
        parts, share = self._summed(index)
        return Sum(parts), share

    def _shuffled(self, index: int, view: View, factor: int) -> tuple[Work, Fraction]:
        """Channels become pixels: in parts that are summed where too many textures hold them."""
        share, area = view.share * factor, LANES * factor**2
        quads = [view.lanes[first : first + area] for first in range(0, len(view.lanes), area)]
        if max(len({place.texture for place, _ in quad}) for quad in quads) < MOST_TEXTURES:
            return Shuffle(view, factor), share
        textures = list(dict.fromkeys(place.texture for place, _ in view.lanes))
        parts = []
        for first in range(0, len(textures), MOST_TEXTURES - 1):
            own = textures[first : first + MOST_TEXTURES - 1]
            lanes = tuple(lane if lane[0].texture in own else NOTHING for lane in view.lanes)
            work = Shuffle(View(view.share, lanes), factor)
            parts.append(self._append(index, f"T{index}part{first}", share, work))
        return Sum(tuple(parts)), share

    def _pooled(self, index: int, node: Pool) -> tuple[Work, Fraction]:
        """One value of each window: its pixels are as many tensors of the size of the result."""
        if node.kernel:
            raise self._refused(index, "has windows that overlap")
        view, count = self._view(node.inputs[0]), node.factor**2
        lanes, share = phases(view.lanes, node.factor), view.share / node.factor
        step = len(view.lanes)
        each = [lanes[first : first + step] for first in range(0, len(lanes), step)]
        if isinstance(node, MaxPool):
            return Combined(tuple(View(share, own) for own in each), "max"), share
        return Sum(tuple(View(share, scaled(own, 1 / count, 0.0)) for own in each)), share

    def _sum(
        self, index: int, parts: tuple[Part, ...], activation: str, slope: float
    ) -> Sum:
        if activation not in ACTIVATIONS:
            raise self._refused(index, "has no function in GLSL")
        own = self._source.weights.get(f"n{index}.slope")
        if own is None:
            own = np.full(self._channels[index], slope, np.float32)
        return Sum(parts, activation, own)

    def _parts(self, index: int) -> tuple[tuple[Part, ...], Fraction]:
        """What a node is the sum of, without a pass of its own where nobody else reads it."""
        node = self._nodes[index]
        plain = isinstance(node, Add) or (isinstance(node, Conv) and node.activation == "none")
        if plain and len(self._readers[index]) == 1 and index not in self._views:
            return self._summed(index)
        view = self._view(index)
        return (view,), view.share

    def _summed(self, index: int) -> tuple[tuple[Part, ...], Fraction]:
        node = self._nodes[index]
        if isinstance(node, Conv) and node.activation == "none":
            return self._convolved(index, node)
        if not isinstance(node, Add):
            if not isinstance(node, _LOOKS):
                raise self._refused(index, "has no pass of a shader")
            view = self._look(index, node)
            return (view,), view.share
        (first, share), (second, _) = (self._parts(source) for source in node.inputs)
        return (*first, *second), share

    def _convolved(self, index: int, node: Conv) -> tuple[tuple[Convolved, ...], Fraction]:
        if node.padding != "same":
            raise self._refused(index, f"has {node.padding} padding, and a shader `same`")
        view, weights = self._view(node.inputs[0]), self._source.weights
        bias = weights.get(f"n{index}.bias", np.zeros(node.out_channels, np.float32))
        weight = _dense(weights[f"n{index}.weight"], node.groups)
        return (Convolved(view, weight, bias, node),), view.share / node.stride

    def _view(self, index: int) -> View:
        """A node's tensor; it is computed where it is not there yet."""
        if index not in self._views:
            node = self._nodes[index]
            found = self._look(index, node) if isinstance(node, _LOOKS) else self.compute(index)
            self._views[index] = found
        return self._views[index]

    def _look(self, index: int, node: Primitive) -> View:
        """A tensor that is another way to look at others."""
        if isinstance(node, Input):
            return View(Fraction(1), tuple((Place(PICTURE), c) for c in range(node.channels)))
        views = [self._view(source) for source in node.inputs]
        lanes = views[0].lanes
        match node:
            case Shift():
                return replace(views[0], lanes=scaled(lanes, 1.0, node.value))
            case Scale():
                return replace(views[0], lanes=scaled(lanes, node.value, 0.0))
            case Concat():
                joined = tuple(lane for view in views for lane in view.lanes)
                return replace(views[0], lanes=joined)
            case Slice():
                return replace(views[0], lanes=lanes[node.start : node.stop])
            case ChannelShuffle():
                order = np.arange(len(lanes)).reshape(node.groups, -1).T.ravel()
                return replace(views[0], lanes=tuple(lanes[i] for i in order))
            case SpaceToDepth():
                return View(views[0].share / node.factor, phases(lanes, node.factor))
        raise TypeError(f"{type(node).__name__} is in _LOOKS and is not looked at")

    def _refused(self, index: int, why: str) -> Exception:
        return refused(self._source, index, f"{why}: use another format")


def _dense(weight: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """(C_out, C_in / groups, kh, kw) as (C_out, C_in, kh, kw), zero between groups."""
    out, own, *kernel = weight.shape
    dense = np.zeros((out, own * groups, *kernel), np.float32)
    for g in range(groups):
        rows = slice(g * out // groups, (g + 1) * out // groups)
        dense[rows, g * own : (g + 1) * own] = weight[rows]
    return dense

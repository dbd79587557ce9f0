"""A network with fewer features, with the weights of those that are kept.

Nothing is approximated: the smaller network computes what the larger one does when no layer reads
the channels that are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from search_spaces.base import Architecture, InvalidArchitecture
from search_spaces.coupling import Coupled, coupled_channels, is_depthwise
from search_spaces.graph import Graph, channels_of
from search_spaces.primitives import (
    Activation,
    Conv,
    ConvTranspose,
    Primitive,
)
from search_spaces.skeletons import lower
from search_spaces.weights import Weights

Scores = Mapping[int, NDArray[np.float64]]
"""By weighted node, one number per output channel; the larger, the more it matters."""
Kept = Mapping[int, NDArray[np.int64]]
"""By node, the output channels that stay, ascending; nodes that are left out keep all."""
USUAL_MULTIPLE = 8


def narrower(
    architecture: Architecture, *, ratio: float, multiple: int = USUAL_MULTIPLE
) -> Architecture:
    """The same blocks with fewer features.

    Args:
        ratio: share of each block's features that goes.
        multiple: counts are brought to the nearest multiple of it, and to no less than one:
            vector units and tensor cores compute the padding of any other count all the same.

    Raises:
        ValueError: the ratio or the multiple makes no sense.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio is {ratio:g}: give the share that goes, above 0 and below 1")
    if multiple < 1:
        raise ValueError(f"multiple is {multiple}: use 1 or more, such as {USUAL_MULTIPLE}")

    def fewer(count: int) -> int:
        return min(count, multiple * max(1, int(count * (1 - ratio) / multiple + 0.5)))

    blocks = (replace(spec, channels=fewer(spec.channels)) for spec in architecture.blocks)
    return replace(architecture, blocks=tuple(blocks))


def weights_in(
    smaller: Architecture, architecture: Architecture, weights: Weights, scores: Scores
) -> dict[str, NDArray[np.float32]]:
    """The weights of the features that matter most, as a narrower network takes them.

    Args:
        smaller: as `narrower` gives it.
        architecture: what has these weights and scores.

    Raises:
        InvalidArchitecture: features of this network cannot be taken out like this.
    """
    graph, wanted = lower(architecture), lower(smaller)
    if len(graph.nodes) == len(wanted.nodes):
        counts = [_count(group, graph, wanted) for group in coupled_channels(graph)]
        made, kept = shrink(graph, weights, choose(graph, scores, counts))
        if made == wanted:
            return kept
    raise InvalidArchitecture("narrower blocks are wired in another way than these")


def _count(group: Coupled, graph: Graph, wanted: Graph) -> int:
    """How many of these channels the other graph has; all, where no node holds just these."""
    now, then = channels_of(graph.nodes), channels_of(wanted.nodes)
    every = len(group.channels)
    return next((then[node] for node in group.nodes if now[node] == every), every)


def choose(graph: Graph, scores: Scores, counts: Sequence[int]) -> dict[int, NDArray[np.int64]]:
    """Decide which channels stay: those that matter most.

    Each layer's scores are divided by their mean; channels that are coupled are judged by the
    sum.

    Args:
        scores: layers without scores count as even.
        counts: how many stay of each of the `coupled_channels`, in their order.
    """
    groups = coupled_channels(graph)
    kept: dict[int, set[int]] = {}
    for group, count in zip(groups, counts, strict=True):
        for number in np.argsort(-_values(group, scores), kind="stable")[:count]:
            for layer, channel in group.channels[number]:
                kept.setdefault(layer, set()).add(channel)
    for layer in kept:
        # Channels that no group may remove stay.
        free = {c for g in groups for places in g.channels for at, c in places if at == layer}
        kept[layer] |= set(range(channels_of(graph.nodes)[layer])) - free
    return {layer: np.array(sorted(found)) for layer, found in kept.items()}


def _values(group: Coupled, scores: Scores) -> NDArray[np.float64]:
    means = {n: float(np.mean(scores[n])) or 1.0 for n in group.layers if n in scores}
    return np.array(
        [
            sum(scores[n][c] / means[n] if n in means else 1.0 for n, c in places)
            for places in group.channels
        ],
        dtype=np.float64,
    )


def shrink(
    graph: Graph, weights: Weights, kept: Kept
) -> tuple[Graph, dict[str, NDArray[np.float32]]]:
    """The network without the channels that are not kept, and its weights by the same names.

    Args:
        weights: as `modules.weights_of` gives them.
        kept: as `choose` gives it.

    Raises:
        InvalidArchitecture: channels that belong together are torn apart, or none is left.
    """
    channels = channels_of(graph.nodes)
    stay: list[NDArray[np.int64]] = []
    nodes: list[Primitive] = []
    smaller: dict[str, NDArray[np.float32]] = {}
    for index, node in enumerate(graph.nodes):
        sources = [stay[i] for i in node.inputs]
        own = _staying(graph, channels, index, sources, kept)
        if not len(own):
            raise InvalidArchitecture(f"no channel of node {index} is kept")
        stay.append(own)
        before = [channels[i] for i in node.inputs]
        nodes.append(node.keeping(own.tolist(), [s.tolist() for s in sources], before))
        smaller |= _part(index, node, weights, own, sources, channels)
    return replace(graph, nodes=tuple(nodes)), smaller


def _staying(
    graph: Graph, channels: list[int], index: int, sources: list[NDArray[np.int64]], kept: Kept
) -> NDArray[np.int64]:
    """The channels of one node that stay, by the numbers they have now."""
    node, every = graph.nodes[index], np.arange(channels[index])
    ties = node.ties([channels[i] for i in node.inputs])
    if not ties:
        # Made anew, or nothing may go, or groups would lose their members.
        return np.asarray(kept.get(index, every))
    stays: dict[int, set[bool]] = {}
    present = [set(source.tolist()) for source in sources]
    for own, source, number in ties:
        stays.setdefault(own, set()).add(number in present[source])
    if any(len(said) > 1 for said in stays.values()):
        raise InvalidArchitecture(
            f"node {index} ({type(node).__name__}) joins channels of which one is left out"
        )
    return np.array([own for own in every.tolist() if stays[own] == {True}], np.int64)


def _part(
    index: int,
    node: Primitive,
    weights: Weights,
    own: NDArray[np.int64],
    sources: list[NDArray[np.int64]],
    channels: list[int],
) -> dict[str, NDArray[np.float32]]:
    """What is left of one node's weights."""
    found = {
        kind: weights[f"n{index}.{kind}"]
        for kind in ("weight", "bias", "slope")
        if f"n{index}.{kind}" in weights
    }
    if not found or not isinstance(node, Conv | ConvTranspose | Activation):
        return {}
    part = {kind: value[own] for kind, value in found.items() if kind != "weight"}
    if "weight" in found:
        weight = found["weight"]
        if isinstance(node, ConvTranspose):
            part["weight"] = weight[sources[0]][:, own]
        elif is_depthwise(node, channels[node.inputs[0]]) or (
            isinstance(node, Conv) and node.groups > 1
        ):
            part["weight"] = weight[own]
        else:
            part["weight"] = weight[own][:, sources[0]]
    return {f"n{index}.{kind}": np.ascontiguousarray(value) for kind, value in part.items()}

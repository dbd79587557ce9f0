"""A Graph with fewer channels, with the weights of those that are kept.

Nothing is approximated: the smaller network computes what the larger one does when no layer reads
the channels that are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture, UnknownName
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
Ranking = Literal["within", "across"]
_USUAL_MULTIPLE = 8


def choose(
    graph: Graph,
    scores: Scores,
    *,
    share: float,
    multiple: int = _USUAL_MULTIPLE,
    ranking: Ranking = "within",
) -> dict[int, NDArray[np.int64]]:
    """Decide which channels stay.

    Each layer's scores are divided by their mean, so that layers can be compared; channels that
    are coupled are judged by the sum.

    Args:
        scores: of every layer that may lose channels; layers without scores count as even.
        share: of the channels to keep.
        multiple: counts are brought to the nearest multiple of it, and to no less than one:
            vector units and tensor cores compute the padding of any other count all the same.
        ranking: `within` keeps this share of every layer; `across` ranks the channels of all
            layers together, so that layers which matter more keep more.

    Raises:
        ValueError: the share or the multiple makes no sense.
    """
    if not 0 < share <= 1 or multiple < 1:
        raise ValueError(f"share {share}, multiple {multiple}: keep a share of 0 to 1 by ones up")
    groups = coupled_channels(graph)
    values = [_values(group, scores) for group in groups]
    every = np.concatenate(values) if values else np.zeros(0)
    threshold = np.quantile(every, 1 - share, method="higher") if len(every) else 0.0
    kept: dict[int, set[int]] = {}
    for group, value in zip(groups, values, strict=True):
        wanted = share * len(value) if ranking == "within" else float((value >= threshold).sum())
        count = min(len(value), max(multiple, multiple * round(wanted / multiple)))
        for number in np.argsort(-value, kind="stable")[:count]:
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
    return Graph(tuple(nodes), graph.results), smaller


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


def as_architecture(architecture: Architecture, smaller: Graph) -> Architecture | None:
    """The architecture that lowers to a shrunken Graph, or None where blocks cannot express it.

    Blocks tie channels that a Graph does not: a repeated block has one feature count, some have a
    fixed ratio inside. Repeats are written out first, so that each may have a count of its own.

    Args:
        architecture: what the larger Graph was lowered from.
        smaller: what `shrink` gave.
    """
    single = tuple(
        replace(spec, repeat=1) for spec in architecture.blocks for _ in range(spec.repeat)
    )
    written_out = replace(architecture, blocks=single)
    original = lower(written_out)
    if len(original.nodes) != len(smaller.nodes):
        return None
    counts = [_count(written_out, number, original, smaller) for number in range(len(single))]
    if any(count is None for count in counts):
        return None
    blocks = [replace(s, channels=c or 1) for s, c in zip(single, counts, strict=True)]
    # To a skeleton the first entry may be something else than the rest, a stem.
    for entries in ((blocks[0], *_together(blocks[1:])), tuple(blocks)):
        found = replace(architecture, blocks=entries)
        try:
            if lower(found).canonical_hash() == smaller.canonical_hash():
                return found
        except InvalidArchitecture:
            continue
    return None


def _count(
    architecture: Architecture, number: int, original: Graph, smaller: Graph
) -> int | None:
    """The feature count that one block has in the smaller Graph, where all its layers agree."""
    spec = architecture.blocks[number]
    found = {
        smaller.nodes[index].out_channels  # type: ignore[attr-defined]
        for index in _layers_of(architecture, number, original)
        if getattr(original.nodes[index], "out_channels", 0) == spec.channels
        and getattr(original.nodes[index], "groups", 1) == 1
    }
    return found.pop() if len(found) == 1 else None


def _layers_of(architecture: Architecture, number: int, original: Graph) -> list[int]:
    """The nodes that a block has made: those that change when its kernel or activation does."""
    spec = architecture.blocks[number]
    changed: set[int] = set()
    for name, value in (("kernel", 7), ("activation", "hardswish"), ("activation", "tanh")):
        args = {**dict(spec.args), name: value}
        if spec.arg(name, "") == value:
            continue
        other = replace(spec, args=tuple(sorted(args.items())))
        blocks = list(architecture.blocks)
        blocks[number] = other
        try:
            lowered = lower(replace(architecture, blocks=tuple(blocks)))
        except (InvalidArchitecture, UnknownName):
            continue
        if len(lowered.nodes) == len(original.nodes):
            pairs = zip(original.nodes, lowered.nodes, strict=True)
            changed |= {index for index, (one, two) in enumerate(pairs) if one != two}
    return sorted(changed)


def _together(blocks: Sequence[BlockSpec]) -> tuple[BlockSpec, ...]:
    """Equal blocks in a row as one entry, unless a stride makes the first one different."""
    found: list[BlockSpec] = []
    for spec in blocks:
        if found and replace(found[-1], repeat=1) == spec and spec.arg("stride", 1) == 1:
            found[-1] = replace(found[-1], repeat=found[-1].repeat + 1)
        else:
            found.append(spec)
    return tuple(found)

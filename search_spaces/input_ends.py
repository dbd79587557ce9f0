"""Which tensors are quantized where engines fuse a layer with the quantizers before it.

That is what TensorRT recommends and OpenVINO takes too: the inputs of int8 layers, the skip input
of a residual Add, all that a quantized Concat joins. Pure data, no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from search_spaces.graph import Graph
from search_spaces.primitives import Activation, Add, Concat, Conv, ConvTranspose
from search_spaces.signs import not_negative


def quantized_inputs(
    graph: Graph, layers: Collection[int]
) -> tuple[dict[int, int], frozenset[int]]:
    """Each quantized tensor with the one whose scale it takes, and the Adds with a quantized skip.

    The output of the network is never quantized: it would cost precision and no layer would
    profit. An activation after an addition belongs to it, as one after a convolution does.
    """
    tensors = {graph.nodes[index].inputs[0] for index in layers}
    additions: set[int] = set()
    fused: set[int] = set()
    for index, node in reversed(list(enumerate(graph.nodes))):
        if isinstance(node, Activation) and index in tensors:
            fused.add(node.inputs[0])
        if isinstance(node, Add) and index in tensors | fused:
            additions.add(index)
            tensors.add(node.inputs[1])
        if isinstance(node, Concat) and index in tensors:
            tensors.update(node.inputs)
    return _shared_scales(graph, tensors), frozenset(additions)


def unsigned(graph: Graph, owners: Mapping[int, int]) -> dict[int, int]:
    """Zero points of uint8: 128 for what a Concat joins, 0 for what is never negative.

    What the Concat before a head joins has 0 too, if all of it is never negative.
    """
    joined = _joined(graph, owners)
    positive = not_negative(graph)
    shared = Counter(owners.values())
    alone = {i for i, owner in owners.items() if shared[owner] == 1}
    found = {i: 0 for i in alone & positive - joined} | dict.fromkeys(joined, 128)
    for head in joined_heads(graph) & set(owners.values()):
        if positive.issuperset(graph.nodes[head].inputs):
            found |= {i: 0 for i, owner in owners.items() if owner == head}
    return found


def joined_heads(graph: Graph) -> set[int]:
    """Concats of features and picture for a head that begins as an upsampler of the picture."""
    return {n.inputs[0] for n in graph.nodes if isinstance(n, Conv) and n.start}


def _joined(graph: Graph, owners: Mapping[int, int]) -> frozenset[int]:
    """Quantized tensors that a Concat reads, gives, or gives by way of nodes without weights."""
    reached: set[int] = set()
    for index, node in enumerate(graph.nodes):
        plain = not isinstance(node, Conv | ConvTranspose)
        if isinstance(node, Concat) or (plain and reached.intersection(node.inputs)):
            reached.add(index)
    return frozenset(i for i, owner in owners.items() if i in reached or owner in reached)


def _shared_scales(graph: Graph, tensors: set[int]) -> dict[int, int]:
    """Map each quantized tensor to the one whose scale it takes.

    That is the last Concat it reaches; a tensor that two of them read makes them share.
    """
    owner = {index: index for index in sorted(tensors)}
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Concat) and index in owner:
            joined = {owner[i] for i in (index, *node.inputs)}
            owner = {i: index if o in joined else o for i, o in owner.items()}
    return owner

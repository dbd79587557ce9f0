"""Every network, made smaller, computes what it did when nothing reads what was left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import draw
from networks import HEIGHT, NETWORKS, WIDTH

from search_spaces.base import InvalidArchitecture
from search_spaces.coupling import coupled_channels, is_depthwise
from search_spaces.graph import Graph, channels_of, shapes_of
from search_spaces.modules import Network, load_weights, weights_of
from search_spaces.plain_ops import run_plain
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.references import REFERENCES, reference, reference_named
from search_spaces.shrink import choose, narrower, shrink, weights_in
from search_spaces.skeletons import lower
from search_spaces.weights import random_weights
from search_spaces.work import params_of

RANDOM = 60
LARGEST = 60_000
TIED = ("xlsr", "plainusr")
"""Networks whose groups and slices tie features."""
SMALL = [name for name, graph in NETWORKS.items() if params_of(graph) <= LARGEST]


def check(graph: Graph, seed: int) -> bool:
    """Remove random channels down to multiples of four; whether any could be removed."""
    random = np.random.default_rng(seed)
    channels = channels_of(graph.nodes)
    scores = {n: random.random(c) + 0.1 for n, c in enumerate(channels)}
    counts = [min(n, max(4, 4 * round(n / 8))) for n in sizes(graph)]
    kept = choose(graph, scores, counts)
    network = Network(graph)
    load_weights(network, random_weights(graph, seed=seed))
    weights = weights_of(network)
    smaller_graph, smaller_weights = shrink(graph, weights, kept)
    smaller = Network(smaller_graph)
    load_weights(smaller, smaller_weights)
    assert set(weights_of(smaller)) == set(smaller_weights)
    silence(graph, weights, kept)
    load_weights(network, weights)
    image = torch.from_numpy(random.random((1, channels[0], HEIGHT, WIDTH), dtype=np.float32))
    with torch.no_grad():
        expected, found = network.eval()(image), smaller.eval()(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    shapes_of(smaller_graph, HEIGHT, WIDTH)
    return params_of(smaller_graph) < params_of(graph)


def sizes(graph: Graph) -> list[int]:
    return [len(group.channels) for group in coupled_channels(graph)]


def silence(
    graph: Graph, weights: dict[str, np.ndarray], kept: dict[int, np.ndarray]
) -> None:
    """Let no layer read what is left out: its weights for these inputs become zero."""
    channels = channels_of(graph.nodes)
    marks = dict(kept)
    for index, node in enumerate(graph.nodes):
        if not isinstance(node, Conv | ConvTranspose) or f"n{index}.weight" not in weights:
            continue
        if is_depthwise(node, channels[node.inputs[0]]):
            continue
        gone = left_out(graph, channels, node.inputs[0], marks)
        if isinstance(node, ConvTranspose):
            weights[f"n{index}.weight"][gone] = 0
        elif node.groups == 1:
            weights[f"n{index}.weight"][:, gone] = 0


def left_out(
    graph: Graph, channels: list[int], at: int, kept: dict[int, np.ndarray]
) -> np.ndarray:
    """The channels of a tensor that do not stay, found through the groups that tie them."""
    probe = {n: np.zeros(c, dtype=bool) for n, c in enumerate(channels)}
    for layer, stays in kept.items():
        probe[layer][:] = True
        probe[layer][stays] = False
    return np.flatnonzero(carried(graph, channels, probe)[at])


def carried(
    graph: Graph, channels: list[int], gone: dict[int, np.ndarray]
) -> list[np.ndarray]:
    """Marks of removed channels, carried along by running the primitives on their numbers."""
    found: list[np.ndarray] = []
    for index, node in enumerate(graph.nodes):
        if not node.inputs:
            found.append(np.zeros(channels[index], dtype=bool))
        elif isinstance(node, Conv | ConvTranspose):
            same = is_depthwise(node, channels[node.inputs[0]])
            found.append(found[node.inputs[0]] if same else gone[index])
        elif type(node).__name__ in ("Concat", "Slice", "DepthToSpace", "SpaceToDepth"):
            planes = [
                torch.from_numpy(found[i].astype(np.float32))[None, :, None, None].expand(
                    1, -1, 8, 8
                )
                for i in node.inputs
            ]
            found.append(run_plain(node, planes)[0].amax((1, 2)).numpy() > 0)
        else:
            found.append(found[node.inputs[0]])
    return found


@pytest.mark.parametrize("name", SMALL)
def test_a_network_made_smaller_is_the_same_function(name: str) -> None:
    check(NETWORKS[name], seed=1)


def test_random_networks_made_smaller_are_the_same_functions() -> None:
    assert sum(check(lower(draw(seed)), seed) for seed in range(RANDOM)) > RANDOM // 2


@pytest.mark.parametrize("name", REFERENCES)
def test_a_published_network_is_pruned_to_narrower_blocks_or_refused(name: str) -> None:
    architecture = reference(name, reference_named(name).nearest_scale(2))
    graph = lower(architecture)
    if params_of(graph) > 10 * LARGEST:
        pytest.skip("as the smaller ones of its kind")
    weights, smaller = random_weights(graph, seed=0), narrower(architecture, ratio=0.5)
    if name.startswith(TIED):
        with pytest.raises(InvalidArchitecture, match="wired in another way"):
            weights_in(smaller, architecture, weights, {})
        return
    network = Network(lower(smaller))
    load_weights(network, weights_in(smaller, architecture, weights, {}))


def test_most_published_networks_have_channels_that_can_be_removed() -> None:
    graphs = [NETWORKS[name] for name in SMALL if name.startswith("reference")]
    assert graphs
    assert sum(bool(coupled_channels(graph)) for graph in graphs) > len(graphs) // 2

import numpy as np
import pytest

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture
from search_spaces.graph import Graph, GraphBuilder, channels_of
from search_spaces.modules import build, weights_of
from search_spaces.primitives import Add, Conv
from search_spaces.references import reference
from search_spaces.shrink import as_architecture, choose, shrink
from search_spaces.skeletons import lower


def upscaler(*blocks: BlockSpec, skip: bool = False) -> Architecture:
    args = (("base", "bicubic"), ("centre", True), ("skip", skip))
    return Architecture("upscaler", one_to_one(3, 3, 2), blocks, args)


def rising(graph: Graph) -> dict[int, np.ndarray]:
    """Scores by which the last channels matter most."""
    return {n: np.arange(1.0, c + 1) for n, c in enumerate(channels_of(graph.nodes))}


def halved(architecture: Architecture, **how: object) -> Graph:
    graph = lower(architecture)
    kept = choose(graph, rising(graph), share=0.5, **how)  # type: ignore[arg-type]
    return shrink(graph, weights_of(build(graph, seed=0)), kept)[0]


def test_the_channels_that_matter_most_stay_in_multiples() -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 24), BlockSpec.of("conv", 56)))
    kept = choose(graph, rising(graph), share=0.5)
    counts = sorted(len(found) for found in kept.values())
    assert counts == [16, 32] or counts == [8, 32]
    assert all(found[-1] == channels_of(graph.nodes)[n] - 1 for n, found in kept.items())


def test_no_layer_falls_below_one_multiple_and_small_ones_are_left_alone() -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 16), BlockSpec.of("conv", 4)))
    kept = choose(graph, rising(graph), share=0.01)
    assert sorted(len(found) for found in kept.values()) == [4, 8]


def test_ranked_across_layers_the_one_that_matters_more_keeps_more() -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 32), BlockSpec.of("conv", 32)))
    first, second = (n for n in range(len(graph.nodes)) if channels_of(graph.nodes)[n] == 32)
    uneven = np.concatenate([np.full(8, 10.0), np.full(24, 0.01)])
    scores = {first: uneven, second: np.full(32, 1.0)}
    kept = choose(graph, scores, share=0.6, ranking="across")
    assert len(kept[first]) == 8 and len(kept[second]) == 32
    within = choose(graph, scores, share=0.5)
    assert len(within[first]) == len(within[second]) == 16


def test_layers_that_are_added_keep_the_same_channels() -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 16), BlockSpec.of("residual", 16), skip=True))
    kept = choose(graph, rising(graph), share=0.5)
    added = [n.inputs[0] for n in graph.nodes if isinstance(n, Add)]
    stays = [kept[n].tolist() for n in added if n in kept]
    assert len(stays) >= 1
    assert all(found == stays[0] for found in stays)


def test_torn_channels_are_refused() -> None:
    builder = GraphBuilder(3)
    one = builder.add(Conv, 0, out_channels=8)
    two = builder.add(Conv, one, out_channels=8)
    both = builder.add(Add, two, one)
    graph = builder.finish(builder.add(Conv, both, out_channels=4))
    weights = weights_of(build(graph, seed=0))
    with pytest.raises(InvalidArchitecture, match="one is left out"):
        shrink(graph, weights, {1: np.arange(4), 2: np.arange(8)})
    with pytest.raises(InvalidArchitecture, match="no channel of node 1"):
        shrink(graph, weights, {1: np.arange(0), 2: np.arange(0)})


@pytest.mark.parametrize(("share", "multiple"), [(0.0, 8), (1.5, 8), (0.5, 0)])
def test_a_share_that_makes_no_sense_is_refused(share: float, multiple: int) -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 16)))
    with pytest.raises(ValueError, match="share"):
        choose(graph, rising(graph), share=share, multiple=multiple)


@pytest.mark.parametrize(
    "architecture",
    [
        upscaler(BlockSpec.of("conv", 32), BlockSpec.of("conv", 32, 3)),
        upscaler(BlockSpec.of("conv", 16), BlockSpec.of("separable", 32, 2)),
        upscaler(BlockSpec.of("conv", 16), BlockSpec.of("residual", 16, 2), skip=True),
        upscaler(BlockSpec.of("conv", 16, activation="prelu"), BlockSpec.of("factorized", 16)),
        reference("ecbsr_m4c16", 2),
    ],
    ids=["conv", "separable", "residual", "factorized", "ecbsr"],
)
def test_a_smaller_network_is_an_architecture_again(architecture: Architecture) -> None:
    smaller = halved(architecture)
    found = as_architecture(architecture, smaller)
    assert found is not None
    assert lower(found).canonical_hash() == smaller.canonical_hash()
    assert found.id != architecture.id
    assert {b.channels for b in found.blocks} <= {8, 16}


def test_equal_blocks_in_a_row_stay_one_entry() -> None:
    architecture = upscaler(BlockSpec.of("conv", 32), BlockSpec.of("conv", 32, 3))
    found = as_architecture(architecture, halved(architecture))
    assert found is not None
    assert [(b.channels, b.repeat) for b in found.blocks] == [(16, 1), (16, 3)]


def test_what_blocks_cannot_express_stays_a_graph() -> None:
    """The two layers of a residual block have one feature count; here they would have two."""
    architecture = upscaler(BlockSpec.of("conv", 16), BlockSpec.of("residual", 16))
    graph = lower(architecture)
    inner = next(g for g in _groups(graph) if len(g) == 1 and g[0] > 2)
    weights = weights_of(build(graph, seed=0))
    smaller, _ = shrink(graph, weights, {inner[0]: np.arange(8)})
    assert as_architecture(architecture, smaller) is None


def _groups(graph: Graph) -> list[tuple[int, ...]]:
    from search_spaces.coupling import coupled_channels

    return [group.layers for group in coupled_channels(graph)]

import numpy as np
import pytest

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture
from search_spaces.coupling import coupled_channels
from search_spaces.graph import Graph, GraphBuilder, channels_of
from search_spaces.modules import Network, build, load_weights, weights_of
from search_spaces.primitives import Add, Conv
from search_spaces.references import reference
from search_spaces.shrink import choose, narrower, shrink, weights_in
from search_spaces.skeletons import lower
from search_spaces.weights import random_weights


def upscaler(*blocks: BlockSpec, skip: bool = False) -> Architecture:
    args = (("base", "bicubic"), ("centre", True), ("skip", skip))
    return Architecture("upscaler", one_to_one(3, 3, 2), blocks, args)


def rising(graph: Graph) -> dict[int, np.ndarray]:
    """Scores by which the last channels matter most."""
    return {n: np.arange(1.0, c + 1) for n, c in enumerate(channels_of(graph.nodes))}


def counts(architecture: Architecture) -> list[int]:
    return [block.channels for block in architecture.blocks]


@pytest.mark.parametrize(
    ("ratio", "multiple", "left"),
    [(0.5, 8, [16, 8, 32, 4]), (0.25, 8, [24, 16, 40, 4]), (0.5, 4, [16, 8, 28, 4]),
     (0.99, 8, [8, 8, 8, 4]), (0.01, 8, [32, 16, 56, 4])],
)  # fmt: skip
def test_feature_counts_are_brought_to_multiples_and_small_ones_left_alone(
    ratio: float, multiple: int, left: list[int]
) -> None:
    wide = upscaler(*(BlockSpec.of("conv", count) for count in (32, 16, 56, 4)))
    assert counts(narrower(wide, ratio=ratio, multiple=multiple)) == left


@pytest.mark.parametrize(("ratio", "multiple"), [(0.0, 8), (1.0, 8), (-0.5, 8), (0.5, 0)])
def test_a_ratio_that_makes_no_sense_is_refused(ratio: float, multiple: int) -> None:
    with pytest.raises(ValueError, match="ratio is|multiple is"):
        narrower(upscaler(BlockSpec.of("conv", 16)), ratio=ratio, multiple=multiple)


def test_the_channels_that_matter_most_stay() -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 24), BlockSpec.of("conv", 56)))
    kept = choose(graph, rising(graph), [8, 32])
    assert [found.tolist() for found in kept.values()] == [
        list(range(16, 24)), list(range(24, 56)),
    ]  # fmt: skip


def test_layers_that_are_added_keep_the_same_channels() -> None:
    graph = lower(upscaler(BlockSpec.of("conv", 16), BlockSpec.of("residual", 16), skip=True))
    kept = choose(graph, rising(graph), [8] * len(coupled_channels(graph)))
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


@pytest.mark.parametrize(
    "architecture",
    [
        upscaler(BlockSpec.of("conv", 32), BlockSpec.of("conv", 32, 3)),
        upscaler(BlockSpec.of("conv", 16), BlockSpec.of("separable", 32, 2)),
        upscaler(BlockSpec.of("conv", 16), BlockSpec.of("residual", 16, 2), skip=True),
        upscaler(BlockSpec.of("conv", 16, activation="prelu"), BlockSpec.of("factorized", 16)),
        *(reference(name, 2) for name in ("ecbsr_m4c16", "fsrcnn", "imdn_rtc", "bicubic++")),
    ],
    ids=["conv", "separable", "residual", "factorized", "ecbsr", "fsrcnn", "imdn", "bicubic++"],
)
def test_a_smaller_network_is_narrower_blocks_with_weights_of_the_wide_ones(
    architecture: Architecture,
) -> None:
    graph = lower(architecture)
    weights = random_weights(graph, seed=0)
    smaller = narrower(architecture, ratio=0.5)
    left = weights_in(smaller, architecture, weights, rising(graph))
    network = Network(lower(smaller))
    load_weights(network, left)
    first = min(int(name[1:].split(".")[0]) for name in left)
    stays = len(left[f"n{first}.weight"])
    np.testing.assert_array_equal(
        left[f"n{first}.weight"], weights[f"n{first}.weight"][-stays:]
    )
    assert sum(map(np.size, left.values())) < sum(map(np.size, weights.values()))


def test_what_narrower_blocks_wire_otherwise_is_refused() -> None:
    """Between 24 and 32 features stands a projection; between 16 and 16 there is none."""
    uneven = upscaler(BlockSpec.of("conv", 24), BlockSpec.of("residual", 32))
    weights = random_weights(lower(uneven), seed=0)
    smaller = narrower(uneven, ratio=0.4)
    assert counts(smaller) == [16, 16]
    with pytest.raises(InvalidArchitecture, match="wired in another way"):
        weights_in(smaller, uneven, weights, {})

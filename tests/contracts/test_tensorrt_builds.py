"""A real TensorRT parses and builds every file that is written for it, without a GPU.

What is not proven here: that the full TensorRT has a kernel for all of it, and how fast it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import real_tensorrt
from networks import HEIGHT, NETWORKS, WIDTH
from tensorrt_files import LIBRARY

from search_spaces.base import SearchSpace
from search_spaces.draws import draw
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.graph import Graph
from search_spaces.mobile import MobileSpace
from search_spaces.quantize import TENSORRT_RULES
from search_spaces.references import REFERENCES
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.untrained import untrained

PRECISIONS = ("fp32", "fp16", "int8")
SPACES: dict[str, SearchSpace] = {
    "super_resolution": SuperResolutionSpace(),
    "encoder_decoder": EncoderDecoderSpace(),
    "mobile": MobileSpace(classes=10),
}
PROPOSALS = 60
Size = tuple[int, int]


def refused(graphs: Mapping[str, Graph], precision: str, height: int, width: int) -> list[str]:
    """Names and the library's words for those that it does not build."""
    files = [
        untrained(
            graph, precision=precision, height=height, width=width, rules=TENSORRT_RULES
        )
        for graph in graphs.values()
    ]
    told = real_tensorrt.answers(files, version=LIBRARY)
    return [f"{name}: {why}" for name, why in zip(graphs, told, strict=True) if why]


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_published_network_is_built_at_its_deployments_size(precision: str) -> None:
    by_size: dict[Size, dict[str, Graph]] = {}
    for name, known in REFERENCES.items():
        graph = lower(known.make(known.nearest_scale(2)))
        by_size.setdefault(known.size, {})[name] = graph
    assert sum(map(len, by_size.values())) >= 46
    for size, graphs in by_size.items():
        assert refused(graphs, precision, *size) == []


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_everything_that_is_registered_is_built(precision: str) -> None:
    assert refused(NETWORKS, precision, HEIGHT, WIDTH) == []


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("space", SPACES)
def test_random_proposals_of_each_space_are_built(space: str, precision: str) -> None:
    graphs = {
        f"seed {seed}": lower(draw(SPACES[space], seed=seed).architecture)
        for seed in range(PROPOSALS)
    }
    assert refused(graphs, precision, 64, 96) == []

"""How features become the output picture: luma alone, and a video decoder's planes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture, Scalar, UnknownName
from search_spaces.fixed_kernels import REACH
from search_spaces.graph import Graph, shapes_of
from search_spaces.modules import build
from search_spaces.primitives import Conv
from search_spaces.skeletons import lower
from search_spaces.work import gmacs

BLOCKS = (BlockSpec.of("conv", 8), BlockSpec.of("conv", 8))
PLANES: dict[str, Scalar] = {"planes": "ycbcr420", "centre": True}


def network(channels: int = 3, scale: int = 2, **args: Scalar) -> Graph:
    chosen = tuple(sorted(args.items()))
    return lower(Architecture("upscaler", one_to_one(channels, channels, scale), BLOCKS, chosen))


def head_width(graph: Graph) -> int:
    """Features of all learned layers that nothing learned comes behind."""
    readers = graph.consumers()
    last = [i for i, n in enumerate(graph.nodes) if isinstance(n, Conv) and not n.fixed]
    ends = [i for i in last if not any(isinstance(graph.nodes[r], Conv) for r in readers[i])]
    return sum(graph.nodes[i].out_channels for i in ends)  # type: ignore[attr-defined]


def silent(graph: Graph) -> torch.nn.Module:
    """The network with a head that says nothing: what it gives is its base."""
    net = build(graph, seed=0)
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Conv) and not node.fixed:
            layer = net.layers[f"n{index}"]
            torch.nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return net


def test_learning_the_luma_alone_takes_a_third_of_the_head() -> None:
    rgb, luma = network(base="bicubic"), network(base="bicubic", colour="luma")
    assert (head_width(rgb), head_width(luma)) == (12, 4)
    assert gmacs(luma, 16, 16) < gmacs(rgb, 16, 16)
    assert shapes_of(luma, 16, 24)[-1] == (3, 32, 48)


def test_chroma_that_only_the_base_enlarges_takes_a_third_off_the_head() -> None:
    learned = network(6, base="bicubic", **PLANES)
    fixed = network(6, base="bicubic", chroma="fixed", **PLANES)
    assert (head_width(learned), head_width(fixed)) == (24, 16)
    for graph in (learned, fixed):
        assert shapes_of(graph, 8, 12)[-1] == (6, 16, 24)


def packed(luma: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    """Planes as a decoder gives them -> four phases of the luma, Cb, Cr."""
    return torch.cat([torch.nn.functional.pixel_unshuffle(luma, 2), chroma], dim=1)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("base", sorted(REACH))
@pytest.mark.parametrize("chroma", ["learned", "fixed"])
def test_the_base_of_planes_is_each_plane_enlarged_by_itself(
    scale: int, base: str, chroma: str
) -> None:
    random = torch.Generator().manual_seed(0)
    luma = torch.rand(1, 1, 16, 24, generator=random)
    colours = torch.rand(1, 2, 8, 12, generator=random)

    def alone(plane: torch.Tensor) -> torch.Tensor:
        """One channel through an RGB network's base."""
        graph = network(scale=scale, base=base, centre=True)
        result: torch.Tensor = silent(graph)(plane.expand(1, 3, -1, -1))[:, :1]
        return result

    graph = network(6, scale, base=base, chroma=chroma, **PLANES)
    with torch.no_grad():
        found = silent(graph)(packed(luma, colours))
        expected = packed(
            alone(luma), torch.cat([alone(colours[:, :1]), alone(colours[:, 1:])], dim=1)
        )
    assert np.abs((found - expected).numpy()).max() < 1e-5


def test_planes_hold_half_the_numbers_of_the_same_picture_in_rgb() -> None:
    rgb, planes = network(), network(6, **PLANES)
    numbers = [np.prod(shapes_of(g, *size)[0]) for g, size in ((rgb, (16, 24)), (planes, (8, 12)))]
    assert numbers[0] == 2 * numbers[1]


@pytest.mark.parametrize(
    ("channels", "args", "words"),
    [
        (3, {"colour": "luma"}, "its colours need a base"),
        (6, {**PLANES, "chroma": "fixed"}, "its colours need a base"),
        (3, PLANES, "ycbcr420 has 6 channels"),
    ],
)
def test_colours_that_nothing_makes_are_refused(
    channels: int, args: dict[str, Scalar], words: str
) -> None:
    with pytest.raises(InvalidArchitecture, match=words):
        network(channels, **args)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channels", "args", "words"),
    [
        (3, {"colour": "sepia"}, "unknown colour 'sepia'; known: luma, rgb"),
        (6, {**PLANES, "chroma": "some"}, "unknown chroma 'some'; known: fixed, learned"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(
    channels: int, args: dict[str, Scalar], words: str
) -> None:
    with pytest.raises(UnknownName, match=words):
        network(channels, **args)  # type: ignore[arg-type]

"""How skeletons wire blocks into a network."""

from __future__ import annotations

from fractions import Fraction

import pytest
from drawn import draw

from runtime.signature import Port, Signature, one_to_one
from search_spaces.base import (
    Architecture,
    BlockSpec,
    InvalidArchitecture,
    Scalar,
    UnknownName,
)
from search_spaces.graph import channels_of, shapes_of
from search_spaces.primitives import (
    Add,
    AveragePool,
    Conv,
    DepthToSpace,
    MaxPool,
    Primitive,
    Shift,
    SpaceToDepth,
)
from search_spaces.skeletons import CENTRE, SKELETONS, lower

BLOCKS = (BlockSpec.of("conv", 16), BlockSpec.of("conv", 16))


def upscaler(*, scale: int = 2, **args: Scalar) -> Architecture:
    return Architecture("upscaler", one_to_one(3, 3, scale), BLOCKS, tuple(sorted(args.items())))


def kinds(architecture: Architecture) -> list[type[Primitive]]:
    return [type(node) for node in lower(architecture).nodes]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("base", ["none", "nearest", "bilinear", "bicubic"])
def test_the_output_is_scale_times_the_input(scale: int, base: str) -> None:
    shapes = shapes_of(lower(upscaler(scale=scale, base=base, centre=True)), 8, 12)
    assert shapes[-1] == (3, 8 * scale, 12 * scale)


@pytest.mark.parametrize(
    ("reduction", "primitive"),
    [
        ("strided", Conv),
        ("max_pool", MaxPool),
        ("average_pool", AveragePool),
        ("space_to_depth", SpaceToDepth),
    ],
)
def test_a_reduction_halves_the_body_and_the_head_makes_up_for_it(
    reduction: str, primitive: type[Primitive]
) -> None:
    graph = lower(upscaler(reduction=reduction, base="bicubic"))
    shapes = shapes_of(graph, 8, 12)
    body = [s for s, n in zip(shapes, graph.nodes, strict=True) if isinstance(n, primitive)]
    assert (4, 6) in [s[1:] for s in body]
    assert shapes[-1] == (3, 16, 24)


def test_without_a_reduction_everything_but_the_output_stays_at_the_inputs_size() -> None:
    shapes = shapes_of(lower(upscaler(base="bicubic", skip=True, centre=True)), 8, 12)
    assert {s[1:] for s in shapes[:-1]} == {(8, 12)}


def test_the_base_is_added_before_the_last_shuffle() -> None:
    last_add, shuffle = lower(upscaler(base="bicubic")).nodes[-2:]
    assert isinstance(last_add, Add)
    assert isinstance(shuffle, DepthToSpace)


def test_the_skip_connection_adds_the_stems_output_to_the_bodys() -> None:
    without, with_skip = kinds(upscaler()), kinds(upscaler(skip=True))
    assert with_skip.count(Add) == without.count(Add) + 1


@pytest.mark.parametrize("base", ["none", "bicubic"])
def test_what_centring_takes_away_is_given_back_once(base: str) -> None:
    graph = lower(upscaler(base=base, centre=True))
    assert [n.value for n in graph.nodes if isinstance(n, Shift)] == [-CENTRE]
    assert sorted(n.offset for n in graph.nodes if isinstance(n, Conv))[-1] == CENTRE
    assert sum(n.offset != 0 for n in graph.nodes if isinstance(n, Conv)) == 1


def test_a_residual_block_of_the_body_may_change_its_width() -> None:
    blocks = (BlockSpec.of("conv", 8), BlockSpec.of("residual", 24, 2))
    graph = lower(Architecture("upscaler", one_to_one(3, 3, 2), blocks))
    assert 24 in channels_of(graph.nodes)


@pytest.mark.parametrize("seed", range(10))
def test_lowering_the_same_architecture_gives_the_same_graph(seed: int) -> None:
    assert lower(draw(seed)) == lower(draw(seed))


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (Architecture("unet", one_to_one(3, 3, 2), BLOCKS),
         r"'unet' \(did you mean oidn_unet\?\); known: b"),
        (upscaler(reduction="halved"), "unknown reduction 'halved'; known: average_pool"),
        (upscaler(base="lanczos"), "unknown upsampler 'lanczos'; known: bicubic"),
        (upscaler(head_activation="softmax"), "unknown activation 'softmax'; known: clip"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(
    architecture: Architecture, words: str
) -> None:
    with pytest.raises(UnknownName, match=words):
        lower(architecture)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_a_network_without_blocks_is_refused(skeleton: str) -> None:
    with pytest.raises(InvalidArchitecture, match="no blocks"):
        lower(Architecture(skeleton, one_to_one(3, 3, 2), ()))


def test_a_skeleton_that_makes_another_output_than_the_signature_says_is_refused() -> None:
    large = Signature((Port("input", 3),), (Port("large", 3, Fraction(2)),))
    with pytest.raises(InvalidArchitecture, match=r"it gives \{'output': 3\}.*not \{'large': 3\}"):
        lower(Architecture("upscaler", large, BLOCKS))

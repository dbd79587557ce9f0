"""The space of multi-scale networks."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.count import Size, size
from search_spaces.draws import draw
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.graph import shapes_of
from search_spaces.skeletons import lower
from search_spaces.work import params_of

SEEDS = range(200)


@pytest.mark.parametrize("multiple", [1, 2, 4, 8, 16])
def test_no_network_is_proposed_that_the_declared_multiple_cannot_be_halved_for(
    multiple: int,
) -> None:
    levels = [n for n in (0, 1, 2, 3) if multiple % 2**n == 0]
    space = EncoderDecoderSpace(multiple=multiple, levels=levels)
    for seed in SEEDS:
        graph = lower(draw(space, seed=seed).architecture)
        side = multiple * 3
        assert shapes_of(graph, side, side)[-1] == (3, side, side)


def test_half_size_entries_are_offered_only_where_they_fit() -> None:
    space = EncoderDecoderSpace(multiple=8)
    for seed in SEEDS:
        drawn = draw(space, seed=seed)
        assert ("entry" in drawn.choices) == (drawn.choices["levels"] < 3)


def test_each_level_has_widths_of_its_own_list() -> None:
    space = EncoderDecoderSpace()
    for seed in SEEDS:
        for block in draw(space, seed=seed).architecture.blocks:
            assert block.channels in space.widths[int(block.arg("level", 0))]


def test_both_sides_of_a_level_have_blocks_of_one_kind() -> None:
    for seed in SEEDS:
        kinds: dict[object, set[object]] = {}
        for block in draw(EncoderDecoderSpace(), seed=seed).architecture.blocks[1:]:
            kinds.setdefault(block.arg("level", 0), set()).add((block.op, block.channels))
        assert all(len(found) == 1 for found in kinds.values())


@pytest.mark.parametrize(
    ("changed", "bases"),
    [
        ({}, {"input", "none"}),
        ({"out_channels": 1}, {"none"}),
        ({"scale": 2}, {"bicubic", "nearest"}),
        ({"scale": 2, "bases": ["none", "bilinear"]}, {"none", "bilinear"}),
        ({"bases": ["none"]}, {"none"}),
    ],
)
def test_the_output_is_added_to_what_it_can_be_added_to(
    changed: dict[str, Any], bases: set[str]
) -> None:
    space = EncoderDecoderSpace(**changed)
    assert {draw(space, seed=seed).choices["base"] for seed in SEEDS} == bases


def test_what_one_level_alone_offers_is_counted_by_hand() -> None:
    space = EncoderDecoderSpace(
        widths=((8, 16),), levels=(0,), entries=("full",), max_repeat=2, ops=("conv",),
        kernels=(3,), activations=("relu",), bases=("none",),
    )
    # Two widths, and none, one or two blocks behind the stem.
    assert size(space) == Size(6, exact=True)


def test_the_space_reaches_from_a_thousand_to_a_million_parameters() -> None:
    space = EncoderDecoderSpace()
    sizes = [params_of(lower(draw(space, seed=seed).architecture)) for seed in SEEDS]
    assert min(sizes) < 3_000
    assert max(sizes) > 500_000


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ops": ["cnov"]}, r"search_space.ops 'cnov' \(did you mean conv\?\); known: bottleneck"),
        ({"ops": ["local_attention"]}, "search_space.ops 'local_attention'; known: bottleneck"),
        ({"entries": ["half"]}, "entry of search_space.entries 'half'; known: full"),
        ({"growths": ["grown"]}, "entry of search_space.growths 'grown'; known: bilinear"),
        ({"joins": []}, "search_space.joins is empty"),
        ({"bases": ["bicubic"]}, "entry of search_space.bases 'bicubic'; known: input, none"),
        ({"out_channels": 1, "bases": ["input"]}, "search_space.bases 'input'; known: none"),
        ({"levels": []}, "search_space.levels is empty"),
        ({"levels": [4]}, "levels goes to 4, search_space.widths holds 4 lists"),
        ({"multiple": 4}, "has 3, by which search_space.multiple=4 cannot be halved"),
        ({"entries": ["space_to_depth"]}, "has 3, by which search_space.multiple=8 cannot"),
        ({"widths": [[8], []], "levels": [1]}, "search_space.widths is empty"),
        ({"kernels": [2]}, "use odd numbers"),
        ({"max_repeat": True}, "use whole numbers"),
    ],
)
def test_a_space_that_cannot_be_built_is_refused_with_the_field(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        EncoderDecoderSpace(**changed)

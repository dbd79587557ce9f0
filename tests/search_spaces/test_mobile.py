"""The space of classification backbones."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.draws import draw
from search_spaces.graph import shapes_of
from search_spaces.mobile import MobileSpace, rounded
from search_spaces.primitives import GlobalAveragePool
from search_spaces.skeletons import lower
from search_spaces.work import gmacs

SEEDS = range(120)


def test_the_last_map_has_a_thirty_second_of_the_input_however_it_was_shrunk() -> None:
    for seed in SEEDS:
        graph = lower(draw(MobileSpace(), seed=seed).architecture)
        at = next(i for i, n in enumerate(graph.nodes) if isinstance(n, GlobalAveragePool))
        assert shapes_of(graph, 96, 64)[graph.nodes[at].inputs[0]][1:] == (3, 2)


def test_the_width_multiplier_is_of_every_stage() -> None:
    wanted = {"stem_width": 32, "width": 0.5}
    architecture = draw(MobileSpace(), seed=0, wanted=wanted).architecture
    assert [block.channels for block in architecture.blocks] == [16, 16, 24, 40, 80]


@pytest.mark.parametrize(
    ("width", "whole"),
    [(4, 8), (8, 8), (10, 16), (12, 16), (19.2, 24), (20, 24), (33, 32), (40, 40)],
)
def test_widths_are_multiples_of_eight_and_never_more_than_a_tenth_below(
    width: float, whole: int
) -> None:
    assert rounded(width) == whole
    assert rounded(width) >= 0.9 * width


def test_a_shrunk_input_costs_less_and_a_wider_network_more() -> None:
    def work(**wanted: object) -> float:
        graph = lower(draw(MobileSpace(), seed=1, wanted=wanted).architecture)
        return gmacs(graph, 224, 224)

    assert work(shrink=2, width=0.5) < work(shrink=1, width=0.5) < work(shrink=1, width=1.0)


def test_what_only_one_kind_of_block_has_is_asked_for_it_alone() -> None:
    for seed in SEEDS:
        choices = draw(MobileSpace(), seed=seed).choices
        for stage in (1, 2, 3, 4):
            expands = f"inverted_residual_expand_{stage}" in choices
            assert expands == (choices[f"op_{stage}"] == "inverted_residual")
            own_kernel = f"large_kernel_kernel_{stage}" in choices
            assert own_kernel == (choices[f"op_{stage}"] == "large_kernel")
            assert own_kernel != (f"kernel_{stage}" in choices)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ops": ["cnov"]}, r"search_space.ops 'cnov' \(did you mean conv\?\); known: bottleneck"),
        ({"ops": ["two_scale"]}, "search_space.ops 'two_scale'; known: bottleneck"),
        ({"reductions": ["none"]}, "entry of search_space.reductions 'none'; known: average"),
        ({"shrinks": [3]}, "use 1, 2 or both"),
        ({"width_multipliers": [0.0]}, "use numbers above 0"),
        ({"width_multipliers": []}, "use numbers above 0"),
        ({"head_widths": [-1]}, "use whole numbers from 0 to"),
        ({"classes": 0}, "use whole numbers from 1 to"),
        ({"stage_widths": []}, "search_space.stage_widths is empty"),
    ],
)
def test_a_space_that_cannot_be_built_is_refused_with_the_field(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        MobileSpace(**changed)

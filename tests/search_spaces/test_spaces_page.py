"""docs/spaces.md states what the code counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces.base import SearchSpace
from search_spaces.block_choices import BLOCK_CHOICES
from search_spaces.blocks import BLOCKS
from search_spaces.count import size
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.mobile import MobileSpace
from search_spaces.super_resolution import SuperResolutionSpace

PAGE = (Path(__file__).parents[2] / "docs" / "spaces.md").read_text()


@pytest.mark.parametrize(
    ("row", "space"),
    [
        ("upscalers", SuperResolutionSpace()),
        ("upscalers of 4:2:0 planes", SuperResolutionSpace(planes="ycbcr420")),
        ("multi-scale", EncoderDecoderSpace()),
        ("classifiers", MobileSpace()),
    ],
)
def test_the_sizes_of_the_page_are_those_that_are_counted(row: str, space: SearchSpace) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row} |")]
    counted = size(space)
    assert counted.exact
    assert line.split("|")[3].strip() == str(counted)


@pytest.mark.parametrize("op", sorted(BLOCKS))
def test_every_block_has_its_reason_on_the_page(op: str) -> None:
    assert f"`{op}`" in PAGE


def test_choices_of_single_blocks_are_of_blocks_that_exist() -> None:
    assert set(BLOCK_CHOICES) <= set(BLOCKS)

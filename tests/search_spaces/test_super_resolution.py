"""The space of small upscalers."""

from __future__ import annotations

from typing import Any

import pytest
from drawn import Replay, SeededChooser, draw

from search_spaces.graph import shapes_of
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.work import params_of

PROPOSALS = 200


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_random_proposals_are_networks_of_that_scale(scale: int) -> None:
    space = SuperResolutionSpace(scale=scale)
    for seed in range(PROPOSALS):
        shapes = shapes_of(lower(draw(seed, space)), 12, 20)
        assert shapes[-1] == (3, 12 * scale, 20 * scale)


def test_the_same_choices_give_the_same_architecture() -> None:
    space = SuperResolutionSpace()
    for seed in range(PROPOSALS):
        chooser = SeededChooser(seed)
        first = space.propose(chooser)
        assert space.propose(Replay(chooser.drawn)).id == first.id


def test_every_proposal_is_inside_the_space() -> None:
    space = SuperResolutionSpace()
    for seed in range(PROPOSALS):
        architecture = draw(seed)
        reduction = architecture.arg("reduction", "")
        widths = space.widths if reduction == "none" else space.reduced_widths
        assert reduction in space.reductions
        assert architecture.arg("base", "") in space.bases
        assert 2 <= len(architecture.blocks) <= 3
        assert architecture.blocks[0].op == "conv"
        for block in architecture.blocks:
            assert block.channels in widths
            assert 1 <= block.repeat <= space.max_repeat
            assert block.arg("kernel", 0) in space.kernels
            assert block.arg("activation", "") in space.activations
        assert {block.op for block in architecture.blocks[1:]} <= set(space.ops)


def test_one_name_is_never_offered_with_two_sets_of_choices() -> None:
    offered: dict[str, list[object]] = {}
    for seed in range(PROPOSALS):
        chooser = SeededChooser(seed)
        SuperResolutionSpace().propose(chooser)
        for name, choices in chooser.offered.items():
            assert offered.setdefault(name, choices) == choices


def test_every_choice_is_reached() -> None:
    drawn: dict[str, set[object]] = {}
    offered: dict[str, set[object]] = {}
    for seed in range(PROPOSALS):
        chooser = SeededChooser(seed)
        SuperResolutionSpace().propose(chooser)
        for name, value in chooser.drawn.items():
            drawn.setdefault(name, set()).add(value)
            offered.setdefault(name, set()).update(chooser.offered[name])
    assert drawn == offered


def test_a_narrower_space_is_obeyed() -> None:
    space = SuperResolutionSpace(
        widths=(8,), max_repeat=1, bases=("nearest",), reductions=("none",), ops=("conv",),
        kernels=(3,), activations=("relu",),
    )
    ids = {draw(seed, space).id for seed in range(50)}
    # One or two groups, with or without the skip connection.
    assert len(ids) == 4


def test_few_random_proposals_are_the_same_network() -> None:
    hashes = {lower(draw(seed)).canonical_hash() for seed in range(PROPOSALS)}
    assert len(hashes) > 0.95 * PROPOSALS


def test_the_space_reaches_from_a_thousand_to_hundreds_of_thousands_of_parameters() -> None:
    sizes = [params_of(lower(draw(seed))) for seed in range(PROPOSALS)]
    assert min(sizes) < 5_000
    assert max(sizes) > 200_000


def test_the_colours_of_a_space_of_planes_are_chosen_where_a_base_makes_them() -> None:
    space = SuperResolutionSpace(planes="ycbcr420", bases=("none", "bicubic"))
    for seed in range(PROPOSALS):
        chooser = SeededChooser(seed)
        architecture = space.propose(chooser)
        assert (architecture.in_channels, architecture.out_channels) == (6, 6)
        assert ("chroma" in chooser.drawn) == (chooser.drawn["base"] != "none")
        assert shapes_of(lower(architecture), 12, 20)[-1] == (6, 24, 40)


def test_a_space_of_luma_has_one_channel_and_no_choice_of_colours() -> None:
    space = SuperResolutionSpace(planes="luma", colours=("rgb", "luma"), bases=("none", "bicubic"))
    for seed in range(PROPOSALS):
        architecture = draw(seed, space)
        assert (architecture.in_channels, architecture.out_channels) == (1, 1)
        assert "colour" not in dict(architecture.args)
        assert shapes_of(lower(architecture), 12, 20)[-1] == (1, 24, 40)


def test_by_default_nothing_is_asked_about_colours() -> None:
    chooser = SeededChooser(0)
    architecture = SuperResolutionSpace().propose(chooser)
    assert not {"colour", "chroma"} & set(chooser.drawn)
    assert not {"colour", "chroma", "planes"} & dict(architecture.args).keys()


def test_colours_are_a_choice_when_there_are_two_to_choose_from() -> None:
    space = SuperResolutionSpace(colours=("rgb", "luma"))
    drawn = {draw(seed, space).arg("colour", "rgb") for seed in range(PROPOSALS)}
    assert drawn == {"rgb", "luma"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ops": ["cnov"]}, r"search_space.ops 'cnov' \(did you mean conv\?\); known: bott"),
        ({"bases": ["lanczos"]}, "entry of search_space.bases 'lanczos'; known: bicubic"),
        ({"reductions": ["halved"]}, "entry of search_space.reductions 'halved'; known: average"),
        ({"activations": ["rleu"]}, r"activations 'rleu' \(did you mean relu\?\); known: clip"),
        ({"ops": []}, "search_space.ops is empty"),
        ({"widths": []}, "search_space.widths is empty"),
        ({"widths": [8, 0]}, "use whole numbers"),
        ({"reduced_widths": ["many"]}, "use whole numbers"),
        ({"max_repeat": 0}, "use whole numbers"),
        ({"kernels": [3, 4]}, "use odd numbers"),
        ({"colours": ["sepia"]}, "entry of search_space.colours 'sepia'; known: luma, rgb"),
        ({"planes": "nv12"}, "search_space.planes is 'nv12': use one of rgb, luma, ycbcr420"),
        (
            {"colours": ["luma"], "bases": ["none"]},
            "search_space.bases offers none, where nothing but the network makes colours",
        ),
    ],
)
def test_a_space_that_cannot_be_built_is_refused_with_the_field(
    changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        SuperResolutionSpace(**changed)

"""What every space keeps: a thousand proposals build, and what is varied stays inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from drawn import Replay

from search_spaces.base import Architecture, SearchSpace
from search_spaces.blocks import BLOCKS, HALVING
from search_spaces.draws import Choices, Draw, draw
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.graph import channels_of, shapes_of
from search_spaces.mobile import MobileSpace
from search_spaces.modules import build
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.vary import crossover, mutate

SPACES: dict[str, SearchSpace] = {
    "super_resolution": SuperResolutionSpace(),
    "super_resolution, everything": SuperResolutionSpace(
        ops=sorted(BLOCKS), colours=("rgb", "luma"), bases=("none", "bicubic", "nearest")
    ),
    "super_resolution, luma": SuperResolutionSpace(planes="luma", bases=("none", "bicubic")),
    "super_resolution, planes, x3": SuperResolutionSpace(scale=3, planes="ycbcr420"),
    "encoder_decoder": EncoderDecoderSpace(),
    "encoder_decoder, everything": EncoderDecoderSpace(
        ops=sorted(set(BLOCKS) - set(HALVING)), joins=("add", "concat", "none")
    ),
    "encoder_decoder, x2": EncoderDecoderSpace(scale=2, levels=(0, 1), multiple=4),
    "encoder_decoder, depth of RGB": EncoderDecoderSpace(out_channels=1),
    "mobile": MobileSpace(classes=10),
    "mobile, everything": MobileSpace(
        classes=10, ops=sorted(set(BLOCKS) - set(HALVING))
    ),
}
WHOLE = ("super_resolution", "encoder_decoder", "mobile")
"""Spaces as they ship: a thousand proposals of each, a few hundred of the variants."""
PROPOSALS, VARIED, BUILT = 1000, 200, 6
HEIGHT, WIDTH = 32, 64
MOST_DUPLICATES = {"encoder_decoder": 0.06}
"""Share of proposals that draw a network that was drawn before, 0.01 for the others."""


@pytest.fixture(params=SPACES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def proposals(name: str) -> list[Draw]:
    count = PROPOSALS if name in WHOLE else VARIED
    return [draw(SPACES[name], seed=seed) for seed in range(count)]


def output_shape(space: Any) -> tuple[int, ...]:
    """What a network of this space makes of a HEIGHT x WIDTH input."""
    if isinstance(space, MobileSpace):
        return (space.classes,)
    planes = {"rgb": 3, "luma": 1, "ycbcr420": 6}
    channels = getattr(space, "out_channels", None) or planes[space.planes]
    return (channels, HEIGHT * space.scale, WIDTH * space.scale)


def test_a_thousand_random_proposals_are_networks_of_the_right_shape(name: str) -> None:
    space = SPACES[name]
    hashes = []
    for drawn in proposals(name):
        graph = lower(drawn.architecture)
        assert shapes_of(graph, HEIGHT, WIDTH)[-1] == output_shape(space), drawn.architecture
        hashes.append(graph.canonical_hash())
    duplicates = 1 - len(set(hashes)) / len(hashes)
    print(f"{name}: {duplicates:.1%} of {len(hashes)} random proposals are duplicates")
    assert duplicates <= MOST_DUPLICATES.get(name.partition(",")[0], 0.01)


def test_no_proposal_is_out_of_its_declared_range(name: str) -> None:
    space: Any = SPACES[name]
    for drawn in proposals(name):
        architecture = drawn.architecture
        for label, value in drawn.choices.items():
            assert value in drawn.offered[label]
        assert {b.op for b in architecture.blocks} <= {*space.ops, "conv"}
        assert max(b.repeat for b in architecture.blocks) <= space.max_repeat
        assert {b.arg("activation", "") for b in architecture.blocks} <= set(space.activations)
        assert {b.channels for b in architecture.blocks} <= widths_of(space)
        assert all(channels % 8 == 0 for channels in widths_of(space))


def widths_of(space: Any) -> set[int]:
    """Every width that the space declares."""
    if isinstance(space, SuperResolutionSpace):
        return {*space.widths, *space.reduced_widths}
    if isinstance(space, EncoderDecoderSpace):
        return {width for level in space.widths for width in level}
    bases = (*space.stem_widths, *space.stage_widths)
    return {max(8, round(b * m / 8 + 1e-9) * 8) for b in bases for m in space.width_multipliers}


@pytest.mark.parametrize("name", WHOLE)
def test_every_choice_is_reached_with_every_option(name: str) -> None:
    drawn: dict[str, set[object]] = {}
    offered: dict[str, set[object]] = {}
    for proposal in proposals(name):
        for label, value in proposal.choices.items():
            drawn.setdefault(label, set()).add(value)
            offered.setdefault(label, set()).update(proposal.offered[label])
    missed = {label: offered[label] - drawn[label] for label in offered}
    assert not {label: options for label, options in missed.items() if options}


def test_one_name_is_never_offered_with_two_sets_of_choices(name: str) -> None:
    offered: dict[str, object] = {}
    for proposal in proposals(name):
        for label, choices in proposal.offered.items():
            assert offered.setdefault(label, choices) == choices, label


def test_the_same_choices_give_the_same_network(name: str) -> None:
    for drawn in proposals(name)[: VARIED // 2]:
        again = SPACES[name].propose(Replay(drawn.choices))
        assert again == drawn.architecture
        back = Architecture.from_json(again.to_json())
        assert lower(back).canonical_hash() == lower(again).canonical_hash()


def mutated(space: SearchSpace, one: Choices, other: Choices, seed: int) -> Draw:
    return mutate(space, one, seed=seed)


def crossed(space: SearchSpace, one: Choices, other: Choices, seed: int) -> Draw:
    return crossover(space, one, other, seed=seed)


@pytest.mark.parametrize("name", [*WHOLE, "super_resolution, everything"])
@pytest.mark.parametrize("vary", [mutated, crossed])
def test_what_is_varied_stays_inside_the_space(name: str, vary: Callable[..., Draw]) -> None:
    space, parents = SPACES[name], proposals(name)
    differs = 0
    for seed in range(VARIED):
        one, other = parents[seed], parents[-1 - seed]
        child = vary(space, one.choices, other.choices, seed)
        assert all(value in child.offered[label] for label, value in child.choices.items())
        # The space itself, asked for these choices, proposes this very network.
        assert space.propose(Replay(child.choices)) == child.architecture
        graph = lower(child.architecture)
        assert shapes_of(graph, HEIGHT, WIDTH)[-1] == output_shape(space)
        differs += child.architecture.id not in (one.architecture.id, other.architecture.id)
    assert differs > 0.9 * VARIED


def test_some_proposals_are_trained_a_step(name: str) -> None:
    for drawn in proposals(name)[:BUILT]:
        graph = lower(drawn.architecture)
        network = build(graph, seed=0)
        image = torch.rand(1, channels_of(graph.nodes)[0], HEIGHT, WIDTH)
        output = network(image)
        assert tuple(output.shape[1:]) == output_shape(SPACES[name])
        output.square().mean().backward()
        for label, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), label


def test_a_network_over_its_input_begins_near_it() -> None:
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    for seed in range(BUILT):
        space = replace(EncoderDecoderSpace(), bases=("input",))
        network = build(lower(draw(space, seed=seed).architecture), seed=0)
        with torch.no_grad():
            error = float((network(image) - image).abs().mean())
        assert error < 0.05, seed


@pytest.mark.parametrize("reduction", ["none", "strided"])
def test_a_network_that_learns_the_luma_leaves_the_colours_of_its_base(reduction: str) -> None:
    """What it adds to red, green and blue of one pixel is the same."""
    space = SuperResolutionSpace(colours=("luma",), bases=("nearest",), reductions=(reduction,))
    image = torch.rand(1, 3, HEIGHT, WIDTH)
    for seed in range(4):
        network = build(lower(draw(space, seed=seed).architecture), seed=seed)
        with torch.no_grad():
            enlarged = network(image).numpy()
        residual = enlarged - image.numpy().repeat(2, axis=2).repeat(2, axis=3)
        assert np.abs(residual).max() > 1e-4
        assert np.abs(residual - residual[:, :1]).max() < 1e-5

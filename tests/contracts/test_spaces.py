"""What every space keeps: a thousand proposals build, and what is varied stays inside.

Spaces are found by their yaml files in `conf/search_space`, and the toys'; beside them stand the
same classes with other fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from drawn import Replay
from found import made, options

from runtime.moving import moving
from runtime.signature import Signature, one_to_one
from search_spaces.base import Architecture, SearchSpace
from search_spaces.blocks import BLOCKS, HALVING
from search_spaces.draws import Choices, Draw, draw
from search_spaces.encoder_decoder import EncoderDecoderSpace
from search_spaces.graph import Graph, shapes_of
from search_spaces.mobile import MobileSpace
from search_spaces.modules import build
from search_spaces.primitives import Input
from search_spaces.recurrent import RecurrentSpace
from search_spaces.skeletons import lower
from search_spaces.super_resolution import SuperResolutionSpace
from search_spaces.untrained import untrained
from search_spaces.vary import crossover, mutate

KEEPING = sorted(set(BLOCKS) - set(HALVING))
EDITED: dict[str, tuple[SearchSpace, Signature]] = {
    "super_resolution, everything": (
        SuperResolutionSpace(
            ops=sorted(BLOCKS), colours=("rgb", "luma"), bases=("none", "bicubic", "nearest")
        ),
        one_to_one(3, 3, 2),
    ),
    "super_resolution, luma": (
        SuperResolutionSpace(planes="luma", bases=("none", "bicubic")), one_to_one(1, 1, 2),
    ),
    "super_resolution, planes, x3": (
        SuperResolutionSpace(scale=3, planes="ycbcr420"), one_to_one(6, 6, 3),
    ),
    "encoder_decoder, everything": (
        EncoderDecoderSpace(ops=KEEPING, joins=("add", "concat", "none")),
        one_to_one(3, 3, 1),
    ),
    "encoder_decoder, x2": (
        EncoderDecoderSpace(scale=2, levels=(0, 1), multiple=4), one_to_one(3, 3, 2),
    ),
    "encoder_decoder, depth of RGB": (EncoderDecoderSpace(out_channels=1), one_to_one(3, 1, 1)),
    "recurrent, x2": (RecurrentSpace(), moving(2)),
    "recurrent, features": (RecurrentSpace(memory="features"), moving(2, memory="features")),
    "mobile, everything": (
        MobileSpace(classes=10, ops=KEEPING), one_to_one(3, 10, None),
    ),
}
"""With what their networks take and give."""
WHOLE = options("search_space")
"""Spaces as they ship: a thousand proposals of each, a few hundred of the edited ones."""
SPACES = [*WHOLE, *EDITED]
PROPOSALS, VARIED, BUILT, WRITTEN = 1000, 200, 6, 3
HEIGHT, WIDTH = 32, 64
MOST_DUPLICATES = {"encoder_decoder": 0.06}
"""Share of choices that give a network that others gave before, 0.01 for the others."""


def space_of(name: str) -> SearchSpace:
    space: SearchSpace = EDITED[name][0] if name in EDITED else made("search_space", name)
    return space


@pytest.fixture(params=SPACES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def proposals(name: str) -> list[Draw]:
    count = PROPOSALS if name in WHOLE else VARIED
    return [draw(space_of(name), seed=seed) for seed in range(count)]


def makes(architecture: Architecture, graph: Graph) -> bool:
    """Whether a network takes and gives what its signature says."""
    shapes, signature = shapes_of(graph, HEIGHT, WIDTH), architecture.signature
    given = tuple(node.port for node in graph.nodes if isinstance(node, Input))
    found = {name: shapes[index] for name, index in graph.outputs.items()}
    wanted = {port.name: port.shape(HEIGHT, WIDTH) for port in signature.outputs}
    return given == signature.inputs and found == wanted


def test_a_thousand_random_proposals_are_networks_of_one_signature(name: str) -> None:
    networks, hashes = {}, set()
    for drawn in proposals(name):
        graph = lower(drawn.architecture)
        assert makes(drawn.architecture, graph), drawn.architecture
        hashes.add(graph.canonical_hash())
        networks[tuple(sorted(map(str, drawn.choices.items())))] = drawn.architecture
    signatures = {architecture.signature for architecture in networks.values()}
    assert len(signatures) == 1
    if name in EDITED:
        assert signatures == {EDITED[name][1]}
    duplicates = 1 - len(hashes) / len(networks)
    print(f"{name}: {duplicates:.1%} of {len(networks)} random proposals are duplicates")
    assert duplicates <= MOST_DUPLICATES.get(name.partition(",")[0], 0.01)


def test_no_proposal_is_out_of_its_declared_range(name: str) -> None:
    space: Any = space_of(name)
    for drawn in proposals(name):
        for label, value in drawn.choices.items():
            assert value in drawn.offered[label]
        # What a space of ours declares in fields of these names, it keeps to.
        blocks = drawn.architecture.blocks
        if (ops := getattr(space, "ops", None)) is not None:
            assert {b.op for b in blocks} <= {*ops, "conv"}
        if (most := getattr(space, "max_repeat", None)) is not None:
            assert max(b.repeat for b in blocks) <= most
        if (activations := getattr(space, "activations", None)) is not None:
            assert {b.arg("activation", "") for b in blocks} <= set(activations)
        if widths := widths_of(space):
            assert {b.channels for b in blocks} <= widths
            assert all(channels % 8 == 0 for channels in widths)


def widths_of(space: Any) -> set[int]:
    """Every width that a space of ours declares; empty for any other."""
    if isinstance(space, SuperResolutionSpace):
        return {*space.widths, *space.reduced_widths}
    if isinstance(space, EncoderDecoderSpace):
        return {width for level in space.widths for width in level}
    if not isinstance(space, MobileSpace):
        return set()
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


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_tried_first_is_among_what_is_offered(name: str) -> None:
    space, offered = space_of(name), {}
    for proposal in proposals(name):
        offered |= proposal.offered
    for start in space.start:
        for label, value in start.items():
            assert label in offered, f"{label} is never asked for"
            assert value in offered[label], label


def test_one_name_is_never_offered_with_two_sets_of_choices(name: str) -> None:
    offered: dict[str, object] = {}
    for proposal in proposals(name):
        for label, choices in proposal.offered.items():
            assert offered.setdefault(label, choices) == choices, label


def test_the_same_choices_give_the_same_network(name: str) -> None:
    for drawn in proposals(name)[: VARIED // 2]:
        again = space_of(name).propose(Replay(drawn.choices))
        assert again == drawn.architecture and again.id == drawn.architecture.id
        back = Architecture.from_json(json.loads(json.dumps(again.to_json())))
        assert back == again and back.id == again.id


def mutated(space: SearchSpace, one: Choices, other: Choices, seed: int) -> Draw:
    return mutate(space, one, seed=seed)


def crossed(space: SearchSpace, one: Choices, other: Choices, seed: int) -> Draw:
    return crossover(space, one, other, seed=seed)


@pytest.mark.parametrize("name", [*WHOLE, "super_resolution, everything"])
@pytest.mark.parametrize("vary", [mutated, crossed])
def test_what_is_varied_stays_inside_the_space(name: str, vary: Callable[..., Draw]) -> None:
    space, parents = space_of(name), proposals(name)
    differs, fewest = 0, 0.9 * VARIED if len(known(name)) > VARIED else 1
    for seed in range(VARIED):
        one, other = parents[seed], parents[-1 - seed]
        child = vary(space, one.choices, other.choices, seed)
        assert all(value in child.offered[label] for label, value in child.choices.items())
        # The space itself, asked for these choices, proposes this very network.
        assert space.propose(Replay(child.choices)) == child.architecture
        assert makes(child.architecture, lower(child.architecture))
        differs += child.architecture.id not in (one.architecture.id, other.architecture.id)
    assert differs > fewest


def known(name: str) -> set[str]:
    return {drawn.architecture.id for drawn in proposals(name)}


def test_some_proposals_are_trained_a_step(name: str) -> None:
    for drawn in proposals(name)[:BUILT]:
        signature = drawn.architecture.signature
        network = build(lower(drawn.architecture), seed=0)
        network_inputs = {
            port.name: torch.rand(1, *port.shape(HEIGHT, WIDTH)) for port in signature.inputs
        }
        made = network(network_inputs)
        outputs = made if isinstance(made, dict) else {signature.outputs[0].name: made}
        for port in signature.outputs:
            assert tuple(outputs[port.name].shape[1:]) == port.shape(HEIGHT, WIDTH)
        sum(output.square().mean() for output in outputs.values()).backward()
        for label, parameter in network.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), label


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_some_proposals_are_files_of_their_ports(name: str, precision: str) -> None:
    for drawn in proposals(name)[:WRITTEN]:
        signature, graph = drawn.architecture.signature, lower(drawn.architecture)
        file = untrained(graph, precision=precision, height=HEIGHT, width=WIDTH)
        model = onnx.load_from_string(file)
        onnx.checker.check_model(model, full_check=True)
        for values, ports in (
            (model.graph.input, signature.inputs), (model.graph.output, signature.outputs),
        ):
            dims = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)
                    for v in values}
            assert dims == {port.name: (1, *port.shape(HEIGHT, WIDTH)) for port in ports}


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

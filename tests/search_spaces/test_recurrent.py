"""The space of networks with a memory: what is carried, where it enters, and what it begins as."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from latency_models.engines.ov import OpenVINOEngine
from runtime.moving import COLOUR, HISTORY, MOTION, REMEMBERED, moving
from runtime.signature import OUTPUT
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture, UnknownName
from search_spaces.draws import draw
from search_spaces.graph import shapes_of
from search_spaces.modules import build, weights_of
from search_spaces.onnx_writer import write
from search_spaces.primitives import Warp
from search_spaces.recurrent import RecurrentSpace
from search_spaces.skeletons import lower

SIDE = 16
BLOCKS = (BlockSpec.of("conv", 8), BlockSpec.of("conv", 8))


def network(memory: str = "picture", scale: int = 2, **args: str | bool) -> Architecture:
    chosen = {"base": "nearest", **args}
    return Architecture("recurrent", moving(scale, memory=memory), BLOCKS,
                        tuple(sorted(chosen.items())))


def inputs(architecture: Architecture) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        port.name: torch.rand(1, *port.shape(SIDE, SIDE), generator=generator)
        for port in architecture.signature.inputs
    }


@pytest.mark.parametrize("memory", ["none", "picture", "features"])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_hundred_proposals_are_networks_of_the_signature(memory: str, scale: int) -> None:
    space = RecurrentSpace(scale=scale, memory=memory)
    found = [draw(space, seed=seed).architecture for seed in range(100)]
    assert {one.signature for one in found} == {moving(scale, memory=memory)}
    for one in found:
        graph = lower(one)
        shapes = shapes_of(graph, SIDE, 2 * SIDE)
        assert shapes[graph.outputs[OUTPUT]] == (3, scale * SIDE, 2 * scale * SIDE)
    assert len({lower(one).canonical_hash() for one in found}) > 97


@pytest.mark.parametrize("blend", ["none", "gate", "gates"])
@pytest.mark.parametrize("entry", ["early", "late"])
def test_what_is_remembered_is_the_picture_within_its_bounds(blend: str, entry: str) -> None:
    architecture = network(blend=blend, entry=entry)
    made = build(lower(architecture), seed=0)(inputs(architecture))
    assert torch.equal(made[REMEMBERED], made[OUTPUT].clamp(0, 1))


@pytest.mark.parametrize("scale", [1, 2])
def test_it_begins_near_the_base_where_the_history_is_not_mixed_in(scale: int) -> None:
    architecture = network(scale=scale, blend="none")
    given = inputs(architecture)
    made = build(lower(architecture), seed=0)(given)[OUTPUT]
    base = given[COLOUR].repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert (made - base).abs().mean() < 0.05


def test_a_gate_mixes_the_history_in_at_its_place() -> None:
    """What is left of the picture's own colours is the base; the phases lie where they did."""
    architecture = network(blend="gate")
    given = inputs(architecture)
    given[MOTION] = torch.zeros_like(given[MOTION])
    module = build(lower(architecture), seed=0)
    base = given[COLOUR].repeat_interleave(2, 2).repeat_interleave(2, 3)
    made = module(given)[OUTPUT]
    mixed = (made - base) / (given[HISTORY] - base)
    assert 0.3 < mixed.median() < 0.7 and (mixed - mixed.median()).abs().median() < 0.1


def test_the_history_is_fetched_along_the_motion() -> None:
    architecture = network(blend="gate")
    given = inputs(architecture)
    given[MOTION] = torch.zeros_like(given[MOTION])
    given[MOTION][:, 0] = 1.0
    moved = {**given, HISTORY: given[HISTORY].roll(2, dims=3)}
    module = build(lower(architecture), seed=0)
    still = {**given, MOTION: torch.zeros_like(given[MOTION])}
    one, other = module(moved)[OUTPUT], module(still)[OUTPUT]
    inner = (..., slice(None), slice(10, -10))
    assert (one - other)[inner].abs().max() < 1e-4


def test_nothing_is_warped_where_nobody_asks_for_it() -> None:
    def warps(**args: str | bool) -> int:
        return sum(isinstance(node, Warp) for node in lower(network(**args)).nodes)

    assert (warps(), warps(warped=False)) == (1, 0)
    assert sum(isinstance(n, Warp) for n in lower(network(memory="none")).nodes) == 0


@pytest.mark.parametrize("memory", ["none", "picture", "features"])
@pytest.mark.parametrize("warped", [True, False])
def test_every_input_is_read(memory: str, warped: bool) -> None:
    graph = lower(network(memory=memory, warped=warped))
    readers = graph.consumers()
    assert all(readers[index] for index in graph.inputs.values())


def test_what_cannot_be_is_refused() -> None:
    for memory in ("none", "features"):
        with pytest.raises(InvalidArchitecture, match="only a history that is a picture"):
            lower(network(memory=memory, blend="gates"))
    with pytest.raises(UnknownName, match="blend"):
        lower(network(blend="stirred"))
    with pytest.raises(ValueError, match="cannot be mixed"):
        RecurrentSpace(memory="features", blends=("gate",))
    with pytest.raises(ValueError, match="search_space.scale is 3"):
        RecurrentSpace(scale=3)
    with pytest.raises(ValueError, match="memory is 'all'"):
        replace(RecurrentSpace(), memory="all")


@pytest.mark.parametrize("architecture", [
    network(blend="gates"), network(blend="gate", entry="late", halved=True),
    network(memory="none"), network(memory="features"), network(scale=1, blend="gate"),
    network(warped=False),
], ids=["gates", "halved", "none", "features", "x1", "unwarped"])  # fmt: skip
def test_its_file_gives_what_torch_gives(architecture: Architecture) -> None:
    graph = lower(architecture)
    module = build(graph, seed=0)
    given = inputs(architecture)
    file = write(graph, weights_of(module), height=SIDE, width=SIDE)
    compiled = OpenVINOEngine(threads=1).compile(file, "fp32")
    made = compiled.run([given[port.name].numpy() for port in architecture.signature.inputs])
    with torch.no_grad():
        wanted = module(given)
    for port, array in zip(architecture.signature.outputs, made, strict=True):
        found = wanted if isinstance(wanted, torch.Tensor) else wanted[port.name]
        assert np.abs(array - found.numpy()).max() < 1e-4, port.name

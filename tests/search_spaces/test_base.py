"""Architectures as data: identity, JSON, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from drawn import draw

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture, UnknownName


def small() -> Architecture:
    blocks = (BlockSpec.of("conv", 16, kernel=5), BlockSpec.of("residual", 16, 2))
    args = (("base", "bicubic"), ("skip", True))
    return Architecture("upscaler", one_to_one(3, 3, 2), blocks, args)


def test_the_id_is_the_same_in_every_run_and_on_every_machine() -> None:
    assert small().id == "c2682fdb7c64"


def test_the_id_does_not_depend_on_the_order_of_arguments() -> None:
    one = BlockSpec.of("conv", 8, kernel=3, activation="relu")
    other = BlockSpec.of("conv", 8, activation="relu", kernel=3)
    assert one == other
    assert replace(small(), blocks=(one,)).id == replace(small(), blocks=(other,)).id


@pytest.mark.parametrize(
    "changed",
    [
        replace(small(), signature=one_to_one(3, 3, 3)),
        replace(small(), skeleton="transposed_upscaler"),
        replace(small(), args=(("base", "nearest"), ("skip", True))),
        replace(small(), blocks=small().blocks[::-1]),
        replace(small(), blocks=(small().blocks[0], BlockSpec.of("residual", 16, 3))),
    ],
)
def test_another_network_has_another_id(changed: Architecture) -> None:
    assert changed.id != small().id


@pytest.mark.parametrize("seed", range(20))
def test_an_architecture_comes_back_from_json_as_it_was(seed: int) -> None:
    architecture = draw(seed)
    back = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert back == architecture
    assert back.id == architecture.id


def test_arguments_that_are_not_given_have_a_default() -> None:
    assert small().blocks[0].arg("kernel", 3) == 5
    assert small().blocks[1].arg("kernel", 3) == 3
    assert small().arg("base", "none") == "bicubic"
    assert small().arg("reduction", "none") == "none"


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {k: v for k, v in data.items() if k != key}


def _with(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {**data, **fields}


def _with_block(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {**data, "blocks": [{**data["blocks"][0], **fields}]}


@pytest.mark.parametrize(
    "change",
    [
        *(_without(key) for key in small().to_json()),
        lambda data: [data],
        lambda data: None,
        lambda data: "upscaler",
        _with(blocks=None),
        _with(blocks=["conv"]),
        _with(blocks=[{"op": "conv"}]),
        _with(args=[1]),
        _with(args=None),
        _with(scale="2"),
        _with(scale=0),
        _with(scale=True),
        _with(skeleton=7),
        _with_block(channels=None),
        _with_block(channels=-16),
        _with_block(repeat=1.5),
        _with_block(op=None),
    ],
)
def test_malformed_json_is_an_invalid_architecture(
    change: Callable[[dict[str, Any]], Any],
) -> None:
    with pytest.raises(InvalidArchitecture, match="not an architecture"):
        Architecture.from_json(change(small().to_json()))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    assert str(UnknownName("block", "cnov", ["residual", "conv"])) == (
        "unknown block 'cnov' (did you mean conv?); known: conv, residual"
    )

"""A network keeps its identity on the way through a file, however it was written down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec
from search_spaces.blocks import BLOCKS
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import lower


def _architectures() -> dict[str, Architecture]:
    found = {
        f"reference {name}": reference(name, entry.nearest_scale(2))
        for name, entry in REFERENCES.items()
    }
    for op in BLOCKS:
        blocks = (BlockSpec.of("conv", 8), BlockSpec.of(op, 32, 2, kernel=5, activation="prelu"))
        args = (("base", "bicubic"),)
        found[f"block {op}"] = Architecture("upscaler", one_to_one(3, 3, 2), blocks, args)
    return found


ARCHITECTURES = _architectures()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_comes_back_from_json_with_its_id_and_its_layers(name: str) -> None:
    architecture = ARCHITECTURES[name]
    back = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert back == architecture
    assert back.id == architecture.id
    assert lower(back).canonical_hash() == lower(architecture).canonical_hash()


def _shuffled(data: Any) -> Any:
    """The same JSON with the keys of every object in the other order."""
    if isinstance(data, dict):
        return {key: _shuffled(data[key]) for key in sorted(data, reverse=True)}
    return [_shuffled(entry) for entry in data] if isinstance(data, list) else data


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_order_in_which_it_is_written_down_does_not_matter(name: str) -> None:
    architecture = ARCHITECTURES[name]
    assert Architecture.from_json(_shuffled(architecture.to_json())).id == architecture.id


def test_no_two_of_these_networks_are_one() -> None:
    hashes = {name: lower(one).canonical_hash() for name, one in ARCHITECTURES.items()}
    assert len(set(hashes.values())) == len(hashes)
    assert len({one.id for one in ARCHITECTURES.values()}) == len(hashes)

"""What a primitive refuses to be."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.base import InvalidArchitecture, UnknownName
from search_spaces.primitives import (
    ACTIVATIONS,
    Activation,
    Conv,
    ConvTranspose,
    GroupReduce,
    Resize,
)

LAYERS = [
    (Conv, {"out_channels": 4}),
    (ConvTranspose, {"out_channels": 4, "kernel": (3, 3), "stride": 2}),
    (Activation, {}),
]


@pytest.mark.parametrize(("make", "fields"), LAYERS)
def test_an_unknown_activation_is_refused_when_it_is_written_down(
    make: Any, fields: dict[str, Any]
) -> None:
    with pytest.raises(UnknownName, match="unknown activation 'swash'; known: clip"):
        make((0,), activation="swash", **fields)


@pytest.mark.parametrize(("make", "fields"), LAYERS)
def test_a_leaky_relu_needs_its_slope_and_nothing_else_has_one(
    make: Any, fields: dict[str, Any]
) -> None:
    assert make((0,), activation="leaky_relu", slope=0.05, **fields).slope == 0.05
    with pytest.raises(InvalidArchitecture, match="give one between 0 and 1"):
        make((0,), activation="leaky_relu", **fields)
    for name in set(ACTIVATIONS) - {"leaky_relu", "none"}:
        with pytest.raises(InvalidArchitecture, match="only leaky_relu has one"):
            make((0,), activation=name, slope=0.05, **fields)


def test_an_activation_that_does_nothing_is_refused() -> None:
    with pytest.raises(InvalidArchitecture, match="leave it out"):
        Activation((0,), "none")


@pytest.mark.parametrize("padding", ["same", "loose"])
def test_an_even_kernel_is_refused_because_its_output_would_be_larger(padding: str) -> None:
    with pytest.raises(InvalidArchitecture, match="must be odd"):
        Conv((0,), 4, (3, 4), padding=padding)
    assert Conv((0,), 4, (3, 4), padding="valid").margins == (0, 0)


def test_margins_grow_with_the_distance_of_the_taps() -> None:
    assert Conv((0,), 4, (3, 5)).margins == (1, 2)
    assert Conv((0,), 4, (3, 5), dilation=2).margins == (2, 4)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="unknown padding 'mirror'"):
        Conv((0,), 4, padding="mirror")
    with pytest.raises(UnknownName, match="unknown resize mode 'cubic'; known: bilinear"):
        Resize((0,), 2, "cubic")
    with pytest.raises(UnknownName, match="unknown group reduction 'mean'; known: max, sum"):
        GroupReduce((0,), 2, "mean")


def test_a_margin_that_leaves_the_size_is_taken_and_any_other_refused() -> None:
    assert ConvTranspose((0,), 3, (9, 9), 3, margin=4).margin == 4
    for margin in (2, 5):
        with pytest.raises(InvalidArchitecture, match=f"a margin of {margin} does not fit"):
            ConvTranspose((0,), 3, (9, 9), 3, margin=margin)

"""What a Graph costs, counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    Activation,
    Conv,
    ConvTranspose,
    Flatten,
    GlobalAveragePool,
    Input,
    MaxPool,
)
from search_spaces.work import gmacs, params_of, work_of


def one(make: Any, *, channels: int = 4, **fields: Any) -> Graph:
    """A network of a single primitive."""
    builder = GraphBuilder(channels)
    return builder.finish(builder.add(make, 0, **fields))


def test_the_work_of_a_convolution_is_counted_by_hand() -> None:
    graph = one(Conv, out_channels=8, kernel=(3, 5), groups=2, stride=2, activation="prelu")
    _, work = work_of(graph, 12, 20)
    weights = 8 * 2 * 3 * 5
    assert work.macs == weights * 6 * 10
    assert work.params == weights + 8 + 8
    assert work.elements == 4 * 12 * 20 + 8 * 6 * 10 + weights


def test_a_transposed_convolution_spreads_every_input_pixel_once() -> None:
    graph = one(ConvTranspose, out_channels=3, kernel=(9, 9), stride=2)
    _, work = work_of(graph, 12, 20)
    assert work.macs == 9 * 9 * 4 * 3 * 12 * 20
    assert work.params == 9 * 9 * 4 * 3 + 3


def test_a_fixed_convolution_works_but_learns_nothing() -> None:
    graph = one(Conv, out_channels=16, kernel=(5, 5), fixed="bicubic", factor=2)
    assert params_of(graph) == 0
    assert gmacs(graph, 100, 100) == pytest.approx(16 * 4 * 25 * 1e4 / 1e9)


def test_a_dilated_convolution_costs_what_a_dense_one_does() -> None:
    dense, dilated = (one(Conv, out_channels=8, dilation=d) for d in (1, 2))
    assert work_of(dilated, 12, 20) == work_of(dense, 12, 20)


def test_a_slope_per_channel_is_learned_and_no_multiply_add() -> None:
    _, work = work_of(one(Activation, activation="prelu"), 12, 20)
    assert (work.macs, work.params, work.elements) == (0, 4, 2 * 4 * 12 * 20)


def test_pooling_reads_and_writes_and_multiplies_nothing() -> None:
    _, work = work_of(one(MaxPool, factor=2), 12, 20)
    assert (work.macs, work.params, work.elements) == (0, 0, 4 * 12 * 20 + 4 * 6 * 10)


def test_a_classifier_counts_its_last_layer_once_whatever_the_image_is() -> None:
    graph = Graph(
        (Input((), 4), GlobalAveragePool((0,)), Conv((1,), 10, (1, 1)), Flatten((2,)))
    )
    assert gmacs(graph, 8, 8) == gmacs(graph, 64, 64) == 40 / 1e9
    assert params_of(graph) == 4 * 10 + 10


def test_parameters_are_counted_without_an_image_that_would_have_to_divide() -> None:
    graph = one(Conv, out_channels=8, stride=32)
    assert params_of(graph) == 8 * 4 * 9 + 8

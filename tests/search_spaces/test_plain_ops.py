"""Primitives without weights, on tensors whose results are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from search_spaces.plain_ops import activate, run_plain, space_to_depth
from search_spaces.primitives import (
    ACTIVATIONS,
    ChannelShuffle,
    Flatten,
    GlobalAveragePool,
    GroupReduce,
    GroupSoftmax,
    MaxPool,
    Multiply,
    Primitive,
    ResizeLike,
    Slice,
    SoftPool,
)

X = (-4.0, -0.5, 0.0, 0.5, 7.0)
EXPECTED = {
    "none": X,
    "relu": (0.0, 0.0, 0.0, 0.5, 7.0),
    "relu6": (0.0, 0.0, 0.0, 0.5, 6.0),
    "clip": (0.0, 0.0, 0.0, 0.5, 1.0),
    "leaky_relu": (-0.4, -0.05, 0.0, 0.5, 7.0),
    "prelu": (-0.8, -0.1, 0.0, 0.5, 7.0),
    "tanh": tuple(math.tanh(x) for x in X),
    "sigmoid": tuple(1 / (1 + math.exp(-x)) for x in X),
    "silu": tuple(x / (1 + math.exp(-x)) for x in X),
    "gelu": tuple(0.5 * x * (1 + math.erf(x / 2**0.5)) for x in X),
    "hardsigmoid": tuple(min(1.0, max(0.0, x / 6 + 0.5)) for x in X),
    "hardswish": tuple(x * min(1.0, max(0.0, x / 6 + 0.5)) for x in X),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name: str) -> None:
    slope = torch.tensor([0.2]) if name == "prelu" else 0.1
    assert activate(torch.tensor(X), name, slope).tolist() == pytest.approx(
        EXPECTED[name], abs=1e-6
    )


def test_groups_are_whole_runs_of_channels() -> None:
    x = torch.tensor([1.0, 20.0, 3.0, 4.0, 5.0, 6.0]).view(1, 6, 1, 1)
    # Three groups of two: (1, 20), (3, 4), (5, 6).
    largest = run_plain(GroupReduce((0,), 3, "max"), [x]).flatten().tolist()
    assert largest == [5.0, 20.0]
    assert run_plain(GroupReduce((0,), 3, "sum"), [x]).flatten().tolist() == [9.0, 30.0]
    share = run_plain(GroupSoftmax((0,), 3), [x]).view(3, 2)
    assert share.sum(0).tolist() == pytest.approx([1.0, 1.0])
    assert float(share[2, 0] / share[0, 0]) == pytest.approx(math.exp(4.0), rel=1e-5)
    shuffled = run_plain(ChannelShuffle((0,), 3), [x]).flatten().tolist()
    assert shuffled == [1.0, 3.0, 5.0, 20.0, 4.0, 6.0]


def test_a_slice_leaves_the_channel_at_its_end_out() -> None:
    x = torch.arange(4.0).view(1, 4, 1, 1)
    assert run_plain(Slice((0,), 1, 3), [x]).flatten().tolist() == [1.0, 2.0]


def test_a_soft_maximum_lies_between_the_mean_and_the_maximum() -> None:
    x = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 1, 2, 2)
    expected = sum(v * math.exp(v) for v in range(4)) / sum(math.exp(v) for v in range(4))
    assert float(run_plain(SoftPool((0,), 2), [x])) == pytest.approx(expected, rel=1e-6)


def test_windows_may_overlap() -> None:
    x = torch.arange(5.0).view(1, 1, 1, 5).expand(1, 1, 3, 5)
    assert run_plain(MaxPool((0,), 1, 3), [x]).flatten().tolist() == [2.0, 3.0, 4.0]


def test_a_pooled_gate_multiplies_whole_channels() -> None:
    x = torch.stack([torch.full((2, 2), 2.0), torch.full((2, 2), 3.0)])[None]
    mean = run_plain(GlobalAveragePool((0,)), [x])
    assert run_plain(Flatten((0,)), [mean]).tolist() == [[2.0, 3.0]]
    assert run_plain(Multiply((0, 1)), [x, mean])[0, :, 0, 0].tolist() == [4.0, 9.0]


def test_a_tensor_is_enlarged_to_any_size() -> None:
    small, large = torch.rand(1, 2, 3, 4), torch.zeros(1, 5, 7, 11)
    assert run_plain(ResizeLike((0, 1)), [small, large]).shape == (1, 2, 7, 11)


def test_space_to_depth_puts_the_pixel_before_the_channel() -> None:
    x = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    y = space_to_depth(x, 2)
    assert y.shape == (1, 8, 2, 2)
    for i in range(2):
        for j in range(2):
            for c in range(2):
                assert torch.equal(y[0, (i * 2 + j) * 2 + c], x[0, c, i::2, j::2])


def test_a_primitive_without_a_torch_reading_is_named() -> None:
    @dataclass(frozen=True)
    class Warp(Primitive):
        pass

    with pytest.raises(TypeError, match="Warp has no torch reading"):
        run_plain(Warp((0,)), [torch.zeros(1)])

"""The numbers of a network by name, as the ONNX writer takes them: drawn, or of fixed kernels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from search_spaces.fixed_kernels import phases
from search_spaces.graph import Graph, channels_of
from search_spaces.primitives import (
    Conv,
    ConvTranspose,
)

Weights = Mapping[str, NDArray[np.float32]]


def random_weights(graph: Graph, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Kaiming-scaled weights and non-zero biases: nothing that a compiler could fold away."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}
    channels = channels_of(graph.nodes)
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Conv) and node.fixed:
            weights |= fixed_weights(index, node, channels[node.inputs[0]])
            continue
        if isinstance(node, Conv | ConvTranspose):
            shape = weight_shape(node, channels[node.inputs[0]])
            fan_in = shape[1] * shape[2] * shape[3]
            scale = np.float32((2.0 / fan_in) ** 0.5)
            weights[f"n{index}.weight"] = rng.standard_normal(shape, dtype=np.float32) * scale
            if node.bias:
                biases = rng.uniform(0.01, 0.1, node.out_channels)
                weights[f"n{index}.bias"] = biases.astype("f4")
        if getattr(node, "activation", "") == "prelu":
            slopes = rng.uniform(0.1, 0.3, channels[index])
            weights[f"n{index}.slope"] = slopes.astype("f4")
    return weights


def weight_shape(node: Conv | ConvTranspose, in_channels: int) -> tuple[int, int, int, int]:
    """Weight shape in ONNX's and torch's layout: (C_out, C_in/g, kh, kw), transposed in Deconv."""
    if isinstance(node, ConvTranspose):
        return (in_channels, node.out_channels, *node.kernel)
    return (node.out_channels, in_channels // node.groups, *node.kernel)


def fixed_weights(index: int, node: Conv, in_channels: int) -> dict[str, NDArray[np.float32]]:
    """The constants of a fixed upsampling convolution."""
    weight = phases(node.fixed, node.factor, in_channels, node.groups)
    bias = np.full(node.out_channels, node.offset, np.float32)
    return {f"n{index}.weight": weight, f"n{index}.bias": bias}

"""2:4 sparsity: of every four weights in a row at least two are zero, which some GPUs skip.

The row runs along the input channels, for each output channel and each place of the kernel: what
TensorRT asks of a convolution before it takes sparse tensor cores (Ampere and later, with its
`SPARSE_WEIGHTS` flag). Whether that is faster for a network is for its measured latency to say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search_spaces.graph import Graph, channels_of
from search_spaces.primitives import Conv
from search_spaces.weights import Weights

_ROW, _NONZERO = 4, 2


def can_be_sparse(graph: Graph) -> list[int]:
    """The layers whose input channels come in whole rows of four."""
    channels = channels_of(graph.nodes)
    return [
        index
        for index, node in enumerate(graph.nodes)
        if isinstance(node, Conv)
        and not node.fixed
        and (channels[node.inputs[0]] // node.groups) % _ROW == 0
    ]


def two_of_four(weight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The two largest magnitudes of every four along axis 1: (C_out, C_in, kh, kw), same shape.

    Source: Mishra et al., "Accelerating sparse deep neural networks", 2021.

    Raises:
        ValueError: the input channels are no multiple of four.
    """
    if weight.shape[1] % _ROW:
        raise ValueError(f"{weight.shape[1]} input channels do not come in rows of {_ROW}")
    rows = np.moveaxis(np.abs(weight), 1, -1).reshape(-1, _ROW)
    order = np.argsort(-rows, axis=1, kind="stable")
    mask = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(mask, order[:, :_NONZERO], True, axis=1)
    shape = np.moveaxis(weight, 1, -1).shape
    return np.ascontiguousarray(np.moveaxis(mask.reshape(shape), -1, 1))


def sparsity_masks(graph: Graph, weights: Weights) -> dict[int, NDArray[np.bool_]]:
    """The mask of every layer that can be sparse, by node."""
    return {index: two_of_four(weights[f"n{index}.weight"]) for index in can_be_sparse(graph)}


def is_sparse(weight: NDArray[np.float32]) -> bool:
    """Whether a weight (C_out, C_in, kh, kw) has the pattern."""
    if weight.shape[1] % _ROW:
        return False
    rows = np.moveaxis(weight, 1, -1).reshape(-1, _ROW)
    return bool(((rows != 0).sum(1) <= _NONZERO).all())

"""Round a layer's weights so that its sums come out right, not each weight by itself.

Rounded one by one, the weights of a filter are each off by up to half a step, and what they pass
on of a picture's brightness adds up. Weights that are rounded later can take the error of those
before them: what counts is the error of the sums over the inputs that occur,

    (w - q)^T H (w - q),    H: covariance of the inputs,

which Frantar et al., "OPTQ" (ICLR 2023), make small one weight after the other. Here every
filter's scale is chosen by the same measure: of several the one that leaves least. H includes
what rounding adds to the inputs themselves, a twelfth of the squared step for each: else features
that hardly vary apart from others are given large weights against each other, and all that these
then weigh is rounding (FSRCNN trained here lost 2.1 dB so, and loses 0.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from search_spaces.graph import Graph
from search_spaces.layers import WeightedLayer
from search_spaces.modules import Arrays, Network, as_tensors
from search_spaces.primitives import ConvTranspose
from search_spaces.quantize import Placement, weight_axis, whole_step
from search_spaces.transposed import taps

_DAMPING = 1e-4
"""Share of each input's variance that is added to it, should inputs never differ."""
_SHARES = (0.8, 1.2, 33)
"""Scales that are tried, as shares of the one that just holds the largest weight."""
_SMALLEST = 1e-8


def round_weights(
    network: Network, placement: Placement, inputs: Sequence[Arrays]
) -> dict[int, NDArray[np.float32]]:
    """Put the weights of int8 layers on a grid, in place; biases take up the mean of the rest.

    Args:
        network: without branches and normalization.
        placement: which layers are to be int8. Fixed kernels that are exact there stay.
        inputs: calibration inputs, each by port or (N, C, h, w); without any nothing changes.

    Returns:
        The step of each filter's grid by layer, (C_out,); empty without inputs.
    """
    if not inputs:
        return {}
    seen = _look(network, placement, inputs)
    return {
        index: _round_layer(
            network.weighted(index), found, placement.weight_max, weight_axis(network.graph, index)
        )
        for index, found in seen.items()
    }


@dataclass(frozen=True)
class _Inputs:
    """What a layer reads over all places of its kernel, n values in each group.

    Attributes:
        means: (groups, n).
        covariance: (groups, n, n), with their own rounding in it; the second moment where no
            bias can make up for a mean.
    """

    means: Tensor
    covariance: Tensor


def _look(
    network: Network, placement: Placement, pictures: Sequence[Arrays]
) -> dict[int, _Inputs]:
    """What int8 layers read while the network runs over the pictures, twice."""
    layers = [i for i in sorted(placement.layers) if not _is_exact(network, placement, i)]
    sources = {index: network.graph.nodes[index].inputs[0] for index in layers}

    def patches() -> Iterator[tuple[int, Tensor]]:
        for picture in pictures:
            values = network.values(as_tensors(picture))
            for index in layers:
                yield index, _patches(network.weighted(index), values[sources[index]])

    sums, counts = dict.fromkeys(layers, torch.zeros(())), dict.fromkeys(layers, 0)
    products, peaks = dict.fromkeys(layers, torch.zeros(())), dict.fromkeys(layers, 0.0)
    with torch.no_grad():
        for index, seen in patches():
            sums[index] = sums[index] + seen.sum(2).double()
            counts[index] += seen.shape[2]
            peaks[index] = max(peaks[index], float(seen.abs().max()))
        means = {index: sums[index][:, :, None] / counts[index] for index in layers}
        for index, seen in patches():
            # Centred before it is multiplied: texture is lost beside a bright mean.
            centred = seen - means[index].float()
            product = (centred @ centred.transpose(1, 2)).double()
            products[index] = products[index] + product / counts[index]
    for index, mean in means.items():
        if network.weighted(index).bias is None:
            products[index] = products[index] + mean @ mean.transpose(1, 2)
    for index, product in products.items():
        added = _rounding_noise(network.graph, placement, sources[index], peaks[index])
        product.diagonal(dim1=1, dim2=2).add_(added)
    return {index: _Inputs(means[index][:, :, 0], products[index]) for index in layers}


def _is_exact(network: Network, placement: Placement, index: int) -> bool:
    weight = network.weighted(index).weight.detach().numpy()
    return whole_step(network.graph.nodes[index], weight, placement.weight_max) is not None


def _rounding_noise(graph: Graph, placement: Placement, tensor: int, peak: float) -> float:
    """The variance that rounding adds to each value of a tensor with this largest magnitude."""
    if tensor not in placement.tensors or placement.exact_step(graph, tensor) is not None:
        return 0.0
    return (peak / placement.levels(tensor)[1]) ** 2 / 12


def _patches(layer: WeightedLayer, image: Tensor) -> Tensor:
    """What one application of the kernel reads, (groups, n, places)."""
    node, groups = layer.node, 1
    if isinstance(node, ConvTranspose):
        rows, columns = taps(node, 1).shape[2:]
        found = functional.unfold(image, (rows, columns), padding=(rows // 2, columns // 2))
    else:
        groups = node.groups
        found = functional.unfold(image, node.kernel, node.dilation, node.margins, node.stride)
    return found.transpose(0, 1).reshape(groups, found.shape[1] // groups, -1)


def _filters(layer: WeightedLayer) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Weights that read the same inputs.

    Yields:
        The group; the places of these weights in the flattened weight, (rows, m); which of the
        group's n inputs they read, (m,).
    """
    weight, node = layer.weight, layer.node
    if isinstance(node, ConvTranspose):
        phases = torch.from_numpy(taps(node, weight.shape[0])).flatten(1)
        for phase in range(node.stride**2):
            rows = phases[phase :: node.stride**2]
            (read,) = torch.nonzero(rows[0] >= 0, as_tuple=True)
            yield 0, rows[:, read], read
        return
    places = torch.arange(weight.numel()).view(node.groups, -1, weight[0].numel())
    for group, rows in enumerate(places):
        yield group, rows, torch.arange(rows.shape[1])


def _round_layer(
    layer: WeightedLayer, inputs: _Inputs, top: int, axis: int
) -> NDArray[np.float32]:
    weight = layer.weight.detach().double()
    shape = [-1 if a == axis else 1 for a in range(weight.ndim)]
    peaks = weight.abs().amax([a for a in range(weight.ndim) if a != axis]).clamp(min=_SMALLEST)
    first, last, count = _SHARES
    tried = torch.linspace(first, last, count, dtype=weight.dtype)[:, None] * peaks / top
    filter_of = torch.arange(len(peaks)).view(shape).expand_as(weight).flatten()
    errors = torch.zeros_like(tried)
    rounded = weight.flatten().repeat(count, 1)
    for group, places, read in _filters(layer):
        steps = tried[:, filter_of[places[:, 0]]]
        covariance = inputs.covariance[group][read][:, read]
        found, error = _round_filters(weight.flatten()[places], covariance, steps, top)
        errors.index_add_(1, filter_of[places[:, 0]], error)
        rounded[:, places.flatten()] = found.flatten(1)
    best = errors.argmin(0)
    chosen = rounded.gather(0, best[filter_of][None])[0]
    off, moved, times = weight.flatten() - chosen, torch.zeros_like(peaks), 0
    for group, places, read in _filters(layer):
        moved.index_add_(0, filter_of[places[:, 0]], off[places] @ inputs.means[group][read])
        times += len(places)
    with torch.no_grad():
        layer.weight.copy_(chosen.view_as(weight))
        if layer.bias is not None:
            layer.bias.add_(moved * len(peaks) / times)
    steps_of: NDArray[np.float32] = tried.gather(0, best[None])[0].float().numpy()
    return steps_of


def _round_filters(
    weight: Tensor, covariance: Tensor, steps: Tensor, top: int
) -> tuple[Tensor, Tensor]:
    """Round with each of several steps.

    Args:
        weight: (rows, n).
        covariance: of the inputs, (n, n).
        steps: (tried, rows).
        top: the largest integer.

    Returns:
        The rounded weights (tried, rows, n), and the errors of their sums (tried, rows).
    """
    size = len(covariance)
    variances = covariance.diagonal()
    order = variances.argsort(descending=True)
    damping = (_DAMPING * variances).clamp(min=_SMALLEST * max(1.0, float(variances.max())))
    damped = (covariance + torch.diag(damping))[order][:, order]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    passes_on = torch.linalg.cholesky(inverse, upper=True)
    rest = weight[:, order].repeat(len(steps), 1, 1)
    made = torch.empty_like(rest)
    for i in range(size):
        made[..., i] = (rest[..., i] / steps).round().clamp(-top, top) * steps
        error = (rest[..., i] - made[..., i]) / passes_on[i, i]
        rest[..., i + 1 :] -= error[..., None] * passes_on[i, i + 1 :]
    made = made[..., order.argsort()]
    off = weight - made
    return made, ((off @ covariance) * off).sum(-1)

"""Share the work of rounding between a tensor and the weights that read it, before int8.

A channel may be made s times smaller by the layer that writes it and s times larger by the one
that reads it: with a ReLU, a PReLU or nothing in between the network stays exactly what it was
(Nagel et al., "Data-Free Quantization", ICCV 2019; Xiao et al., "SmoothQuant", ICML 2023).
Rounded it is not: one scale serves a whole tensor, and one all weights of a filter. Where a
picture passes through a stack, one weight of a filter is near 1 and the others are hardly more
than one step; the channels that these read can be small, and they large.

Both papers set s by a formula of the largest values. Here it minimises the error itself that
rounding adds to the reader's sums, with rounding as noise of step^2 / 12:

    sum over outputs o of v_o * ( T^2 * sum_c s_c^2 |w_oc|^2  +  W_o^2 * sum_c n_c m_c / s_c^2 )

T is the tensor's step, W_o the filter's, m_c the mean square of channel c, n_c the weights that
read it, and v_o the mean squared derivative of the network's output by output o.

Features that a head reads beside the picture have the picture's step, 1/255: there T is given, and
no channel may be larger than the picture's levels reach.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search_spaces.graph import Graph
from search_spaces.input_ends import joined_heads
from search_spaces.layers import WeightedLayer
from search_spaces.modules import Arrays, Network, as_tensors
from search_spaces.primitives import Conv, ConvTranspose
from search_spaces.quantize import INT8_MAX, UINT8_MAX, Placement

_PASS_FACTORS = ("none", "relu", "prelu", "leaky_relu")
_MOST = 32.0
_STEPS, _RATE = 300, 0.05
_EMPTY = 1e-6


@dataclass(frozen=True)
class _Tensor:
    """What calibration saw of a tensor, per channel.

    Attributes:
        peak: the largest magnitude.
        power: the mean square.
        influence: the mean squared derivative of the output by it, summed over the output.
    """

    peak: Tensor
    power: Tensor
    influence: Tensor


def equalize(
    network: Network, placement: Placement, inputs: Sequence[Arrays]
) -> None:
    """Rescale channels between layers of a folded network, in place; its output stays the same.

    Args:
        network: without branches and normalization.
        placement: which tensors and layers will be int8.
        inputs: calibration inputs, each by port or (N, C, h, w); without any nothing changes.
    """
    pairs = _pairs(network, placement)
    if not pairs or not inputs:
        return
    sources = {reader: network.graph.nodes[reader].inputs[0] for _, reader in pairs}
    watched = {*sources.values(), *(index for pair in pairs for index in pair)}
    seen = _watch(network, watched, inputs)
    for writer, reader in pairs:
        if sources[reader] != writer:
            places = (writer, sources[reader], reader)
            _fit_beside_picture(network, placement, seen, places)
            continue
        top = UINT8_MAX if placement.zero_points.get(writer) == 0 else INT8_MAX
        weight, steps = _by_input(network.weighted(reader)), (top, placement.weight_max)
        factors = _least_noise(seen[writer], weight, seen[reader].influence, steps)
        _move(network.weighted(writer), network.weighted(reader), factors)


def _pairs(network: Network, placement: Placement) -> list[tuple[int, int]]:
    """Learned layers that nothing stands between, whose tensor nobody else reads or scales."""
    graph, readers = network.graph, network.graph.consumers()
    owners, found = list(placement.tensors.values()), []
    learned = {
        index
        for index, node in enumerate(graph.nodes)
        if isinstance(node, Conv | ConvTranspose) and network.weighted(index).learned
    }
    for index in sorted(learned & set(placement.tensors)):
        passes = network.weighted(index).node.activation in _PASS_FACTORS
        alone = owners.count(placement.tensors[index]) == 1 and len(readers[index]) == 1
        if passes and alone and readers[index][0] in learned & placement.layers:
            found.append((index, readers[index][0]))
        head = _head_over(graph, index, readers)
        if passes and head in placement.layers and placement.exact_step(graph, index) is not None:
            found.append((index, head))
    return found


def _head_over(graph: Graph, index: int, readers: list[list[int]]) -> int:
    """The head that reads this layer beside the picture; -1 where there is none."""
    if len(readers[index]) != 1 or (joined := readers[index][0]) not in joined_heads(graph):
        return -1
    first = graph.nodes[joined].inputs[0] == index
    return readers[joined][0] if first and len(readers[joined]) == 1 else -1


def _fit_beside_picture(
    network: Network, placement: Placement, seen: Mapping[int, _Tensor],
    places: tuple[int, int, int],
) -> None:
    """Rescale a layer's channels to what the picture's levels reach, as little as is best."""
    writer, joined, reader = places
    step = placement.exact_step(network.graph, writer)
    assert step is not None
    highest = step * placement.levels(writer)[1]
    weight, both = _by_input(network.weighted(reader)), seen[joined]
    count, steps = len(seen[writer].peak), (INT8_MAX, placement.weight_max)
    least = torch.zeros_like(both.peak)
    least[:count] = (seen[writer].peak / highest).clamp(min=_EMPTY).log()
    own = torch.arange(len(least)) < count
    factors = _least_noise(
        both, weight, seen[reader].influence, steps, given=_Given(step, least, own)
    )
    _move(network.weighted(writer), network.weighted(reader), factors)


def _watch(
    network: Network, watched: Collection[int], inputs: Sequence[Arrays]
) -> dict[int, _Tensor]:
    """Run the float network on each input, and back from outputs of random sign.

    Over such signs the squared derivative of their sum is the sum of the squared derivatives
    (M. F. Hutchinson, Commun. Stat. Simul. Comput. 19, 1990).
    """
    random = torch.Generator().manual_seed(0)
    seen: dict[int, list[_Tensor]] = {index: [] for index in watched}
    for image in inputs:
        with torch.enable_grad():
            values = network.values(as_tensors(image))
            ends = [values[index] for index in network.graph.outputs.values()]
            signs = [torch.randint(0, 2, e.shape, generator=random) * 2.0 - 1.0 for e in ends]
            total = sum((e * sign).sum() for e, sign in zip(ends, signs, strict=True))
            assert isinstance(total, Tensor)
            tensors = [values[index] for index in seen]
            slopes = torch.autograd.grad(total, tensors)
        for index, made, slope in zip(seen, tensors, slopes, strict=True):
            power, influence = (t.detach().square().mean(dim=(0, 2, 3)) for t in (made, slope))
            seen[index].append(_Tensor(made.detach().abs().amax(dim=(0, 2, 3)), power, influence))
    return {
        index: _Tensor(
            torch.stack([one.peak for one in found]).amax(0),
            torch.stack([one.power for one in found]).mean(0),
            torch.stack([one.influence for one in found]).mean(0),
        )
        for index, found in seen.items()
    }


def _by_input(layer: WeightedLayer) -> Tensor:
    """Weights as (outputs, inputs, taps), zero where a group does not read."""
    weight, node = layer.weight.detach(), layer.node
    if isinstance(node, ConvTranspose):
        return weight.flatten(2).transpose(0, 1)
    out, per_group = weight.shape[:2]
    dense = weight.new_zeros(out, per_group * node.groups, weight[0, 0].numel())
    for group in range(node.groups):
        rows = slice(group * out // node.groups, (group + 1) * out // node.groups)
        dense[rows, group * per_group : (group + 1) * per_group] = weight[rows].flatten(2)
    return dense


@dataclass(frozen=True)
class _Given:
    """A tensor whose step is given.

    Attributes:
        least: logarithms of the least factors, (channels,).
        free: which channels may be rescaled at all, (channels,).
    """

    step: float
    least: Tensor
    free: Tensor


def _least_noise(
    seen: _Tensor, weight: Tensor, values: Tensor, steps: tuple[int, int],
    given: _Given | None = None,
) -> Tensor:
    """The factors (channels,) that channels are divided by."""
    tensor_top, weight_top = steps
    peaks, energy = weight.abs().amax(2), weight.square().sum(2)
    taps = (weight != 0).sum(2)
    used = (seen.peak > _EMPTY) & (peaks.amax(0) > _EMPTY)
    logs = torch.zeros_like(seen.peak)
    if given is not None:
        used = used & given.free
        logs = torch.maximum(logs, given.least) * used
    logs.requires_grad_()

    def noise() -> Tensor:
        factors = logs.exp()
        tensor_step = (seen.peak / factors).amax() / tensor_top
        if given is not None:
            tensor_step = torch.full_like(tensor_step, given.step)
        weight_steps = (peaks * factors).amax(1) / weight_top
        by_tensor = tensor_step.square() * (energy * factors.square()).sum(1)
        by_weights = weight_steps.square() * (taps * seen.power / factors.square()).sum(1)
        return (values * (by_tensor + by_weights)).sum().log()

    best, least = logs.detach().clone(), float("inf")
    optimizer = torch.optim.Adam([logs], lr=_RATE)
    limit = float(np.log(_MOST))
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = noise()
        if (found := loss.item()) < least:
            best, least = logs.detach().clone(), found
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            logs.clamp_(-limit, limit)
            if given is not None:
                logs.clamp_(min=given.least)
            logs.mul_(used)
    return best.exp()


def _move(writer: WeightedLayer, reader: WeightedLayer, factors: Tensor) -> None:
    with torch.no_grad():
        made = factors[: writer.node.out_channels]
        transposed = isinstance(writer.node, ConvTranspose)
        writer.weight.div_(made.view(1, -1, 1, 1) if transposed else made.view(-1, 1, 1, 1))
        if writer.bias is not None:
            writer.bias.div_(made)
        node, weight = reader.node, reader.weight
        if isinstance(node, ConvTranspose):
            weight.mul_(factors.view(-1, 1, 1, 1))
            return
        grouped = weight.view(node.groups, -1, *weight.shape[1:])
        grouped.mul_(factors.view(node.groups, 1, -1, 1, 1))

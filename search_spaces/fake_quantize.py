"""Prepare a network for quantization-aware training and read its learned scales back.

Learned step sizes after Esser et al., "Learned Step Size Quantization" (ICLR 2020): the scale is
a parameter, its gradient passes through rounding as if it were the identity and is divided by
sqrt(elements * 127). Scales are kept as logarithms, so that they stay positive.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.equalize import equalize
from search_spaces.modules import Network, fold, load_weights, weights_of
from search_spaces.onnx_writer import Weights
from search_spaces.primitives import Input, Primitive
from search_spaces.quantize import (
    CPU_RULES,
    INT8_MAX,
    Placement,
    QuantRules,
    Scales,
    first_scale,
    place,
    weight_axis,
    whole_step,
)
from search_spaces.rounding import round_weights

_KEPT = 20_000
"""Values of each batch that calibration looks at."""
_SMALLEST_SHARE, _SHARES = 0.2, 41


class _Round(torch.autograd.Function):
    """Rounding whose gradient is the identity (straight-through estimator)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        return grads[0]


def fake_quantize(x: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """Round to integers in [low, high] times scale, half to even as QuantizeLinear does."""
    rounded: Tensor = _Round.apply(torch.clamp(x / scale, low, high))  # type: ignore[no-untyped-call]
    return rounded * scale


def _slow(scale: Tensor, elements: int) -> Tensor:
    """The same value with its gradient divided by sqrt(elements * 127)."""
    factor = 1.0 / math.sqrt(elements * INT8_MAX)
    return scale * factor + (scale * (1.0 - factor)).detach()


class TensorQuantizer(nn.Module):
    """Fake-quantizes one activation tensor with a learned scale.

    `start_calibration` makes it pass tensors through and keep some of their values;
    `finish_calibration` sets the scale that rounds these with the least squared error. Rare peaks
    are clipped for the sake of all others: by calibration alone published networks lose up to
    30 % less than with the largest value's scale (`docs/training.md`).
    """

    def __init__(self, *, low: int = -INT8_MAX - 1, high: int = INT8_MAX) -> None:
        """Hold multiples of the scale from `low` to `high`."""
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        self._low, self._high = low, high
        self._exact = False
        self._seen: list[Tensor] = []
        self._observing = False

    def fix(self, step: float) -> None:
        """Keep this scale: it holds every value exactly, so there is nothing to learn."""
        with torch.no_grad():
            self.scale.fill_(math.log(step))
        self.scale.requires_grad_(False)
        self._exact = True

    def start_calibration(self) -> None:
        """From now on observe, do not quantize."""
        self._observing, self._seen = True, []

    def finish_calibration(self) -> None:
        """Take the scale from what was observed.

        Raises:
            RuntimeError: nothing was observed.
        """
        if not self._seen:
            raise RuntimeError("calibration saw no data: run the network between start and finish")
        self._observing = False
        if not self._exact:
            scale = _least_error(torch.cat(self._seen), self._low, self._high)
            with torch.no_grad():
                self.scale.copy_(scale.log())
        self._seen = []

    def step(self) -> Tensor:
        """The step size, a positive scalar."""
        return self.scale.exp()

    def forward(self, x: Tensor) -> Tensor:
        if self._observing:
            values = x.detach().flatten()
            some = values[:: max(1, len(values) // _KEPT)]
            self._seen.append(torch.cat([some, torch.stack(values.aminmax())]))
            return x
        return fake_quantize(x, _slow(self.step(), x[0].numel()), self._low, self._high)


def _least_error(values: Tensor, low: int, high: int) -> Tensor:
    """The scale, a fraction of the largest value's, that rounds with the least squared error."""
    lowest, highest = values.aminmax()
    peak = (highest / high).clamp(min=1e-8)
    if low < 0:
        peak = torch.maximum(peak, lowest / low)
    best, least = peak, math.inf
    for share in torch.linspace(_SMALLEST_SHARE, 1.0, _SHARES).tolist():
        scale = peak * share
        rounded = torch.clamp((values / scale).round(), low, high) * scale
        error = float((rounded - values).square().mean())
        if error < least:
            best, least = scale, error
    return best


class QuantizedNetwork(Network):
    """A network that computes as its int8 file will, with gradients to weights and scales.

    Attributes:
        weights_rounded: whether its weights are rounded as its tensors are.
    """

    def __init__(self, network: Network, placement: Placement) -> None:
        """Copy a folded network; each filter's scale just holds its largest weight.

        The scales of fixed kernels that int8 holds exactly are so and stay so.

        Args:
            network: what is quantized.
            placement: where.
        """
        super().__init__(network.graph)
        self.layers = copy.deepcopy(network.layers)
        self.placement = placement
        self.weights_rounded = True
        self.tensors = nn.ModuleDict(
            {f"t{owner}": self._quantizer(owner) for owner in set(placement.tensors.values())}
        )
        self.weight_scales = nn.ParameterDict(
            {f"n{index}": self._initial_scale(index) for index in sorted(placement.layers)}
        )
        self._shifts: dict[int, list[Tensor]] | None = None

    def round_weights(self, inputs: Sequence[NDArray[np.float32]]) -> None:
        """From now on round weights too; they begin where their sums come out right.

        Args:
            inputs: pictures (1, C, h, w) in [0, 1]; without any, weights stay where they are.
        """
        self.weights_rounded = True
        plain = Network(self.graph)
        plain.layers = self.layers
        for index, steps in round_weights(plain, self.placement, inputs).items():
            with torch.no_grad():
                self.weight_scales[f"n{index}"].copy_(torch.from_numpy(steps).log())

    def start_calibration(self) -> None:
        """From now on watch by how much rounded weights move each layer's mean output."""
        self._shifts = {}

    def finish_calibration(self) -> None:
        """Take these means off the biases (Nagel et al., "Data-Free Quantization", ICCV 2019)."""
        for index, shifts in (self._shifts or {}).items():
            bias = self.weighted(index).bias
            if bias is not None:
                with torch.no_grad():
                    bias.sub_(torch.stack(shifts).mean(0))
        self._shifts = None

    def _quantizer(self, owner: int) -> TensorQuantizer:
        low, high = self.placement.levels(owner)
        quantizer = TensorQuantizer(low=low, high=high)
        if (step := self.placement.exact_step(self.graph, owner)) is not None:
            quantizer.fix(step)
        return quantizer

    def _initial_scale(self, index: int) -> nn.Parameter:
        weight, top = self.weighted(index).weight.detach().numpy(), self.placement.weight_max
        scale = torch.from_numpy(first_scale(self.graph, index, weight, top))
        # Nothing to learn on an exact kernel: weights that float arithmetic puts beyond the top
        # by a hair count as clipped, and training would make the ones of a base 0.996 or 1.004.
        exact = whole_step(self.graph.nodes[index], weight, top) is not None
        return nn.Parameter(scale.log(), requires_grad=not exact)

    def values(self, image: Tensor) -> list[Tensor]:
        """What every node gives before its output is rounded."""
        values: list[Tensor] = []
        quantized: dict[int, Tensor] = {}
        for index, node in enumerate(self.graph.nodes):
            sources = [
                quantized[source]
                if self.placement.reads_quantized(self.graph, index, source)
                else values[source]
                for source in node.inputs
            ]
            values.append(image if isinstance(node, Input) else self.step(index, node, sources))
            if index in self.placement.tensors:
                owner = self.placement.tensors[index]
                quantized[index] = self.tensors[f"t{owner}"](values[index])
        return values

    def step(self, index: int, node: Primitive, sources: list[Tensor]) -> Tensor:
        if index not in self.placement.layers or not self.weights_rounded:
            return super().step(index, node, sources)
        layer = self.weighted(index)
        shape = [1] * layer.weight.ndim
        shape[weight_axis(self.graph, index)] = -1
        scale = self.weight_scales[f"n{index}"].exp().view(shape)
        per_channel = layer.weight.numel() // scale.numel()
        top = self.placement.weight_max
        weight = fake_quantize(layer.weight, _slow(scale, per_channel), -top, top)
        made = layer.linear(sources[0], weight)
        if self._shifts is not None and layer.learned:
            moved = (made - layer.linear(sources[0], layer.weight)).detach()
            self._shifts.setdefault(index, []).append(moved.mean(dim=(0, 2, 3)))
        return layer.activate(made)


def prepare(
    network: Network,
    rules: QuantRules = CPU_RULES,
    *,
    keep_float: frozenset[int] = frozenset(),
    inputs: Sequence[NDArray[np.float32]] = (),
    tensors_first: bool = False,
) -> QuantizedNetwork:
    """Return a fake-quantized copy; calibrate it, fine-tune it, then `convert` it.

    Branches and normalization are folded first: what is quantized is what ships.

    Args:
        network: trained.
        rules: what the engine can run in int8.
        keep_float: layers that int8 hurts too much, as nodes of the Graph.
        inputs: pictures (1, C, h, w) in [0, 1]; with some of them channels are equalized first
            (`equalize.py`), and weights begin where their sums come out right (`rounding.py`).
        tensors_first: leave weights in float until its `round_weights` is called.
    """
    placement, folded = place(network.graph, rules, keep_float=keep_float), fold(network)
    equalize(folded, placement, inputs)
    prepared = QuantizedNetwork(folded, placement)
    if tensors_first:
        prepared.weights_rounded = False
    else:
        prepared.round_weights(inputs)
    return prepared


def restore(
    network: Network, placement: Placement, weights: Weights, scales: Scales
) -> QuantizedNetwork:
    """The fake-quantized network that `convert` gave these weights and scales for."""
    restored = QuantizedNetwork(network, placement)
    load_weights(restored, weights)
    with torch.no_grad():
        for index, owner in placement.tensors.items():
            scale = restored.tensors[f"t{owner}"].scale
            assert isinstance(scale, Tensor)
            scale.copy_(torch.tensor(scales.tensors[index]).log())
        for index in placement.layers:
            logarithm = torch.from_numpy(np.array(scales.weights[index])).log()
            restored.weight_scales[f"n{index}"].copy_(logarithm)
    restored.eval()
    return restored


def convert(network: QuantizedNetwork) -> tuple[Weights, Placement, Scales]:
    """The float weights, the placement and the learned scales, as the ONNX writer takes them."""
    steps = {
        name: float(np.float32(quantizer.step().detach()))
        for name, quantizer in network.tensors.items()
        if isinstance(quantizer, TensorQuantizer)
    }
    placement = network.placement
    tensors = {index: steps[f"t{owner}"] for index, owner in placement.tensors.items()}
    weights = {
        index: network.weight_scales[f"n{index}"].detach().exp().numpy()
        for index in placement.layers
    }
    return weights_of(network), placement, Scales(tensors, weights)

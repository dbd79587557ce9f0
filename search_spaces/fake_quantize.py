"""Prepare a network for quantization-aware training and read its learned scales back."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.both_ends import before_activation
from search_spaces.equalize import equalize
from search_spaces.layers import WeightedLayer
from search_spaces.modules import Arrays, Inputs, Network, fold, load_weights, weights_of
from search_spaces.primitives import Primitive
from search_spaces.quantize import (
    CPU_RULES,
    LARGEST_BIAS,
    Placement,
    QuantRules,
    Scales,
    first_scale,
    place,
    weight_axis,
    whole_step,
)
from search_spaces.rounding import round_weights
from search_spaces.tensor_quantizer import TensorQuantizer, fake_quantize, rounded, slow
from search_spaces.weights import Weights


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

    def round_weights(self, inputs: Sequence[Arrays]) -> None:
        """From now on round weights too; they begin where their sums come out right.

        Args:
            inputs: each by port or (N, C, h, w); without any, weights stay where they are.
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
        placement = self.placement
        low, high = placement.levels(owner)
        shifts, most = placement.shifts(self.graph, owner), placement.most_step(owner)
        quantizer = TensorQuantizer(low=low, high=high, most=most, shifts=shifts)
        if (step := placement.exact_step(self.graph, owner)) is not None:
            quantizer.fix(step)
        return quantizer

    def quantizer(self, tensor: int) -> TensorQuantizer:
        """What rounds this quantized tensor, alone or with those that share its scale."""
        found = self.tensors[f"t{self.placement.tensors[tensor]}"]
        assert isinstance(found, TensorQuantizer)
        return found

    def weight_steps(self, index: int) -> Tensor:
        """The scales of an int8 layer's filters, (C_out,).

        Where the bias is rounded none is so small that it would not fit into 32 bits.
        """
        steps: Tensor = self.weight_scales[f"n{index}"].exp()
        bias = self.weighted(index).bias
        if self.placement.ends == "input" or bias is None:
            return steps
        source = self.quantizer(self.graph.nodes[index].inputs[0]).step()
        return torch.maximum(steps, (bias.abs() / source / LARGEST_BIAS).detach())

    def _initial_scale(self, index: int) -> nn.Parameter:
        weight, top = self.weighted(index).weight.detach().numpy(), self.placement.weight_max
        scale = torch.from_numpy(first_scale(self.graph, index, weight, top))
        # Nothing to learn on an exact kernel: weights that float arithmetic puts beyond the top
        # by a hair count as clipped, and training would make the ones of a base 0.996 or 1.004.
        exact = whole_step(self.graph.nodes[index], weight, top) is not None
        return nn.Parameter(scale.log(), requires_grad=not exact)

    def forward(self, inputs: Inputs) -> Tensor | dict[str, Tensor]:
        values, quantized = self._run(inputs)
        return self.named([quantized.get(i, value) for i, value in enumerate(values)])

    def values(self, inputs: Inputs) -> list[Tensor]:
        """What every node gives before its output is rounded."""
        return self._run(inputs)[0]

    def _run(self, inputs: Inputs) -> tuple[list[Tensor], dict[int, Tensor]]:
        given = self.entering(inputs)
        values: list[Tensor] = []
        quantized: dict[int, Tensor] = {}
        for index, node in enumerate(self.graph.nodes):
            sources = [
                quantized[source]
                if self.placement.reads_quantized(self.graph, index, source)
                else values[source]
                for source in node.inputs
            ]
            values.append(given[index] if index in given else self.step(index, node, sources))
            if index in self.placement.tensors:
                quantized[index] = self.quantizer(index)(values[index])
        return values, quantized

    def step(self, index: int, node: Primitive, sources: list[Tensor]) -> Tensor:
        if index not in self.placement.layers:
            return super().step(index, node, sources)
        layer = self.weighted(index)
        made = self._linear(index, layer, sources[0])
        inner = before_activation(index)
        if inner in self.placement.tensors:
            made = self.quantizer(inner)(made)
        return layer.activate(made)

    def _linear(self, index: int, layer: WeightedLayer, x: Tensor) -> Tensor:
        """An int8 layer before its activation."""
        if not self.weights_rounded:
            return layer.linear(x, layer.weight, layer.bias)
        shape = [1] * layer.weight.ndim
        shape[weight_axis(self.graph, index)] = -1
        steps = self.weight_steps(index)
        per_channel = layer.weight.numel() // steps.numel()
        top = self.placement.weight_max
        weight = fake_quantize(layer.weight, slow(steps.view(shape), per_channel), -top, top)
        bias = self._rounded_bias(index, layer, steps)
        made = layer.linear(x, weight, bias)
        if self._shifts is not None and layer.learned:
            moved = (made - layer.linear(x, layer.weight, bias)).detach()
            self._shifts.setdefault(index, []).append(moved.mean(dim=(0, 2, 3)))
        return made

    def _rounded_bias(self, index: int, layer: WeightedLayer, steps: Tensor) -> Tensor | None:
        """The bias as the engine adds it to its sums of integers."""
        source = self.graph.nodes[index].inputs[0]
        if layer.bias is None or self.placement.ends == "input" or self._shifts is not None:
            return layer.bias
        step = (self.quantizer(source).step() * steps).detach()
        return rounded(layer.bias / step) * step


def prepare(
    network: Network,
    rules: QuantRules = CPU_RULES,
    *,
    keep_float: frozenset[int] = frozenset(),
    inputs: Sequence[Arrays] = (),
    tensors_first: bool = False,
) -> QuantizedNetwork:
    """Return a fake-quantized copy; calibrate it, fine-tune it, then `convert` it.

    Branches and normalization are folded first: what is quantized is what ships.

    Args:
        network: trained.
        rules: what the engine can run in int8.
        keep_float: layers that int8 hurts too much, as nodes of the Graph.
        inputs: each by port or (N, C, h, w); with some of them channels are equalized first
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
            quantizer = restored.quantizer(owner)
            quantizer.scale.copy_(torch.tensor(scales.tensors[index]).log())
            if index in scales.zero_points:
                quantizer.shift(scales.zero_points[index])
        for index in placement.layers:
            logarithm = torch.from_numpy(np.array(scales.weights[index])).log()
            restored.weight_scales[f"n{index}"].copy_(logarithm)
    restored.eval()
    return restored


def convert(network: QuantizedNetwork) -> tuple[Weights, Placement, Scales]:
    """The float weights, the placement and the learned scales, as the ONNX writer takes them."""
    placement, quantizer = network.placement, network.quantizer
    # A picture's scale to the last bit: engines join tensors of one scale by copying them.
    exact = {i: placement.exact_step(network.graph, i) for i in placement.tensors}
    tensors = {i: float(np.float32(e or quantizer(i).step().detach())) for i, e in exact.items()}
    moved = {i: quantizer(i).zero_point for i in placement.tensors}
    zero_points = {i: zero_point for i, zero_point in moved.items() if zero_point is not None}
    weights = {index: network.weight_steps(index).detach().numpy() for index in placement.layers}
    return weights_of(network), placement, Scales(tensors, weights, zero_points)

"""Where Q/DQ pairs belong on a Graph, and the scales that go there. Pure data, no torch.

The rules are TensorRT's recommendations for explicit quantization: quantize all inputs of
weighted layers (data per tensor, weights per output channel), nothing between a convolution and
its activation, the skip input of a residual Add, one scale per tensor, one shared scale for
everything a quantized Concat joins; symmetric, zero point 0. CPU engines also take uint8, which
gives tensors without negative values (the picture, whatever a ReLU made) twice the levels.
https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html
ONNX Runtime wants what layers give quantized as well (`both_ends.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.pictures import IO
from search_spaces.both_ends import quantized_ends
from search_spaces.graph import Graph, channels_of
from search_spaces.input_ends import joined_heads, quantized_inputs, unsigned
from search_spaces.primitives import (
    Add,
    Concat,
    Conv,
    ConvTranspose,
    Input,
    Primitive,
    Shift,
)
from search_spaces.transposed import runs_as_convolution

FloatType = Literal["fp32", "fp16"]
PReLUForm = Literal["operator", "arithmetic"]
LayerEnds = Literal["input", "both"]
INT8_MAX = 127
UINT8_MAX = 255
LARGEST_BIAS = 2.0**30
"""Largest integer of a bias: half of what 32 bits hold, the other half is left to the sum."""
_WHOLE = 1e-3
_JUST_BELOW = 1.0 - 1e-6
NOMINAL_SCALE = 0.02
_APART = 1e-4


@dataclass(frozen=True)
class QuantRules:
    """What an engine can run in int8.

    Attributes:
        channels_per_group: a grouped convolution stays float unless its channels per group are
            a multiple of this (TensorRT documents 4 for IConvolutionLayer; CPU engines have
            int8 depthwise kernels, 1).
        transposed: whether transposed convolutions are quantized.
        weight_max: largest integer of a weight. 127, but 64 on x86 processors without VNNI:
            there int8 kernels add pairs of u8 x s8 products in 16 bits, which saturate
            (2 * 255 * 127 > 32767) and give wrong pictures without any error. See oneDNN,
            "Nuances of int8 Computations".
        float_type: the type of what is not int8. TensorRT builds exactly the types in the file,
            and fp32 between int8 layers is slower than fp16 throughout.
        uint8: whether tensors may be stored as uint8. Those without negative values are, with
            zero point 0, and joined ones with zero point 128. The latter holds the very values
            of int8 with 0, and OpenVINO needs it: from int8 quantizers at a Concat it (2026.4,
            jit_avx2_I8) makes a rounding without the scale and wrong pictures without any
            error. TensorRT knows int8 with zero point 0 only.
        prelu: how a PReLU is written: as the `operator`, or as `arithmetic` of the same values,
            which TensorRT for RTX fuses into the convolution before it (in fp16, ECBSR-M4C16
            takes 9 kernels in place of 14). ONNX Runtime's operator branches on each value: as
            arithmetic ECBSR-M4C16 and FSRCNN take 0.67 and 0.78 of their time in int8, 0.61 and
            0.76 in fp32 (180 x 320, Xeon with VNNI, 1 thread; with a slope above 1 up to 0.87).
            Rules for cards do not ask for it before it was timed on one.
        ends: at which ends of a layer its engine wants quantizers to run it in int8. With
            `both` all quantized tensors are uint8, whatever `uint8` says, a bias is int32, and
            transposed convolutions are quantized only where they are written as convolutions.
        io: how pictures enter and leave the file (`byte_ends.py`); other tensors are fp32.
    """

    channels_per_group: int = 1
    transposed: bool = True
    weight_max: int = INT8_MAX
    float_type: FloatType = "fp32"
    uint8: bool = True
    prelu: PReLUForm = "operator"
    ends: LayerEnds = "input"
    io: IO = "float_nchw"


def float_rest(precision: str, rules: QuantRules) -> FloatType:
    """The type of what is not int8 in a file at this precision."""
    if precision == "int8":
        return rules.float_type
    return "fp16" if precision == "fp16" else "fp32"


TENSORRT_RULES = QuantRules(channels_per_group=4, float_type="fp16", uint8=False)
CPU_RULES = QuantRules()
ONNXRUNTIME_RULES = QuantRules(prelu="arithmetic", ends="both")


@dataclass(frozen=True)
class Placement:
    """Which tensors carry a Q/DQ pair and which layers have int8 weights.

    A tensor is named by the node that gives it; `before_activation(node)` is what a layer gives
    before its activation, where that is quantized by itself.

    Attributes:
        tensors: each quantized tensor -> the one whose scale it uses (itself, unless a Concat or
            a move of values makes them share).
        layers: the weighted nodes with int8 weights.
        additions: the Adds of which only the skip connection is read quantized.
        zero_points: of the quantized tensors that are stored as uint8; the others are int8
            with zero point 0.
        weight_max: largest integer of a weight.
        ends: as in `QuantRules`; with `both` whoever reads a quantized tensor reads it so, and
            zero points of 128 are where calibration begins (`Scales.zero_points`).
        ceilings: of tensors that a clip ends, its upper bound: the highest level stays below.
    """

    tensors: Mapping[int, int]
    layers: frozenset[int]
    additions: frozenset[int] = frozenset()
    zero_points: Mapping[int, int] = field(default_factory=dict)
    weight_max: int = INT8_MAX
    ends: LayerEnds = "input"
    ceilings: Mapping[int, float] = field(default_factory=dict)

    def reads_quantized(self, graph: Graph, reader: int, source: int) -> bool:
        """Whether `reader` takes the quantized form of `source`."""
        if source not in self.tensors or self.ends == "both":
            return source in self.tensors
        node = graph.nodes[reader]
        if isinstance(node, Conv | ConvTranspose):
            return reader in self.layers
        if isinstance(node, Add):
            return reader in self.additions and source == node.inputs[1]
        return isinstance(node, Concat) and reader in self.tensors

    def levels(self, tensor: int) -> tuple[int, int]:
        """The lowest and the highest multiple of its scale that a quantized tensor can take.

        Where calibration moves the zero point these move with it.
        """
        return (0, UINT8_MAX) if self.zero_points.get(tensor) == 0 else (-INT8_MAX - 1, INT8_MAX)

    def shifts(self, graph: Graph, tensor: int) -> bool:
        """Whether calibration may choose the tensor's zero point."""
        signed = self.ends == "both" and self.zero_points.get(tensor) != 0
        return signed and self.exact_step(graph, tensor) is None

    def most_step(self, tensor: int) -> float | None:
        """The largest scale of a tensor whose quantizer has to do the clip's work, else None."""
        ceiling = self.ceilings.get(self.tensors[tensor])
        return None if ceiling is None else ceiling / UINT8_MAX * _JUST_BELOW

    def exact_step(self, graph: Graph, tensor: int) -> float | None:
        """The scale that holds an 8-bit picture exactly; None where no picture or no such scale.

        The picture itself needs uint8 for it; one that is centred by whole levels does not.
        Features that a head reads beside the picture take its scale (`equalize.py`).
        """
        owner = self.tensors[tensor]
        sharing = [key for key, own in self.tensors.items() if own == owner]
        held = [self._holds_a_picture(graph, key) for key in sharing]
        exact = all(held) or (any(held) and owner in joined_heads(graph))
        return 1.0 / UINT8_MAX if exact else None

    def _holds_a_picture(self, graph: Graph, tensor: int) -> bool:
        offset, index = 0.0, tensor
        if tensor < 0:
            return False
        while not isinstance(node := graph.nodes[index], Input):
            if isinstance(node, Shift):
                offset += node.value
            elif not node.keeps_levels:
                return False
            index = node.inputs[0]
        if node.kind != "image":
            return False
        low, high = self.levels(tensor)
        lowest = offset * UINT8_MAX
        whole = abs(lowest - round(lowest)) < _WHOLE
        return whole and low <= round(lowest) and round(lowest) + UINT8_MAX <= high


@dataclass(frozen=True)
class Scales:
    """Step sizes: real value = scale * (integer - zero point).

    Attributes:
        tensors: per quantized tensor, its scale.
        weights: per quantized layer, one scale per output channel, shape (C_out,).
        zero_points: of the tensors whose placement lets calibration choose it (`shifts`); the
            others keep the placement's.
    """

    tensors: Mapping[int, float] = field(default_factory=dict)
    weights: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    zero_points: Mapping[int, int] = field(default_factory=dict)


def place(
    graph: Graph, rules: QuantRules = CPU_RULES, *, keep_float: frozenset[int] = frozenset()
) -> Placement:
    """Decide where Q/DQ pairs go.

    Args:
        graph: the network.
        rules: what the engine can run in int8.
        keep_float: layers that are left alone all the same, because int8 hurts them too much.
    """
    channels = channels_of(graph.nodes)
    layers = frozenset(
        index
        for index, node in enumerate(graph.nodes)
        if index not in keep_float
        and _runs_in_int8(node, channels[node.inputs[0]] if node.inputs else 0, rules)
    )
    top = rules.weight_max
    if rules.ends == "both":
        ends = quantized_ends(graph, layers)
        return Placement(
            ends.owners, layers, frozenset(), ends.zero_points, top, "both", ends.ceilings
        )
    owners, additions = quantized_inputs(graph, layers)
    zero_points = unsigned(graph, owners) if rules.uint8 else {}
    return Placement(owners, layers, additions, zero_points, top)


def _runs_in_int8(node: object, in_channels: int, rules: QuantRules) -> bool:
    match node:
        case ConvTranspose():
            return rules.transposed and (rules.ends == "input" or runs_as_convolution(node))
        case Conv(groups=groups, out_channels=out) if groups > 1:
            per_group = (in_channels // groups, out // groups)
            return all(c % rules.channels_per_group == 0 for c in per_group)
        case Conv():
            return True
    return False


def weight_scale(weight: NDArray[np.float32], axis: int, top: int) -> NDArray[np.float32]:
    """Scale per output channel from the largest magnitude; strictly positive, as engines ask."""
    others = tuple(a for a in range(weight.ndim) if a != axis)
    peak = np.abs(weight).max(axis=others)
    scale: NDArray[np.float32] = np.maximum(peak / top, 1e-8).astype(np.float32)
    return scale


def whole_step(node: Primitive, weight: NDArray[np.float32], top: int) -> float | None:
    """The largest scale of which a fixed kernel's weights are whole multiples.

    Such a kernel is exact in int8: the nearest neighbour's are ones, the bilinear kernel's
    sixteenths at x2. None for learned weights, and where no integers up to `top` hold it.
    """
    if not (isinstance(node, Conv) and node.fixed):
        return None
    peak = float(np.abs(weight).max())
    for parts in range(1, top + 1):
        steps = weight * parts
        if peak * parts < top + _WHOLE and np.abs(steps - np.rint(steps)).max() < _WHOLE:
            return 1.0 / parts
    return None


def first_scale(
    graph: Graph, index: int, weight: NDArray[np.float32], top: int
) -> NDArray[np.float32]:
    """What a layer's scales begin as, (C_out,): exact where they can be."""
    axis = weight_axis(graph, index)
    if (exact := whole_step(graph.nodes[index], weight, top)) is not None:
        return np.full(weight.shape[axis], exact, np.float32)
    return weight_scale(weight, axis, top)


def nominal_scales(
    graph: Graph, placement: Placement, weights: Mapping[str, NDArray[np.float32]]
) -> Scales:
    """Scales for an untrained network: int8 latency does not depend on their values.

    Where features are joined with a picture it does: one scale for both is a plain copy.
    """
    heads = joined_heads(graph)
    exact = {
        tensor: placement.exact_step(graph, tensor)
        for tensor, owner in placement.tensors.items()
        if owner in heads
    }
    return Scales(
        {t: exact.get(t) or _nominal_scale(placement, t) for t in placement.tensors},
        {
            index: first_scale(graph, index, weights[f"n{index}.weight"], placement.weight_max)
            for index in placement.layers
        },
    )


def _nominal_scale(placement: Placement, tensor: int) -> float:
    """A scale that fits the tensor; a shared one, and with quantizers at both ends no other.

    Trained scales differ, and ONNX Runtime joins tensors of one scale by copying them.
    """
    if placement.ends == "input":
        return NOMINAL_SCALE
    scale = NOMINAL_SCALE * (1.0 + _APART * placement.tensors[tensor])
    most = placement.most_step(tensor)
    return scale if most is None else min(scale, most)


def weight_axis(graph: Graph, index: int) -> int:
    """The axis of the output channels in a layer's weight: 0 for Conv, 1 for ConvTranspose."""
    return 1 if isinstance(graph.nodes[index], ConvTranspose) else 0

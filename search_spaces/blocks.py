"""Blocks: named functions that append primitives to a network. No torch, no ONNX.

A block maps a tensor to one with `spec.channels` features, at the same size unless it takes a
`stride`. All take `kernel` and `activation` (with `slope` for a leaky_relu); arguments that a
block does not know are left to the skeleton. Which ones are fast is not decided here: each
candidate is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import gcd
from typing import Any

from search_spaces.base import BlockSpec, InvalidArchitecture, UnknownName
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import (
    Activation,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    DepthToSpace,
    Multiply,
    Resize,
    Scale,
    Shift,
    Slice,
)

Block = Callable[[GraphBuilder, int, BlockSpec], int]
BLOCKS: dict[str, Block] = {}
LEAKY_SLOPE = 0.1


def block(name: str) -> Callable[[Block], Block]:
    """Register a block under the name that stored architectures use."""

    def register(function: Block) -> Block:
        BLOCKS[name] = function
        return function

    return register


def append(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Append `spec.repeat` of one block; only the first has the entry's stride.

    Raises:
        UnknownName: no such block.
        InvalidArchitecture: the block keeps its size and was given a stride.
    """
    if spec.op not in BLOCKS:
        raise UnknownName("block", spec.op, list(BLOCKS))
    if _stride(spec) != 1 and spec.op not in STRIDED:
        raise InvalidArchitecture(
            f"the block '{spec.op}' keeps its size; with a stride: {', '.join(STRIDED)}"
        )
    for _ in range(spec.repeat):
        source = BLOCKS[spec.op](graph, source, spec)
        spec = replace(spec, args=tuple(arg for arg in spec.args if arg[0] != "stride"))
    return source


def _kernel(spec: BlockSpec, default: int = 3) -> tuple[int, int]:
    side = int(spec.arg("kernel", default))
    return (side, side)


def _stride(spec: BlockSpec) -> int:
    return int(spec.arg("stride", 1))


STRIDED = ("conv", "separable", "inverted_residual")
"""Blocks that take `stride`."""
HALVING = ("two_scale", "local_attention")
"""Blocks that work at half the size in between, so that height and width must be even."""


def activation_fields(spec: BlockSpec) -> dict[str, Any]:
    """The activation of a block as a primitive's fields, from its `activation` and `slope`."""
    name = str(spec.arg("activation", "relu"))
    slope = float(spec.arg("slope", LEAKY_SLOPE)) if name == "leaky_relu" else 0.0
    return {"activation": name, "slope": slope}


def _pointwise(graph: GraphBuilder, source: int, channels: int, **fields: Any) -> int:
    return graph.add(Conv, source, out_channels=channels, kernel=(1, 1), **fields)


def _depthwise(graph: GraphBuilder, source: int, kernel: tuple[int, int], **fields: Any) -> int:
    width = graph.channels(source)
    return graph.add(Conv, source, out_channels=width, kernel=kernel, groups=width, **fields)


def _part(width: int, ratio: int) -> int:
    """1/`ratio` of the channels as a multiple of 8, 8 at least; fewer of 8 channels alone."""
    part = max(1, width // ratio)
    return max(8, part // 8 * 8) if width > 8 else part


def _as_wide(graph: GraphBuilder, source: int, width: int) -> int:
    """The tensor, which a 1x1 layer brings to this width where it must."""
    return source if graph.channels(source) == width else _pointwise(graph, source, width)


def _added(graph: GraphBuilder, branch: int, source: int) -> int:
    """The branch over the block's input as wide as it is."""
    return graph.add(Add, branch, _as_wide(graph, source, graph.channels(branch)))


@block("conv")
def full(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """A full k x k convolution: dense arithmetic, the best use of wide vector units."""
    return graph.add(
        Conv,
        source,
        out_channels=spec.channels,
        kernel=_kernel(spec),
        stride=_stride(spec),
        **activation_fields(spec),
    )


@block("separable")
def depthwise_separable(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Depthwise k x k, then 1x1 (Howard et al., "MobileNets", 2017): few MACs, more traffic.

    The paper's activation after the depthwise layer too is there with `inner` = True.
    """
    inner = activation_fields(spec) if spec.arg("inner", False) else {}
    spatial = _depthwise(graph, source, _kernel(spec), stride=_stride(spec), **inner)
    return _pointwise(graph, spatial, spec.channels, **activation_fields(spec))


@block("factorized")
def factorized(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1 x k, then k x 1 (Szegedy et al., "Rethinking the Inception Architecture", 2016)."""
    k, _ = _kernel(spec)
    row = graph.add(Conv, source, out_channels=spec.channels, kernel=(1, k))
    return graph.add(
        Conv, row, out_channels=spec.channels, kernel=(k, 1), **activation_fields(spec)
    )


@block("squeeze")
def squeeze(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1x1 to `channels / ratio` (2), then k x k back (Iandola et al., "SqueezeNet", 2016)."""
    narrow = max(1, spec.channels // int(spec.arg("ratio", 2)))
    small = _pointwise(graph, source, narrow, **activation_fields(spec))
    return full(graph, small, spec)


@block("grouped")
def grouped(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """k x k in `groups` (4) parts, then 1x1, which mixes them (XLSR, Ayazoglu, CVPRW 2021)."""
    width = graph.channels(source)
    parts = graph.add(
        Conv,
        source,
        out_channels=width,
        kernel=_kernel(spec),
        groups=int(spec.arg("groups", 4)),
        **activation_fields(spec),
    )
    return _pointwise(graph, parts, spec.channels)


@block("inverted_residual")
def inverted_residual(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1x1 to `expand` (4) times the width, depthwise, 1x1 (Sandler et al., MobileNetV2, 2018).

    Added to its input where size and width are equal; with `expand` = 1 without the first 1x1.
    """
    expand, stride, inner = int(spec.arg("expand", 4)), _stride(spec), source
    width = graph.channels(source)
    if expand > 1:
        inner = _pointwise(graph, source, expand * width, **activation_fields(spec))
    spatial = _depthwise(
        graph, inner, _kernel(spec), stride=stride, **activation_fields(spec)
    )
    projected = _pointwise(graph, spatial, spec.channels)
    if stride > 1 or width != spec.channels:
        return projected
    return graph.add(Add, projected, source)


@block("large_kernel")
def large_kernel(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Depthwise k x k (7), 1x1 to `expand` (2) times the width, 1x1, added to the input.

    Liu et al., "A ConvNet for the 2020s", CVPR 2022, without its normalization.
    """
    spatial = _depthwise(graph, source, _kernel(spec, 7))
    wide = int(spec.arg("expand", 2)) * spec.channels
    inner = _pointwise(graph, spatial, wide, **activation_fields(spec))
    return _added(graph, _pointwise(graph, inner, spec.channels), source)


@block("residual")
def residual(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Two k x k convolutions added to their input (He et al., 2016), which keeps its width.

    With `after` = True the activation comes once more after the addition, as in the paper.
    """
    inner = full(graph, source, spec)
    branch = graph.add(Conv, inner, out_channels=spec.channels, kernel=_kernel(spec))
    total = _added(graph, branch, source)
    if spec.arg("after", False) and spec.arg("activation", "relu") != "none":
        return graph.add(Activation, total, **activation_fields(spec))
    return total


@block("bottleneck")
def bottleneck(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1x1 to `channels / ratio` (2), k x k, 1x1 back, added to the input (He et al., 2016)."""
    narrow = max(1, spec.channels // int(spec.arg("ratio", 2)))
    small = _pointwise(graph, source, narrow, **activation_fields(spec))
    spatial = graph.add(
        Conv, small, out_channels=narrow, kernel=_kernel(spec), **activation_fields(spec)
    )
    return _added(graph, _pointwise(graph, spatial, spec.channels), source)


@block("wide_residual")
def wide_residual(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1x1 to `expand` (4) times the width, 1x1 to 5/6 of it, k x k, added to the input.

    WDSR-B (Yu et al., "Wide Activation for Efficient and Accurate Super-Resolution", 2018).
    """
    wide = int(spec.arg("expand", 4)) * spec.channels
    inner = _pointwise(graph, source, wide, **activation_fields(spec))
    narrow = _pointwise(graph, inner, max(1, spec.channels * 5 // 6))
    branch = graph.add(Conv, narrow, out_channels=spec.channels, kernel=_kernel(spec))
    return _added(graph, branch, source)


@block("dense")
def dense(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """`layers` (2) of `growth` (half the width) features that all read all before them.

    A 1x1 layer brings them together (Huang et al., "Densely Connected Networks", CVPR 2017).
    """
    growth = int(spec.arg("growth", max(1, spec.channels // 2)))
    joined = source
    for _ in range(int(spec.arg("layers", 2))):
        new = graph.add(
            Conv, joined, out_channels=growth, kernel=_kernel(spec), **activation_fields(spec)
        )
        joined = graph.add(Concat, joined, new)
    return _pointwise(graph, joined, spec.channels, **activation_fields(spec))


@block("distillation")
def distillation(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Each of `steps` (3) convolutions keeps a quarter of its features and passes on the rest.

    A 1x1 layer joins what was kept, over the input (Hui et al., IMDN, ACM MM 2019).
    """
    kept = int(spec.arg("kept", max(1, spec.channels // 4)))
    parts, rest = [], source
    for _ in range(int(spec.arg("steps", 3))):
        step = full(graph, rest, spec)
        parts.append(graph.add(Slice, step, start=0, stop=kept))
        rest = graph.add(Slice, step, start=kept, stop=spec.channels)
    parts.append(graph.add(Conv, rest, out_channels=kept, kernel=_kernel(spec)))
    fused = _pointwise(graph, graph.add(Concat, *parts), spec.channels)
    return _added(graph, fused, source)


@block("partial")
def partial(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """1x1 over all channels, then k x k over 1/`ratio` (4) of them; the rest pass on.

    The partial convolution of FasterNet (Chen et al., "Run, Don't Walk", CVPR 2023), where the
    1x1 comes behind: in a row of blocks that is the same. Two 1x1 layers give the two parts,
    because cutting a tensor in two costs int8 engines more: they do it in float.
    """
    own = _part(spec.channels, int(spec.arg("ratio", 4)))
    part = _pointwise(graph, source, own, **activation_fields(spec))
    rest = _pointwise(graph, source, spec.channels - own, **activation_fields(spec))
    return graph.add(Concat, graph.add(Conv, part, out_channels=own, kernel=_kernel(spec)), rest)


@block("pass_on")
def pass_on(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """k x k to 1/`ratio` (2) of the features; a 1x1 layer passes the others on.

    PlainUSR (Wang et al., ACCV 2024) convolves the first channels, of a number that differs from
    block to block. Equal blocks would never mix the parts: hence both layers read all channels.
    """
    new = _part(spec.channels, int(spec.arg("ratio", 2)))
    made = full(graph, source, replace(spec, channels=new))
    return graph.add(Concat, made, _pointwise(graph, source, spec.channels - new))


@block("shuffle")
def shuffle(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """k x k in groups of `group` (16) channels or more, then the groups dealt to one another.

    Zhang et al., "ShuffleNet", CVPR 2018, without its 1x1 layers: the next block mixes.
    """
    common, least = gcd(graph.channels(source), spec.channels), int(spec.arg("group", 16))
    most = max(1, common // least)
    groups = max(n for n in range(1, most + 1) if common % n == 0)
    parts = graph.add(
        Conv, source, out_channels=spec.channels, kernel=_kernel(spec), groups=groups,
        **activation_fields(spec),
    )
    return graph.add(ChannelShuffle, parts, groups=groups) if groups > 1 else parts


@block("two_scale")
def two_scale(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """k x k to one half of the channels at full size, two k x k to the other at half of it.

    `growth` brings the latter back: `nearest`, or `depth_to_space` of four times the channels.
    After octave convolutions (Chen et al., "Drop an Octave", ICCV 2019), joined in each block.
    """
    far = _part(spec.channels, 2)
    near = full(graph, source, replace(spec, channels=spec.channels - far))
    fields = {"kernel": _kernel(spec), **activation_fields(spec)}
    half = graph.add(Conv, source, out_channels=far, stride=2, **fields)
    if spec.arg("growth", "nearest") == "nearest":
        half = graph.add(Conv, half, out_channels=far, **fields)
        back = graph.add(Resize, half, factor=2, mode="nearest")
    else:
        half = graph.add(Conv, half, out_channels=4 * far, **fields)
        back = graph.add(DepthToSpace, half, factor=2)
    return graph.add(Concat, near, back)


@block("parameter_free_attention")
def parameter_free_attention(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Three k x k; their sum with the input, times sigmoid - 1/2 of what the last one gave.

    SPAN (Wan et al., "Swift Parameter-free Attention Network", CVPRW 2024), which carries
    features past its blocks. In a row of them the input is added once more: the product begins
    near zero, and four in a row gave nothing and no gradient.
    """
    inner = full(graph, full(graph, source, spec), spec)
    branch = graph.add(Conv, inner, out_channels=spec.channels, kernel=_kernel(spec))
    passed = _as_wide(graph, source, spec.channels)
    heat = graph.add(Activation, branch, activation="sigmoid")
    gate, total = graph.add(Shift, heat, value=-0.5), graph.add(Add, branch, passed)
    return graph.add(Add, graph.add(Multiply, total, gate), passed)


@block("local_attention")
def local_attention(graph: GraphBuilder, source: int, spec: BlockSpec) -> int:
    """Two k x k, weighed by a map of importance that is made of 8 features at half the size.

    The local importance of PlainUSR (Wang et al., ACCV 2024), with a strided layer and nearest
    neighbours in place of its softmax pooling and bilinear interpolation, and read from between
    the two layers, where features are quantized already. Weights are 0 to 2: they begin as one.
    """
    inner = full(graph, source, spec)
    branch = graph.add(Conv, inner, out_channels=spec.channels, kernel=_kernel(spec))
    small = graph.add(Conv, inner, out_channels=8, stride=2, activation="relu")
    heat = graph.add(Conv, small, out_channels=spec.channels, activation="sigmoid")
    weights = graph.add(Scale, heat, value=2.0)
    return graph.add(Multiply, branch, graph.add(Resize, weights, factor=2, mode="nearest"))

"""The torch reading of every primitive that has no weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.primitives import (
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    DepthToSpace,
    Flatten,
    GlobalAveragePool,
    GroupReduce,
    GroupSoftmax,
    MaxPool,
    Multiply,
    Primitive,
    Resize,
    ResizeLike,
    Scale,
    Shift,
    Slice,
    SoftPool,
    SpaceToDepth,
    Warp,
)


def activate(x: Tensor, name: str, slope: float | Tensor | None = None) -> Tensor:
    """Apply an activation by its name; `none` passes x through.

    Args:
        slope: of a `leaky_relu` (one number) or a `prelu` (one per channel).
    """
    match name:
        case "relu":
            return functional.relu(x)
        case "prelu":
            assert isinstance(slope, Tensor)
            return functional.prelu(x, slope)
        case "leaky_relu":
            assert isinstance(slope, float)
            return functional.leaky_relu(x, slope)
        case "relu6":
            return functional.relu6(x)
        case "clip":
            return x.clamp(0.0, 1.0)
        case "tanh":
            return x.tanh()
        case "sigmoid":
            return x.sigmoid()
        case "hardsigmoid":
            return functional.hardsigmoid(x)
        case "hardswish":
            return functional.hardswish(x)
        case "silu":
            return functional.silu(x)
        case "gelu":
            return functional.gelu(x)
    return x


@singledispatch
def run_plain(node: Primitive, sources: Sequence[Tensor]) -> Tensor:
    """Run a primitive without weights on tensors (N, C, H, W).

    Raises:
        TypeError: nothing is registered for it.
    """
    raise TypeError(f"{type(node).__name__} has no torch reading")


@run_plain.register
def _(node: Shift, sources: Sequence[Tensor]) -> Tensor:
    return sources[0] + node.value


@run_plain.register
def _(node: Scale, sources: Sequence[Tensor]) -> Tensor:
    return sources[0] * node.value


@run_plain.register
def _(node: Activation, sources: Sequence[Tensor]) -> Tensor:
    return activate(sources[0], node.activation, node.slope)


@run_plain.register
def _(node: Add, sources: Sequence[Tensor]) -> Tensor:
    return sources[0] + sources[1]


@run_plain.register
def _(node: Multiply, sources: Sequence[Tensor]) -> Tensor:
    return sources[0] * sources[1]


@run_plain.register
def _(node: Concat, sources: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(sources), dim=1)


@run_plain.register
def _(node: Slice, sources: Sequence[Tensor]) -> Tensor:
    return sources[0][:, node.start : node.stop]


@run_plain.register
def _(node: Flatten, sources: Sequence[Tensor]) -> Tensor:
    return sources[0].flatten(1)


@run_plain.register
def _(node: GroupReduce, sources: Sequence[Tensor]) -> Tensor:
    apart = _apart(sources[0], node.groups)
    return apart.amax(1) if node.mode == "max" else apart.sum(1)


@run_plain.register
def _(node: GroupSoftmax, sources: Sequence[Tensor]) -> Tensor:
    return _apart(sources[0], node.groups).softmax(1).flatten(1, 2)


@run_plain.register
def _(node: ChannelShuffle, sources: Sequence[Tensor]) -> Tensor:
    return functional.channel_shuffle(sources[0], node.groups)


@run_plain.register
def _(node: DepthToSpace, sources: Sequence[Tensor]) -> Tensor:
    return functional.pixel_shuffle(sources[0], node.factor)


@run_plain.register
def _(node: SpaceToDepth, sources: Sequence[Tensor]) -> Tensor:
    return space_to_depth(sources[0], node.factor)


@run_plain.register
def _(node: MaxPool, sources: Sequence[Tensor]) -> Tensor:
    return functional.max_pool2d(sources[0], node.side, node.factor)


@run_plain.register
def _(node: AveragePool, sources: Sequence[Tensor]) -> Tensor:
    return functional.avg_pool2d(sources[0], node.side, node.factor)


@run_plain.register
def _(node: SoftPool, sources: Sequence[Tensor]) -> Tensor:
    weight = sources[0].exp()
    mean = functional.avg_pool2d(weight, node.side, node.factor)
    return functional.avg_pool2d(sources[0] * weight, node.side, node.factor) / mean


@run_plain.register
def _(node: GlobalAveragePool, sources: Sequence[Tensor]) -> Tensor:
    return sources[0].mean((2, 3), keepdim=True)


@run_plain.register
def _(node: Resize, sources: Sequence[Tensor]) -> Tensor:
    smooth = {"mode": "bilinear", "align_corners": False}
    how = {"mode": "nearest"} if node.mode == "nearest" else smooth
    return functional.interpolate(sources[0], scale_factor=node.factor, **how)


@run_plain.register
def _(node: ResizeLike, sources: Sequence[Tensor]) -> Tensor:
    size = list(sources[1].shape[2:])
    return functional.interpolate(sources[0], size=size, mode="bilinear", align_corners=False)


@run_plain.register
def _(node: Warp, sources: Sequence[Tensor]) -> Tensor:
    """Coordinates as `grid_sample` has them: from -1 in the first pixel to 1 in the last one."""
    x, motion = sources[0], sources[1].float()
    places = [
        torch.arange(side, device=x.device, dtype=torch.float32).view(shape)
        for side, shape in ((x.shape[3], (1, 1, -1)), (x.shape[2], (1, -1, 1)))
    ]
    steps = [2.0 / max(side - 1, 1) for side in (x.shape[3], x.shape[2])]
    grid = torch.stack([(motion[:, k] + places[k]) * steps[k] - 1.0 for k in range(2)], dim=3)
    found = functional.grid_sample(
        x.float(), grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    return found.to(x.dtype)


def _apart(x: Tensor, groups: int) -> Tensor:
    """(N, C, H, W) -> (N, groups, C / groups, H, W)."""
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w)


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, f*f*C, H/f, W/f) in ONNX's channel order (i*f + j)*C + c.

    torch's pixel_unshuffle orders c*f*f + i*f + j; the permutation is done here once.
    """
    n, c, h, w = x.shape
    blocks = functional.pixel_unshuffle(x, factor).view(n, c, factor * factor, -1)
    return blocks.transpose(1, 2).reshape(n, c * factor * factor, h // factor, w // factor)

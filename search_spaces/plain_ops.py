"""The torch reading of every primitive that has no weights."""

from __future__ import annotations

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


def run_plain(node: Primitive, sources: list[Tensor]) -> Tensor:
    """Run a primitive without weights on tensors (N, C, H, W)."""
    x = sources[0]
    match node:
        case Shift(value=value):
            return x + value
        case Scale(value=value):
            return x * value
        case Activation(activation=name, slope=slope):
            return activate(x, name, slope)
        case Add():
            return x + sources[1]
        case Multiply():
            return x * sources[1]
        case Concat():
            return torch.cat(sources, dim=1)
        case Slice(start=start, stop=stop):
            return x[:, start:stop]
        case Flatten():
            return x.flatten(1)
        case GroupReduce(groups=g, mode=mode):
            return _apart(x, g).amax(1) if mode == "max" else _apart(x, g).sum(1)
        case GroupSoftmax(groups=g):
            return _apart(x, g).softmax(1).flatten(1, 2)
        case ChannelShuffle(groups=g):
            return functional.channel_shuffle(x, g)
    return _resample(node, sources)


def _apart(x: Tensor, groups: int) -> Tensor:
    """(N, C, H, W) -> (N, groups, C / groups, H, W)."""
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w)


def _resample(node: Primitive, sources: list[Tensor]) -> Tensor:
    """Run a primitive that changes the height and width."""
    x = sources[0]
    match node:
        case DepthToSpace(factor=f):
            return functional.pixel_shuffle(x, f)
        case SpaceToDepth(factor=f):
            return space_to_depth(x, f)
        case MaxPool(factor=f, side=k):
            return functional.max_pool2d(x, k, f)
        case AveragePool(factor=f, side=k):
            return functional.avg_pool2d(x, k, f)
        case SoftPool(factor=f, side=k):
            weight = x.exp()
            mean = functional.avg_pool2d(weight, k, f)
            return functional.avg_pool2d(x * weight, k, f) / mean
        case GlobalAveragePool():
            return x.mean((2, 3), keepdim=True)
        case Resize(factor=f, mode="nearest"):
            return functional.interpolate(x, scale_factor=f, mode="nearest")
        case Resize(factor=f):
            return functional.interpolate(
                x, scale_factor=f, mode="bilinear", align_corners=False
            )
        case ResizeLike():
            size = list(sources[1].shape[2:])
            return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
    raise TypeError(f"{type(node).__name__} has no torch reading")


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, f*f*C, H/f, W/f) in ONNX's channel order (i*f + j)*C + c.

    torch's pixel_unshuffle orders c*f*f + i*f + j; the permutation is done here once.
    """
    n, c, h, w = x.shape
    blocks = functional.pixel_unshuffle(x, factor).view(n, c, factor * factor, -1)
    return blocks.transpose(1, 2).reshape(n, c * factor * factor, h // factor, w // factor)

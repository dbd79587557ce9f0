"""Everything that is registered, as small networks: what the contracts are checked on."""

from __future__ import annotations

from typing import Any

from wired_networks import WIRED

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.blocks import BLOCKS, STRIDED
from search_spaces.fixed_kernels import REACH
from search_spaces.graph import Graph, GraphBuilder
from search_spaces.primitives import (
    ACTIVATIONS,
    GROUP_REDUCTIONS,
    Activation,
    Add,
    AveragePool,
    ChannelShuffle,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Flatten,
    GlobalAveragePool,
    GroupReduce,
    GroupSoftmax,
    MaxPool,
    Multiply,
    Resize,
    ResizeLike,
    Scale,
    Shift,
    Slice,
    SoftPool,
    SpaceToDepth,
    Warp,
)
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import SKELETONS, lower
from search_spaces.skeletons.published import PUBLISHED_ONLY
from search_spaces.super_resolution import REDUCTIONS

HEIGHT, WIDTH = 16, 32


def network(
    *blocks: BlockSpec, skeleton: str = "upscaler", scale: int = 2, **args: Scalar
) -> Graph:
    """A skeleton around these blocks."""
    chosen = tuple(sorted(args.items()))
    return lower(Architecture(skeleton, one_to_one(3, 3, scale), blocks, chosen))


STEM = BlockSpec.of("conv", 8)


def _blocks() -> dict[str, Graph]:
    found = {}
    for op in BLOCKS:
        found[f"block {op}"] = network(STEM, BlockSpec.of(op, 8), base="bicubic", centre=True)
        wider = BlockSpec.of(op, 16, 2, kernel=5, activation="prelu")
        found[f"block {op}, wider, twice"] = network(STEM, wider)
    variants = {
        "residual, activation after": BlockSpec.of("residual", 8, after=True),
        "separable, activation inside": BlockSpec.of("separable", 8, inner=True),
        "inverted_residual without expansion": BlockSpec.of("inverted_residual", 8, expand=1),
        "large_kernel 9": BlockSpec.of("large_kernel", 8, kernel=9, activation="hardswish"),
        "partial of a half": BlockSpec.of("partial", 24, 2, ratio=2),
        "pass_on of a quarter": BlockSpec.of("pass_on", 32, 2, ratio=4),
        "shuffle in fours": BlockSpec.of("shuffle", 8, 2, group=4),
        "two_scale by depth to space": BlockSpec.of("two_scale", 16, growth="depth_to_space"),
        "dense of three": BlockSpec.of("dense", 8, layers=3, growth=4, activation="clip"),
    }
    for op in STRIDED:
        variants[f"{op}, stride 2"] = BlockSpec.of(op, 16, 2, stride=2)
    return found | {f"block {name}": network(STEM, spec) for name, spec in variants.items()}


def _skeletons() -> dict[str, Graph]:
    # A recurrent one takes what a renderer gives: tests/search_spaces/test_recurrent.py.
    names = set(SKELETONS) - PUBLISHED_ONLY - {"recurrent"}
    found = {f"skeleton {name}": network(STEM, STEM, skeleton=name) for name in sorted(names)}
    for name in REDUCTIONS:
        found[f"reduction {name}"] = network(
            STEM, STEM, reduction=name, base="bicubic", centre=True, skip=True
        )
        found[f"reduction {name}, no base, x3"] = network(STEM, reduction=name, scale=3)
    for name in ("none", *REACH):
        found[f"base {name}"] = network(STEM, base=name, centre=True)
    return found


def _heads() -> dict[str, Graph]:
    """Heads that read features and picture."""
    found = {}
    positive, signed = (BlockSpec.of("conv", 8, activation=name) for name in ("relu", "prelu"))
    for reduction in ("none", "strided", "space_to_depth"):
        for base in REACH:
            found[f"joined head, {reduction}, {base}"] = network(
                positive, positive, head="joined", reduction=reduction, base=base
            )
    found["joined head over features of either sign"] = network(
        signed, signed, head="joined", base="bicubic", centre=True
    )
    found["joined head, x3"] = network(positive, head="joined", base="bilinear", scale=3)
    return found


def _activations() -> dict[str, Graph]:
    found = {}
    for name in ACTIVATIONS:
        found[f"activation {name}"] = network(
            STEM, BlockSpec.of("conv", 8, activation=name), base="nearest", centre=True
        )
        found[f"head activation {name}"] = _with_head(name)
        if name != "none":
            found[f"activation {name} of its own"] = _after_an_addition(name)
    return found


def _with_head(name: str) -> Graph:
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8, activation="relu")
    head = builder.add(Conv, stem, out_channels=12, activation=name, slope=slope_of(name))
    return builder.finish(builder.add(DepthToSpace, head, factor=2))


def _after_an_addition(name: str) -> Graph:
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8, activation="relu")
    branch = builder.add(Conv, stem, out_channels=8)
    both = builder.add(Add, branch, stem)
    done = builder.add(Activation, both, activation=name, slope=slope_of(name))
    return builder.finish(builder.add(Conv, done, out_channels=4))


def slope_of(activation: str) -> float:
    return 0.1 if activation == "leaky_relu" else 0.0


def _between_convolutions(make: Any, **fields: Any) -> Graph:
    builder = GraphBuilder(3)
    before = builder.add(Conv, 0, out_channels=16, activation="relu")
    middle = builder.add(make, before, **fields)
    return builder.finish(builder.add(Conv, middle, out_channels=4, kernel=(1, 1)))


def _branches(make: Any, *, unequal: int = 0) -> Graph:
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8, activation="relu")
    one = builder.add(Conv, stem, out_channels=8 + unequal, activation="relu")
    both = builder.add(make, one, stem)
    return builder.finish(builder.add(Conv, both, out_channels=4))


def _primitives() -> dict[str, Graph]:
    single: dict[str, tuple[Any, dict[str, Any]]] = {
        "shift": (Shift, {"value": -0.25}),
        "row convolution": (Conv, {"out_channels": 8, "kernel": (1, 7)}),
        "column convolution": (Conv, {"out_channels": 8, "kernel": (7, 1)}),
        "strided convolution": (Conv, {"out_channels": 8, "stride": 2}),
        "strided 5x5 convolution": (Conv, {"out_channels": 8, "kernel": (5, 5), "stride": 2}),
        "grouped convolution": (Conv, {"out_channels": 8, "groups": 4}),
        "depthwise convolution": (Conv, {"out_channels": 16, "groups": 16}),
        "convolution without bias": (Conv, {"out_channels": 8, "bias": False}),
        "depth to space": (DepthToSpace, {"factor": 2}),
        "space to depth": (SpaceToDepth, {"factor": 2}),
        "dilated convolution": (Conv, {"out_channels": 8, "dilation": 2}),
        "unpadded convolution": (Conv, {"out_channels": 8, "stride": 2, "padding": "valid"}),
        "loosely padded convolution": (Conv, {"out_channels": 8, "stride": 3, "padding": "loose"}),
        "scale": (Scale, {"value": -2.0}),
        "slice": (Slice, {"start": 4, "stop": 12}),
        "channel shuffle": (ChannelShuffle, {"groups": 4}),
        "softmax over groups": (GroupSoftmax, {"groups": 4}),
        "global average": (GlobalAveragePool, {}),
    }
    for make in (MaxPool, AveragePool, SoftPool):
        single[f"{make.__name__} 2"] = (make, {"factor": 2})
        single[f"{make.__name__} 7, stride 3"] = (make, {"factor": 3, "kernel": 7})
    for mode in GROUP_REDUCTIONS:
        single[f"{mode} over groups"] = (GroupReduce, {"groups": 4, "mode": mode})
    for mode in ("nearest", "bilinear"):
        for factor in (2, 3):
            single[f"{mode} resize x{factor}"] = (Resize, {"factor": factor, "mode": mode})
    for kernel, stride in ((9, 2), (9, 3), (3, 2), (4, 2), (2, 2), (3, 3), (5, 4)):
        fields = {"out_channels": 8, "kernel": (kernel, kernel), "stride": stride}
        single[f"transposed convolution {kernel}, stride {stride}"] = (ConvTranspose, fields)
    for kernel, stride in ((9, 2), (4, 2), (5, 4)):
        fields = {"out_channels": 3, "kernel": (kernel, kernel), "stride": stride}
        single[f"narrow transposed {kernel}, stride {stride}"] = (ConvTranspose, fields)
    shifted = {"out_channels": 8, "kernel": (9, 9), "stride": 3, "margin": 4}
    single["transposed convolution with a margin"] = (ConvTranspose, shifted)
    found = {name: _between_convolutions(make, **how) for name, (make, how) in single.items()}
    found["addition"] = _branches(Add)
    found["join"] = _branches(Concat)
    found["join of unequal parts"] = _branches(Concat, unequal=4)
    found["product"] = _branches(Multiply)
    found |= {"gate per channel": _gate(), "gate per pixel": _spatial_gate()}
    found["classifier"] = _classifier()
    found["warp"] = _warp()
    return found


def _gate() -> Graph:
    """Squeeze and excitation."""
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8, activation="relu")
    mean = builder.add(GlobalAveragePool, stem)
    gate = builder.add(Conv, mean, out_channels=8, kernel=(1, 1), activation="hardsigmoid")
    return builder.finish(
        builder.add(Conv, builder.add(Multiply, stem, gate), out_channels=4)
    )


def _spatial_gate() -> Graph:
    """One channel at a lower resolution, enlarged to the features it gates."""
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8)
    small = builder.add(Conv, stem, out_channels=1, stride=2, padding="valid")
    large = builder.add(ResizeLike, builder.add(SoftPool, small, factor=3, kernel=5), stem)
    gate = builder.add(Activation, large, activation="sigmoid")
    return builder.finish(
        builder.add(Conv, builder.add(Multiply, stem, gate), out_channels=4)
    )


def _classifier() -> Graph:
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8, stride=2, activation="relu6")
    mean = builder.add(GlobalAveragePool, stem)
    head = builder.add(Conv, mean, out_channels=10, kernel=(1, 1))
    return builder.finish(builder.add(Flatten, head))


def _warp() -> Graph:
    """Features moved by what a layer of their own says, up to a pixel and more."""
    builder = GraphBuilder(3)
    stem = builder.add(Conv, 0, out_channels=8, activation="relu")
    motion = builder.add(Conv, 0, out_channels=2)
    moved = builder.add(Warp, stem, motion)
    return builder.finish(builder.add(Conv, moved, out_channels=4))


NETWORKS: dict[str, Graph] = {
    **_blocks(),
    **_skeletons(),
    **_heads(),
    **_activations(),
    **{
        f"reference {name}": lower(reference(name, entry.nearest_scale(2)))
        for name, entry in REFERENCES.items()
    },
    **_primitives(),
    **WIRED,
}

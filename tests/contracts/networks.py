"""Everything that is registered, as small networks: what the contracts are checked on."""

from __future__ import annotations

from typing import Any

from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.blocks import BLOCKS
from search_spaces.fixed_kernels import REACH
from search_spaces.graph import (
    ACTIVATIONS,
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvTranspose,
    DepthToSpace,
    Graph,
    GraphBuilder,
    MaxPool,
    Resize,
    Shift,
    SpaceToDepth,
)
from search_spaces.references import REFERENCES, reference
from search_spaces.skeletons import SKELETONS, lower
from search_spaces.super_resolution import REDUCTIONS

HEIGHT, WIDTH = 16, 24


def network(
    *blocks: BlockSpec, skeleton: str = "upscaler", scale: int = 2, **args: Scalar
) -> Graph:
    """A skeleton around these blocks."""
    return lower(Architecture(skeleton, 3, 3, scale, blocks, tuple(sorted(args.items()))))


STEM = BlockSpec.of("conv", 8)


def _blocks() -> dict[str, Graph]:
    found = {}
    for op in BLOCKS:
        found[f"block {op}"] = network(STEM, BlockSpec.of(op, 8), base="bicubic", centre=True)
        wider = BlockSpec.of(op, 16, 2, kernel=5, activation="prelu")
        found[f"block {op}, wider, twice"] = network(STEM, wider)
    return found


def _skeletons() -> dict[str, Graph]:
    found = {f"skeleton {name}": network(STEM, STEM, skeleton=name) for name in SKELETONS}
    for name in REDUCTIONS:
        found[f"reduction {name}"] = network(
            STEM, STEM, reduction=name, base="bicubic", centre=True, skip=True
        )
        found[f"reduction {name}, no base, x3"] = network(STEM, reduction=name, scale=3)
    for name in ("none", *REACH):
        found[f"base {name}"] = network(STEM, base=name, centre=True)
    return found


def _activations() -> dict[str, Graph]:
    found = {}
    for name in ACTIVATIONS:
        found[f"activation {name}"] = network(
            BlockSpec.of("conv", 8, activation=name), base="nearest", centre=True
        )
        found[f"head activation {name}"] = network(STEM, head_activation=name)
    return found


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
        "maximum": (MaxPool, {"factor": 2}),
        "average": (AveragePool, {"factor": 2}),
    }
    for mode in ("nearest", "bilinear"):
        for factor in (2, 3):
            single[f"{mode} resize x{factor}"] = (Resize, {"factor": factor, "mode": mode})
    for kernel, stride in ((9, 2), (9, 3), (3, 2), (4, 2), (2, 2), (3, 3), (5, 4)):
        fields = {"out_channels": 8, "kernel": (kernel, kernel), "stride": stride}
        single[f"transposed convolution {kernel}, stride {stride}"] = (ConvTranspose, fields)
    found = {name: _between_convolutions(make, **how) for name, (make, how) in single.items()}
    found["addition"] = _branches(Add)
    found["join"] = _branches(Concat)
    found["join of unequal parts"] = _branches(Concat, unequal=4)
    return found


NETWORKS: dict[str, Graph] = {
    **_blocks(),
    **_skeletons(),
    **_activations(),
    **{f"reference {name}": lower(reference(name, 2)) for name in REFERENCES},
    **_primitives(),
}

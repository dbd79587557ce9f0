"""Published networks, written as architectures: what a search must beat.

Layers are those of the papers' inference form for RGB images (the published RGB variants of
ETDS's comparison, Chao et al., CVPR 2023), at any scale.
"""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.base import Architecture, BlockSpec, Scalar, UnknownName

REFERENCES: dict[str, Callable[[int], Architecture]] = {}


def reference(name: str, scale: int) -> Architecture:
    """Return a published network at this scale.

    Raises:
        UnknownName: no such network.
    """
    if name not in REFERENCES:
        raise UnknownName("published network", name, list(REFERENCES))
    return REFERENCES[name](scale)


def _rgb(skeleton: str, scale: int, blocks: list[BlockSpec], **args: Scalar) -> Architecture:
    return Architecture(skeleton, 3, 3, scale, tuple(blocks), tuple(sorted(args.items())))


def espcn(scale: int) -> Architecture:
    """ESPCN (Shi et al., CVPR 2016): 5x5 to 64, 3x3 to 32, both tanh; 3x3; depth-to-space."""
    blocks = [
        BlockSpec.of("conv", 64, kernel=5, activation="tanh"),
        BlockSpec.of("conv", 32, activation="tanh"),
    ]
    return _rgb("upscaler", scale, blocks)


def fsrcnn(scale: int) -> Architecture:
    """FSRCNN(56, 12, 4) (Dong et al., ECCV 2016): shrink, map, expand, 9x9 deconvolution."""
    blocks = [
        BlockSpec.of("conv", 56, kernel=5, activation="prelu"),
        BlockSpec.of("conv", 12, kernel=1, activation="prelu"),
        BlockSpec.of("conv", 12, 4, activation="prelu"),
        BlockSpec.of("conv", 56, kernel=1, activation="prelu"),
    ]
    return _rgb("transposed_upscaler", scale, blocks, head_kernel=9)


def ecbsr(scale: int, inner: int, features: int) -> Architecture:
    """ECBSR in its inference form (Zhang et al., ACM MM 2021): 3x3 PReLU stack over nearest."""
    blocks = [
        BlockSpec.of("conv", features, activation="prelu"),
        BlockSpec.of("conv", features, inner, activation="prelu"),
    ]
    return _rgb("upscaler", scale, blocks, base="nearest")


REFERENCES["espcn"] = espcn
REFERENCES["fsrcnn"] = fsrcnn
REFERENCES["ecbsr_m4c16"] = lambda scale: ecbsr(scale, 4, 16)

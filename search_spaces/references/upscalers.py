"""The first published upscalers by convolution: stacks on luma, and two of them in colour.

Layers are those of the inference form: branches that only training has are folded. A name
without an ending is the form whose size its source prints; `_y` is the luma form of a network
that is better known in colour.
"""

from __future__ import annotations

from functools import partial

from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.references.registry import Reference, add, architecture, at_720p

RGB, LUMA = 3, 1
RGB_TABLE = "the colour variants of Chao et al., CVPR 2023"
KERNELS_ONLY = "The printed parameters are the kernels' weights alone, without biases and slopes."
FIXED_BASE = "The fixed base is not counted in print."


def espcn(scale: int, *, channels: int, sigmoid: bool = False) -> Architecture:
    """5x5 to 64, 3x3 to 32, both tanh; 3x3; depth-to-space."""
    blocks = [
        BlockSpec.of("conv", 64, kernel=5, activation="tanh"),
        BlockSpec.of("conv", 32, activation="tanh"),
    ]
    if sigmoid:
        return architecture("upscaler", channels, scale, blocks, head_activation="sigmoid")
    return architecture("upscaler", channels, scale, blocks)


def fsrcnn(
    scale: int, *, channels: int, features: int = 56, shrunk: int = 12, maps: int = 4
) -> Architecture:
    """Shrink, map, expand, 9x9 transposed convolution; PReLU between."""
    blocks = [
        BlockSpec.of("conv", features, kernel=5, activation="prelu"),
        BlockSpec.of("conv", shrunk, kernel=1, activation="prelu"),
        BlockSpec.of("conv", shrunk, maps, activation="prelu"),
        BlockSpec.of("conv", features, kernel=1, activation="prelu"),
    ]
    # Four pixels are cut at the top and the left; at x2 that is so anyway.
    margin: dict[str, Scalar] = {} if scale == 2 else {"head_margin": 4}
    return architecture("transposed_upscaler", channels, scale, blocks, head_kernel=9, **margin)


def srcnn(scale: int) -> Architecture:
    """9-5-5 on the enlarged luma: 64 and 32 features, ReLU."""
    blocks = [BlockSpec.of("conv", 64, kernel=9), BlockSpec.of("conv", 32, kernel=5)]
    return architecture("pre_upsampled", LUMA, scale, blocks, base="bicubic", head_kernel=5)


def vdsr(scale: int) -> Architecture:
    """Twenty 3x3 layers of 64 features on the enlarged luma, which is added at the end."""
    blocks = [BlockSpec.of("conv", 64), BlockSpec.of("conv", 64, 18)]
    return architecture("pre_upsampled", LUMA, scale, blocks, base="bicubic", residual=True)


def compact(scale: int, *, inner: int) -> Architecture:
    """Layers of 64 features with PReLU, over the nearest neighbour."""
    blocks = [
        BlockSpec.of("conv", 64, activation="prelu"),
        BlockSpec.of("conv", 64, inner, activation="prelu"),
    ]
    return architecture("upscaler", RGB, scale, blocks, base="nearest")


def _register() -> None:
    shi = (
        "Shi et al., 'Real-Time Single Image and Video Super-Resolution Using an Efficient "
        "Sub-Pixel Convolutional Neural Network', CVPR 2016"
    )
    dong = (
        "Dong, Loy, Tang, 'Accelerating the Super-Resolution Convolutional Neural Network', "
        "ECCV 2016"
    )
    add(Reference(
        "srcnn", srcnn,
        "Dong, Loy, He, Tang, 'Image Super-Resolution Using Deep Convolutional Networks', "
        "TPAMI 2016",
        (at_720p(2, "57K", "52.7", 0, 0.0230),),
        note=f"Luma, the 9-5-5 form; bicubic enlargement is part of the network. {FIXED_BASE}",
    ))
    add(Reference(
        "vdsr", vdsr,
        "Kim, Lee, Lee, 'Accurate Image Super-Resolution Using Very Deep Convolutional "
        "Networks', CVPR 2016",
        (at_720p(2, "665K", "612.6", 1217, 0.0230),),
        note=f"Luma; bicubic enlargement is part of the network. {KERNELS_ONLY} {FIXED_BASE}",
    ))
    add(Reference(
        "espcn", partial(espcn, channels=RGB), shi,
        (at_720p(2, "26.8K", "6.1"),), RGB_TABLE,
        "Colour; the layers of the paper's luma network (espcn_y).",
    ))
    add(Reference(
        "espcn_sigmoid", partial(espcn, channels=RGB, sigmoid=True), shi,
        (at_720p(2, "26.8K", "6.1"),), RGB_TABLE,
        "Colour, ending in a sigmoid: the form whose weights Chao et al. published.",
    ))
    add(Reference(
        "espcn_y", partial(espcn, channels=LUMA), shi,
        (at_720p(2, "21.3K", "4.9"), at_720p(3, "22.7K", "2.3"), at_720p(4, "24.8K", "1.4")),
        note="Luma, as in the paper.",
    ))
    add(Reference(
        "fsrcnn", partial(fsrcnn, channels=RGB), dong,
        (at_720p(2, "24.7K", "5.6"),), RGB_TABLE,
        "FSRCNN(56, 12, 4) in colour; the layers of the paper's luma network (fsrcnn_y).",
    ))
    counted = (
        f"{KERNELS_ONLY} Tables that print 6.0 GMACs for x2 count the transposed convolution "
        "at the output's size."
    )
    add(Reference(
        "fsrcnn_y", partial(fsrcnn, channels=LUMA), dong,
        (
            at_720p(2, "12.5K", "2.9", 345),
            at_720p(3, "12.5K", "1.3", 345),
            at_720p(4, "12.5K", "0.7", 345),
        ),
        note=f"FSRCNN(56, 12, 4) on luma, as in the paper. {counted}",
    ))
    add(Reference(
        "fsrcnn_s", partial(fsrcnn, channels=LUMA, features=32, shrunk=5, maps=1), dong,
        (at_720p(2, "3.9K", "0.9", 149),),
        note=f"FSRCNN(32, 5, 1) on luma, as in the paper. {counted}",
    ))
    add(Reference(
        "compact_16", partial(compact, inner=16),
        "Wang, Xie, Dong, Shan, 'Real-ESRGAN: Training Real-World Blind Super-Resolution with "
        "Pure Synthetic Data', ICCV Workshops 2021",
        source="the authors' repository",
        note="Colour; SRVGGNetCompact as in realesr-animevideov3, published at x4 with weights "
        "and no sizes.",
    ))


_register()

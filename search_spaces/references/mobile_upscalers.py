"""Published upscalers for phones: one stack of 3x3 convolutions at the input's size.

Layers are those of the inference form: branches that only training has are folded. Networks of
one family differ in their feature counts and depths alone.
"""

from __future__ import annotations

from functools import partial

from search_spaces.base import Architecture, BlockSpec
from search_spaces.references.registry import Printed, Reference, add, architecture, at_720p
from search_spaces.references.upscalers import FIXED_BASE, KERNELS_ONLY, LUMA, RGB, RGB_TABLE

ETDS_PAPER = (
    "Chao et al., 'Equivalent Transformation and Dual Stream Network Construction for Mobile "
    "Image Super-Resolution', CVPR 2023"
)


def ecbsr(scale: int, *, channels: int, inner: int, features: int) -> Architecture:
    """A 3x3 PReLU stack over the nearest neighbour."""
    blocks = [
        BlockSpec.of("conv", features, activation="prelu"),
        BlockSpec.of("conv", features, inner, activation="prelu"),
    ]
    return architecture("upscaler", channels, scale, blocks, base="nearest")


def abpn(scale: int, *, inner: int, features: int) -> Architecture:
    """A 3x3 ReLU stack, a linear layer more at the end, over the nearest neighbour; clipped."""
    blocks = [
        BlockSpec.of("conv", features),
        BlockSpec.of("conv", features, inner),
        BlockSpec.of("conv", RGB * scale * scale),
    ]
    return architecture("clipped_upscaler", RGB, scale, blocks, base="nearest")


def etds(scale: int, *, inner: int, features: int) -> Architecture:
    """A 3x3 ReLU stack whose last two layers clip; three features carry the image."""
    phases = RGB * scale * scale
    blocks = [
        BlockSpec.of("conv", features),
        BlockSpec.of("conv", features, inner),
        BlockSpec.of("conv", 4 * -(-phases // 4)),
    ]
    return architecture("upscaler", RGB, scale, blocks, head_kernel=1, head_activation="relu")


def sesr(scale: int, *, inner: int, features: int) -> Architecture:
    """Linear 5x5 stem, 3x3 PReLU layers, the stem added, 5x5, over the nearest neighbour."""
    blocks = [
        BlockSpec.of("conv", features, kernel=5, activation="none"),
        BlockSpec.of("conv", features, inner, activation="prelu"),
    ]
    return architecture(
        "clipped_upscaler", LUMA, scale, blocks,
        base="nearest", centre=True, head_kernel=5, skip=True,
    )


def quicksrnet(scale: int, *, inner: int, features: int) -> Architecture:
    """A 3x3 stack, every layer clipped to [0, 1]."""
    blocks = [
        BlockSpec.of("conv", features, activation="clip"),
        BlockSpec.of("conv", features, inner, activation="clip"),
    ]
    return architecture("upscaler", RGB, scale, blocks, head_activation="clip")


def quicksrnet_large(scale: int) -> Architecture:
    """The same, and a learned 1x1 convolution of the input added before the last clip."""
    blocks = [
        BlockSpec.of("conv", 64, activation="clip"),
        BlockSpec.of("conv", 64, 11, activation="clip"),
    ]
    return architecture("quicksrnet_large", RGB, scale, blocks)


def _register_mobile() -> None:
    zhang = (
        "Zhang, Zeng, Zhang, 'Edge-oriented Convolution Block for Real-time Super Resolution on "
        "Mobile Devices', ACM MM 2021"
    )
    colour = {
        (4, 16): [("11.5K", "2.62"), ("13.7K", "1.39"), ("16.8K", "0.95")],
        (4, 32): [("41.5K", "9.49"), ("45.9K", "4.66"), ("51.9K", "2.97")],
        (6, 40): [("92.4K", "21.2"), ("97.8K", "9.96"), ("105K", "6.03")],
    }
    for (inner, features), sizes in colour.items():
        add(Reference(
            f"ecbsr_m{inner}c{features}",
            partial(ecbsr, channels=RGB, inner=inner, features=features),
            zhang, _colour_sizes(sizes), RGB_TABLE,
            f"Colour; training-time branches are folded. {FIXED_BASE}",
        ))
    luma = {
        ("ecbsr_m4c8", 8): (
            at_720p(2, "2.7K", "0.61", 84, 0.0009), at_720p(4, "3.5K", "0.20", 96, 0.0009)
        ),
        ("ecbsr_m4c16_y", 16): (
            at_720p(2, "9.9K", "2.29", 164, 0.0009), at_720p(4, "11.7K", "0.67", 176, 0.0009)
        ),
    }
    for (name, features), printed in luma.items():
        add(Reference(
            name, partial(ecbsr, channels=LUMA, inner=4, features=features), zhang, printed,
            note=f"Luma, as in the paper; training-time branches are folded. {KERNELS_ONLY} "
            f"{FIXED_BASE}",
        ))
    du = (
        "Du, Liu, Tang, Wu, 'Anchor-based Plain Net for Mobile Image Super-Resolution', "
        "CVPR Workshops 2021"
    )
    abpns = {
        (4, 28): [("33.5K", "7.67"), ("42.5K", "4.34"), ("62.0K", "3.56")],
        (6, 40): [("93.4K", "21.4"), ("104K", "10.6"), ("126K", "7.23")],
    }
    for (inner, features), sizes in abpns.items():
        add(
            Reference(
                f"abpn_m{inner}c{features}", partial(abpn, inner=inner, features=features),
                du, _colour_sizes(sizes), RGB_TABLE, f"Colour. {FIXED_BASE}",
            ),
            *(["abpn"] if features == 28 else []),
        )


def _colour_sizes(sizes: list[tuple[str, str]]) -> tuple[Printed, ...]:
    """x2, x3 and x4 over the nearest neighbour, which costs 9 * scale^2 per input pixel."""
    left_out = {2: 0.0083, 3: 0.0083, 4: 0.0083}
    return tuple(
        at_720p(scale, params, gmacs, 0, left_out[scale])
        for scale, (params, gmacs) in zip((2, 3, 4), sizes, strict=True)
    )


def _register_etds() -> None:
    forms = {
        ("t", 5, 16): [("13.9K", "3.19"), ("16.9K", "1.72"), ("21.4K", "1.22")],
        ("s", 4, 32): [("41.5K", "9.52"), ("46.8K", "4.77"), ("54.1K", "3.10")],
        ("m", 6, 32): [("60.0K", "13.8"), ("65.3K", "6.66"), ("72.6K", "4.16")],
        ("l", 7, 48): [("152K", "35.0"), ("160K", "16.3"), ("170K", "9.76")],
    }
    for (letter, inner, features), sizes in forms.items():
        printed = (
            at_720p(2, *sizes[0]),
            at_720p(3, *sizes[1], -29, -0.0029),
            at_720p(4, *sizes[2]),
        )
        add(Reference(
            f"etds_{letter}", partial(etds, inner=inner, features=features), ETDS_PAPER, printed,
            note="Colour; the two streams are folded into one. At x3 the source's last layer has "
            "28 outputs, of which 27 are read; the 28th is left out here.",
        ))


def _register_collapsed() -> None:
    bhardwaj = (
        "Bhardwaj et al., 'Collapsible Linear Blocks for Super-Efficient Super Resolution', "
        "MLSys 2022"
    )
    forms = {
        ("m3", 3, 16): (at_720p(2, "8.9K", "2.05", 116, 0.0009),),
        ("m5", 5, 16): (
            at_720p(2, "13.5K", "3.12", 180, 0.0009), at_720p(4, "18.3K", "1.06", 192, 0.0009)
        ),
        ("m11", 11, 16): (
            at_720p(2, "27.3K", "6.30", 372, 0.0009), at_720p(4, "32.1K", "1.85", 384, 0.0009)
        ),
        ("xl", 11, 32): (
            at_720p(2, "105K", "24.3", 740, 0.0009), at_720p(4, "115K", "6.62", 752, 0.0009)
        ),
    }
    for (ending, inner, features), printed in forms.items():
        add(Reference(
            f"sesr_{ending}", partial(sesr, inner=inner, features=features), bhardwaj, printed,
            note="Luma, collapsed. Centred by 128/255 where the paper subtracts 0.5, and one "
            f"depth-to-space at x4 where the paper has two. {KERNELS_ONLY} {FIXED_BASE}",
        ))
    berger = (
        "Berger, Dhingra, Mercier, Savani, Panchal, Porikli, 'QuickSRNet: Plain Single-Image "
        "Super-Resolution Architecture for Faster Inference on Mobile Platforms', "
        "CVPR Workshops 2023"
    )
    aimet = "parameters of the models that Qualcomm's AIMET model zoo holds"
    note = "Colour; the identity that training starts from is folded into the weights."
    add(Reference(
        "quicksrnet_small", partial(quicksrnet, inner=2, features=32), berger,
        (at_720p(2, "22.9K", "5.2"),), aimet, note,
    ))
    add(Reference(
        "quicksrnet_medium", partial(quicksrnet, inner=5, features=32), berger,
        (at_720p(2, "50.6K", "11.6"),), aimet, note,
    ))
    add(Reference(
        "quicksrnet_large", quicksrnet_large, berger,
        (at_720p(2, "415K", "95.4"),), aimet, "Colour; with the learned 1x1 skip connection.",
    ))


_register_mobile()
_register_etds()
_register_collapsed()

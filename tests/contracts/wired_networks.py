"""Small networks for every way in which the skeletons of the spaces wire their blocks."""

from __future__ import annotations

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Scalar
from search_spaces.graph import Graph
from search_spaces.skeletons import lower
from search_spaces.skeletons.resampling import GROWTHS, REDUCTIONS

STEM = BlockSpec.of("conv", 8)


def _multi_scale(scale: int = 1, **args: Scalar) -> Graph:
    blocks = (
        STEM,
        BlockSpec.of("conv", 16, level=1, activation="prelu"),
        BlockSpec.of("residual", 24, level=2),
        BlockSpec.of("separable", 16, level=1, side="decoder"),
    )
    args = {"centre": True} | args
    chosen = tuple(sorted(args.items()))
    return lower(Architecture("encoder_decoder", one_to_one(3, 3, scale), blocks, chosen))


def _classifier(**args: Scalar) -> Graph:
    blocks = (
        BlockSpec.of("conv", 8, stride=2),
        BlockSpec.of("inverted_residual", 16, 2, stride=2),
        BlockSpec.of("residual", 24, stride=2),
    )
    args = {"centre": True} | args
    chosen = tuple(sorted(args.items()))
    return lower(Architecture("classifier", one_to_one(3, 5, None), blocks, chosen))


def _upscaler(channels: int, scale: int, **args: Scalar) -> Graph:
    args = {"centre": True} | args
    chosen = tuple(sorted(args.items()))
    signature = one_to_one(channels, channels, scale)
    return lower(Architecture("upscaler", signature, (STEM, STEM), chosen))


def _wired() -> dict[str, Graph]:
    found = {
        f"encoder_decoder {reduction}, {growth}": _multi_scale(
            reduction=reduction, growth=growth, join=join
        )
        for reduction, growth, join in zip(
            REDUCTIONS, GROWTHS, ("add", "concat", "none", "concat"), strict=True
        )
    }
    found["encoder_decoder over its input"] = _multi_scale(base="input")
    found["encoder_decoder at half size"] = _multi_scale(base="input", entry="space_to_depth")
    found["encoder_decoder over bicubic, x2"] = _multi_scale(2, base="bicubic", join="concat")
    # Centred, a mean of four 8-bit values lies on a half of an int8 step each fourth time, which
    # engines round to either side.
    for reduction in REDUCTIONS:
        found[f"classifier {reduction}"] = _classifier(
            reduction=reduction, centre=reduction != "average_pool"
        )
    found["classifier, shrunk, with a head"] = _classifier(
        shrink=2, head_width=16, centre=False
    )
    found["upscaler of luma"] = _upscaler(3, 2, colour="luma", base="nearest")
    found["upscaler of luma, x3, reduced"] = _upscaler(
        3, 3, colour="luma", base="bicubic", reduction="strided"
    )
    found["upscaler of planes"] = _upscaler(6, 2, planes="ycbcr420", base="bicubic")
    found["upscaler of planes, fixed chroma, reduced"] = _upscaler(
        6, 2, planes="ycbcr420", base="nearest", chroma="fixed", reduction="max_pool"
    )
    found["upscaler of planes without a base"] = _upscaler(6, 3, planes="ycbcr420")
    return found


WIRED: dict[str, Graph] = _wired()

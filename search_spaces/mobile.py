"""The space of classification backbones for small devices: stem, stages, head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Chooser, Scalar
from search_spaces.block_choices import choose_block
from search_spaces.blocks import BLOCKS, HALVING
from search_spaces.fields import check_counts, check_kernels, check_names
from search_spaces.primitives import ACTIVATIONS
from search_spaces.skeletons.resampling import REDUCTIONS

STAGE_WIDTHS = (24, 40, 80, 160)
SHRINKS = (1, 2)


@dataclass(frozen=True)
class MobileSpace:
    """A strided stem, stages of equal blocks that each halve the size, a mean and a linear layer.

    The last stage has 1/32 of the input's size: stem and four stages, or a shrunk input, the stem
    and the stages but the first. `docs/spaces.md` has the reason for each choice, and for what is
    left out.

    Attributes:
        shrinks: factors by which the picture is averaged before the stem: the resolution at which
            the network looks, of what the device delivers.
        width_multipliers: by which every width is multiplied, then rounded to a multiple of 8.
        stem_widths: feature counts of the stem, before the multiplier.
        stage_widths: of the stages, before the multiplier.
        max_repeat: blocks per stage, at most.
        reductions: how a stage halves its size, one for the whole network.
        ops: blocks to choose from, one kind per stage.
        head_widths: features before the mean over all pixels, not multiplied; 0 for the last
            stage's own.
        start: choices to try first.
    """

    in_channels: int = 3
    classes: int = 1000
    shrinks: Sequence[int] = SHRINKS
    width_multipliers: Sequence[float] = (0.25, 0.5, 0.75, 1.0)
    stem_widths: Sequence[int] = (16, 32)
    stage_widths: Sequence[int] = STAGE_WIDTHS
    max_repeat: int = 4
    reductions: Sequence[str] = REDUCTIONS
    ops: Sequence[str] = ("inverted_residual", "separable", "residual", "large_kernel")
    kernels: Sequence[int] = (3, 5)
    activations: Sequence[str] = ("relu", "hardswish")
    head_widths: Sequence[int] = (0, 640, 1280)
    start: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Refuse a space that holds nothing or cannot be built.

        Raises:
            UnknownName: no such block, reduction or activation.
            ValueError: a field is empty or out of its range; the message names it.
        """
        known: dict[str, Sequence[str]] = {
            "ops": [op for op in BLOCKS if op not in HALVING],
            "reductions": REDUCTIONS, "activations": ACTIVATIONS,
        }
        check_names(self, known)
        check_kernels("kernels", self.kernels)
        for name in ("in_channels", "classes", "max_repeat"):
            check_counts(name, [getattr(self, name)])
        for name in ("shrinks", "stem_widths", "stage_widths"):
            check_counts(name, getattr(self, name))
        check_counts("head_widths", self.head_widths, least=0)
        if not set(self.shrinks) <= set(SHRINKS):
            raise ValueError(f"search_space.shrinks is {list(self.shrinks)}: use 1, 2 or both")
        if not self.width_multipliers or any(not m > 0 for m in self.width_multipliers):
            raise ValueError(
                f"search_space.width_multipliers is {list(self.width_multipliers)}: use numbers "
                "above 0"
            )

    def propose(self, chooser: Chooser) -> Architecture:
        """Draw one classifier."""
        shrink = chooser.suggest_categorical("shrink", list(self.shrinks))
        multiplier = chooser.suggest_categorical("width", list(self.width_multipliers))
        activation = chooser.suggest_categorical("activation", list(self.activations))
        stem = chooser.suggest_categorical("stem_width", list(self.stem_widths))
        width = rounded(stem * multiplier)
        blocks = [BlockSpec.of("conv", width, activation=activation, stride=2)]
        for stage, base in enumerate(self.stage_widths, start=1):
            tags: dict[str, Scalar] = {} if shrink > 1 and stage == 1 else {"stride": 2}
            blocks.append(
                choose_block(
                    chooser,
                    str(stage),
                    ops=self.ops,
                    kernels=self.kernels,
                    channels=rounded(base * multiplier),
                    repeat=chooser.suggest_int(f"depth_{stage}", 1, self.max_repeat),
                    activation=activation,
                    tags=tags,
                )
            )
        args: dict[str, Scalar] = {
            "centre": True,
            "head_width": chooser.suggest_categorical("head_width", list(self.head_widths)),
            "reduction": chooser.suggest_categorical("reduction", list(self.reductions)),
            "shrink": shrink,
        }
        return Architecture(
            "classifier", one_to_one(self.in_channels, self.classes, None),
            tuple(blocks),
            tuple(sorted(args.items())),
        )


def rounded(width: float) -> int:
    """The nearest multiple of 8, at least 8 and never more than a tenth below.

    As the MobileNets round (Sandler et al., "MobileNetV2", CVPR 2018, in their published code).
    """
    whole = max(8, int(width + 4) // 8 * 8)
    return whole if whole >= 0.9 * width else whole + 8

"""The space of small single-image upscalers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.base import Architecture, BlockSpec, Chooser, Scalar, UnknownName
from search_spaces.blocks import BLOCKS
from search_spaces.fixed_kernels import REACH
from search_spaces.graph import ACTIVATIONS

RESIDUAL_BASES = ("bicubic", "nearest")
REDUCTIONS = ("none", "strided", "max_pool", "average_pool", "space_to_depth")
BLOCK_OPS = ("conv", "separable", "factorized", "residual")


@dataclass(frozen=True)
class SuperResolutionSpace:
    """A stem, two groups of equal blocks, depth-to-space, over a fixed upsampler.

    All arithmetic is at low resolution or below it. What the space leaves out is known to be
    slow for its worth at this size: normalization layers, work at the output's resolution,
    attention.

    Attributes:
        scale: output size / input size.
        channels: image channels, 3 for RGB.
        widths: feature counts of a body at the input's size; multiples of 8, because vector
            units and tensor cores compute the padding of any other count all the same.
        reduced_widths: feature counts where a reduction has halved the body's size: a quarter
            of the pixels pays for wider layers.
        max_repeat: blocks per group, at most.
        bases: fixed upsamplers under the learned residual (never learn what is known).
        reductions: how the body's size is halved, or `none`.
        ops: blocks to choose from, one kind per group.
        kernels: kernel sizes of the blocks.
        activations: one for the whole network.
        start: choices to try first: start small, and grow.
    """

    scale: int = 2
    channels: int = 3
    widths: Sequence[int] = (8, 16, 24, 32)
    reduced_widths: Sequence[int] = (16, 24, 32, 48, 64)
    max_repeat: int = 4
    bases: Sequence[str] = RESIDUAL_BASES
    reductions: Sequence[str] = REDUCTIONS
    ops: Sequence[str] = BLOCK_OPS
    kernels: Sequence[int] = (3, 5)
    activations: Sequence[str] = ("relu", "prelu")
    start: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Refuse a space that holds nothing or cannot be built.

        Raises:
            UnknownName: no such block, reduction, upsampler or activation.
            ValueError: a field is empty or out of its range; the message names it.
        """
        known: dict[str, Sequence[str]] = {
            "ops": list(BLOCKS),
            "reductions": REDUCTIONS,
            "bases": ("none", *REACH),
            "activations": ACTIVATIONS,
        }
        for field in (*known, "widths", "reduced_widths", "kernels"):
            if not getattr(self, field):
                raise ValueError(f"search_space.{field} is empty: give at least one")
        for field, names in known.items():
            for name in getattr(self, field):
                if name not in names:
                    raise UnknownName(f"entry of search_space.{field}", str(name), names)
        counts = (*self.widths, *self.reduced_widths, *self.kernels, self.max_repeat)
        if any(not isinstance(count, int) or count < 1 for count in counts):
            raise ValueError("search_space's widths, kernels and max_repeat: use whole numbers")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"search_space.kernels is {list(self.kernels)}: use odd numbers")

    def propose(self, chooser: Chooser) -> Architecture:
        """Draw one upscaler."""
        reduction = chooser.suggest_categorical("reduction", list(self.reductions))
        reduced = reduction != "none"
        suffix = "reduced" if reduced else "full"
        widths = list(self.reduced_widths if reduced else self.widths)
        activation = chooser.suggest_categorical("activation", list(self.activations))
        stem_kernel = chooser.suggest_categorical("stem_kernel", list(self.kernels))
        stem = chooser.suggest_categorical(f"stem_width_{suffix}", widths)
        blocks = [BlockSpec.of("conv", stem, kernel=stem_kernel, activation=activation)]
        for group in (1, 2):
            repeat = chooser.suggest_int(f"repeat_{group}", 2 - group, self.max_repeat)
            if repeat:
                blocks.append(self._group(chooser, group, suffix, widths, repeat, activation))
        args: dict[str, Scalar] = {
            "base": chooser.suggest_categorical("base", list(self.bases)),
            "centre": True,
            "reduction": reduction,
        }
        if blocks[-1].channels == stem:
            args["skip"] = chooser.suggest_categorical("skip", [False, True])
        return Architecture(
            "upscaler",
            self.channels,
            self.channels,
            self.scale,
            tuple(blocks),
            tuple(sorted(args.items())),
        )

    def _group(
        self, chooser: Chooser, group: int, suffix: str, widths: list[int], repeat: int,
        activation: str,
    ) -> BlockSpec:
        op = chooser.suggest_categorical(f"op_{group}", list(self.ops))
        width = chooser.suggest_categorical(f"width_{group}_{suffix}", widths)
        kernel = chooser.suggest_categorical(f"kernel_{group}", list(self.kernels))
        return BlockSpec.of(op, width, repeat, kernel=kernel, activation=activation)

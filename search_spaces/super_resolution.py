"""The space of small single-image upscalers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Chooser, Scalar
from search_spaces.block_choices import choose_block
from search_spaces.blocks import BLOCKS
from search_spaces.fields import check_counts, check_kernels, check_names
from search_spaces.fixed_kernels import REACH
from search_spaces.primitives import ACTIVATIONS
from search_spaces.skeletons.heads import CHROMAS, COLOURS, HEADS, PLANES

RESIDUAL_BASES = ("bicubic", "nearest")
REDUCTIONS = ("none", "strided", "max_pool", "average_pool", "space_to_depth")
_CHANNELS = {"rgb": 3, "luma": 1, PLANES: 6}
_JOINED_AFTER = ("conv", "separable", "factorized")
"""Blocks that end in a layer with an activation: the head wants features without negative values,
whose size it may choose."""
BLOCK_OPS = ("conv", "separable", "factorized", "residual")


@dataclass(frozen=True)
class SuperResolutionSpace:
    """A stem, two groups of equal blocks, depth-to-space, over a fixed upsampler.

    All arithmetic is at low resolution or below it. `docs/spaces.md` has the reason for each
    choice, and for what is left out.

    Attributes:
        scale: output size / input size.
        planes: `rgb`; `luma` alone; or `ycbcr420` for a video decoder's planes: 6 channels at
            half the picture's size, which are four phases of the luma, Cb and Cr.
        widths: feature counts of a body at the input's size; multiples of 8, because vector
            units and tensor cores compute the padding of any other count all the same.
        reduced_widths: feature counts where a reduction has halved the body's size: a quarter
            of the pixels pays for wider layers.
        max_repeat: blocks per group, at most.
        bases: upsamplers under the learned residual (never learn what is known).
        heads: how residual and base meet: `add`ed up, or in one convolution over features and
            picture that begins as the base (`joined`), which costs less in int8.
        reductions: how the body's size is halved, or `none`.
        ops: blocks to choose from, one kind per group.
        kernels: kernel sizes of the blocks.
        activations: one for the whole network.
        colours: whether the residual of an RGB network is learned for each colour (`rgb`) or once
            for the luma (`luma`), which leaves the base's colours as they are.
        chromas: the same for planes: whether Cb and Cr are learned, or only enlarged by the base.
        start: choices to try first: start small, and grow.
    """

    scale: int = 2
    planes: str = "rgb"
    widths: Sequence[int] = (8, 16, 24, 32)
    reduced_widths: Sequence[int] = (16, 24, 32, 48, 64)
    max_repeat: int = 4
    bases: Sequence[str] = RESIDUAL_BASES
    heads: Sequence[str] = ("add",)
    reductions: Sequence[str] = REDUCTIONS
    ops: Sequence[str] = BLOCK_OPS
    kernels: Sequence[int] = (3, 5)
    activations: Sequence[str] = ("relu", "prelu")
    colours: Sequence[str] = ("rgb",)
    chromas: Sequence[str] = CHROMAS
    start: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Refuse a space that holds nothing or cannot be built.

        Raises:
            UnknownName: no such block, reduction, upsampler, activation, colour or chroma.
            ValueError: a field is empty or out of its range; the message names it.
        """
        known: dict[str, Sequence[str]] = {
            "ops": list(BLOCKS),
            "reductions": REDUCTIONS,
            "bases": ("none", *REACH),
            "heads": HEADS,
            "activations": ACTIVATIONS,
            "colours": COLOURS,
            "chromas": CHROMAS,
        }
        check_names(self, known)
        for name in ("widths", "reduced_widths"):
            check_counts(name, getattr(self, name))
        for name in ("scale", "max_repeat"):
            check_counts(name, [getattr(self, name)])
        check_kernels("kernels", self.kernels)
        if self.planes not in _CHANNELS:
            known_planes = ", ".join(_CHANNELS)
            raise ValueError(f"search_space.planes is '{self.planes}': use one of {known_planes}")
        field, whole, _ = self._residuals()
        if "none" in self.bases and whole not in getattr(self, field):
            raise ValueError(
                f"search_space.bases offers none, where nothing but the network makes colours: "
                f"offer {whole} in search_space.{field}, or no such base"
            )

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
        if self._joins(chooser, blocks[-1], args):
            args |= {"head": "joined", "centre": False}
        else:
            if blocks[-1].channels == stem:
                args["skip"] = chooser.suggest_categorical("skip", [False, True])
            args |= self._colours(chooser, args["base"])
        channels = _CHANNELS[self.planes]
        return Architecture(
            "upscaler", one_to_one(channels, channels, self.scale),
            tuple(blocks),
            tuple(sorted(args.items())),
        )

    def _joins(
        self, chooser: Chooser, last: BlockSpec, args: Mapping[str, Scalar]
    ) -> bool:
        """Whether the head reads features and picture, where the last features let it."""
        fits = last.op in _JOINED_AFTER and last.arg("activation", "none") == "relu"
        if not fits or args["base"] == "none" or self.planes == PLANES:
            return False
        if len(self.heads) == 1:
            return self.heads[0] == "joined"
        return bool(chooser.suggest_categorical("head", list(self.heads)) == "joined")

    def _group(
        self, chooser: Chooser, group: int, suffix: str, widths: list[int], repeat: int,
        activation: str,
    ) -> BlockSpec:
        return choose_block(
            chooser,
            str(group),
            ops=self.ops,
            kernels=self.kernels,
            channels=chooser.suggest_categorical(f"width_{group}_{suffix}", widths),
            repeat=repeat,
            activation=activation,
        )

    def _colours(self, chooser: Chooser, base: Scalar) -> dict[str, Scalar]:
        """What is learned of the colours; without a base all of it has to be."""
        if _CHANNELS[self.planes] == 1:
            return {}
        field, whole, name = self._residuals()
        offered = list(getattr(self, field)) if base != "none" else [whole]
        chosen = chooser.suggest_categorical(name, offered) if len(offered) > 1 else offered[0]
        args: dict[str, Scalar] = {"planes": PLANES} if self.planes == PLANES else {}
        return args if chosen == whole else args | {name: chosen}

    def _residuals(self) -> tuple[str, str, str]:
        """The field that says what is learned of the colours, its whole, and the choice's name."""
        if self.planes == PLANES:
            return "chromas", "learned", "chroma"
        return "colours", "rgb", "colour"

"""The space of multi-scale networks: denoising, antialiasing, style, dense prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, Chooser, Scalar, UnknownName
from search_spaces.block_choices import choose_block
from search_spaces.blocks import BLOCKS, HALVING
from search_spaces.fields import check_counts, check_kernels, check_names
from search_spaces.fixed_kernels import REACH
from search_spaces.primitives import ACTIVATIONS
from search_spaces.skeletons.encoder_decoder import ENTRIES, INPUT, JOINS
from search_spaces.skeletons.resampling import GROWTHS, REDUCTIONS

WIDTHS = ((8, 16, 24, 32), (16, 24, 32, 48), (24, 32, 48, 64), (32, 48, 64, 96))


@dataclass(frozen=True)
class EncoderDecoderSpace:
    """A stem and groups of equal blocks, halved level by level, grown back and joined by skips.

    `docs/spaces.md` has the reason for each choice, and for what is left out.

    Attributes:
        scale: output size / input size.
        widths: feature counts to choose from, one list per level from the input's size down;
            their number less one is the most halvings.
        levels: numbers of halvings to choose from; 0 is a network of one scale.
        multiple: both sides of every input are a multiple of it; deeper networks than fit it are
            not offered, nor half-size entries.
        entries: whether level 0 has the input's size, or half of it.
        max_repeat: blocks per level and side, at most.
        joins: how an encoder's output meets its decoder.
        bases: what the output is added to; None for what fits: the input or none at scale 1
            with as many channels out as in, fixed upsamplers above.
        start: choices to try first.
    """

    in_channels: int = 3
    out_channels: int = 3
    scale: int = 1
    widths: Sequence[Sequence[int]] = WIDTHS
    levels: Sequence[int] = (0, 1, 2, 3)
    multiple: int = 8
    entries: Sequence[str] = ENTRIES
    max_repeat: int = 3
    reductions: Sequence[str] = REDUCTIONS
    growths: Sequence[str] = GROWTHS
    joins: Sequence[str] = ("add", "concat")
    bases: Sequence[str] | None = None
    ops: Sequence[str] = ("conv", "separable", "factorized", "residual")
    kernels: Sequence[int] = (3, 5)
    activations: Sequence[str] = ("relu", "prelu")
    start: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Refuse a space that holds nothing or cannot be built.

        Raises:
            UnknownName: no such block, entry, reduction, growth, join, base or activation.
            ValueError: a field is empty or out of its range; the message names it.
        """
        known: dict[str, Sequence[str]] = {
            "ops": [op for op in BLOCKS if op not in HALVING],
            "entries": ENTRIES, "reductions": REDUCTIONS, "growths": GROWTHS,
            "joins": JOINS, "activations": ACTIVATIONS,
        }
        check_names(self, known)
        check_kernels("kernels", self.kernels)
        for name in ("in_channels", "out_channels", "scale", "multiple", "max_repeat"):
            check_counts(name, [getattr(self, name)])
        check_counts("levels", self.levels, least=0)
        for list_of_level in self.widths:
            check_counts("widths", list_of_level)
        if max(self.levels) >= len(self.widths):
            raise ValueError(
                f"search_space.levels goes to {max(self.levels)}, search_space.widths holds "
                f"{len(self.widths)} lists: give one list more than there are halvings"
            )
        for levels in self.levels:
            if not self._entries(levels):
                raise ValueError(
                    f"search_space.levels has {levels}, by which search_space.multiple="
                    f"{self.multiple} cannot be halved: raise the one or lower the other"
                )
        for base in self.bases or ():
            known_bases = ("none", *REACH) if self.scale > 1 else self._fitting_bases()
            if base not in known_bases:
                raise UnknownName("entry of search_space.bases", base, known_bases)

    def propose(self, chooser: Chooser) -> Architecture:
        """Draw one network."""
        levels = chooser.suggest_categorical("levels", list(self.levels))
        entries = self._entries(levels)
        args: dict[str, Scalar] = {"centre": True, "entry": entries[0]}
        if len(entries) > 1:
            args["entry"] = chooser.suggest_categorical("entry", entries)
        activation = chooser.suggest_categorical("activation", list(self.activations))
        if levels:
            args["reduction"] = chooser.suggest_categorical("reduction", list(self.reductions))
            args["growth"] = chooser.suggest_categorical("growth", list(self.growths))
            args["join"] = chooser.suggest_categorical("join", list(self.joins))
        bases = list(self.bases or self._fitting_bases())
        args["base"] = chooser.suggest_categorical("base", bases)
        blocks = [
            block
            for level in range(levels + 1)
            for block in self._level(chooser, level, activation, deepest=level == levels)
        ]
        return Architecture(
            "encoder_decoder", one_to_one(self.in_channels, self.out_channels, self.scale),
            tuple(blocks),
            tuple(sorted(args.items())),
        )

    def _level(
        self, chooser: Chooser, level: int, activation: str, *, deepest: bool
    ) -> list[BlockSpec]:
        """The blocks of one level: the encoder's, and the decoder's of the same kind."""
        width = chooser.suggest_categorical(f"width_{level}", list(self.widths[level]))
        blocks = []
        if level == 0:
            kernel = chooser.suggest_categorical("stem_kernel", list(self.kernels))
            blocks.append(BlockSpec.of("conv", width, kernel=kernel, activation=activation))
        repeats = {"encoder": chooser.suggest_int(f"encoder_{level}", level > 0, self.max_repeat)}
        if not deepest:
            repeats["decoder"] = chooser.suggest_int(f"decoder_{level}", 0, self.max_repeat)
        if not any(repeats.values()):
            return blocks
        block = choose_block(
            chooser,
            str(level),
            ops=self.ops,
            kernels=self.kernels,
            channels=width,
            repeat=1,
            activation=activation,
        )
        for side, repeat in repeats.items():
            if repeat:
                args = dict(block.args) | {"level": level, "side": side}
                blocks.append(BlockSpec.of(block.op, width, repeat, **args))
        return blocks

    def _entries(self, levels: int) -> list[str]:
        """The entries that an input of `multiple` can be halved by so often."""
        halvings = {"full": levels, "space_to_depth": levels + 1}
        return [entry for entry in self.entries if self.multiple % 2 ** halvings[entry] == 0]

    def _fitting_bases(self) -> Sequence[str]:
        if self.scale > 1:
            return ("bicubic", "nearest")
        return (INPUT, "none") if self.in_channels == self.out_channels else ("none",)

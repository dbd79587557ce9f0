"""The space of networks that enlarge or clean a renderer's frames and remember what they made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.moving import MEMORIES, PICTURE, moving
from search_spaces.base import Architecture, BlockSpec, Chooser, Scalar
from search_spaces.block_choices import choose_block
from search_spaces.blocks import BLOCKS
from search_spaces.fields import check_counts, check_kernels, check_names
from search_spaces.fixed_kernels import REACH
from search_spaces.primitives import ACTIVATIONS
from search_spaces.skeletons.recurrent import BLENDS, ENTRIES


@dataclass(frozen=True)
class RecurrentSpace:
    """A stem, a group of equal blocks at low size or half of it, and a head over a fixed base.

    Attributes:
        scale: output size / input size, 1 or 2.
        memory: what is carried: `none`, the `picture`, or `features` at low size.
        hidden: how many features are carried; a multiple of 8.
        widths: feature counts, multiples of 8.
        max_repeat: blocks behind the stem, at most.
        entries: whether the history is read by the stem (`early`) or behind it (`late`).
        warps: whether it is moved along the motion first.
        blends: how it reaches the picture beside the body (`skeletons.recurrent`).
        halved: whether the body behind the stem has half the size.
        bases: upsamplers under what is learned; the picture itself where the scale is 1.
        ops: blocks to choose from.
        kernels: kernel sizes of the stem and the blocks.
        activations: one for the whole network.
        start: choices to try first.
    """

    scale: int = 2
    memory: str = PICTURE
    hidden: int = 8
    widths: Sequence[int] = (8, 16, 24, 32)
    max_repeat: int = 4
    entries: Sequence[str] = ENTRIES
    warps: Sequence[bool] = (True,)
    blends: Sequence[str] = BLENDS
    halved: Sequence[bool] = (False, True)
    bases: Sequence[str] = ("bicubic", "bilinear", "nearest")
    ops: Sequence[str] = ("conv", "separable", "factorized", "residual")
    kernels: Sequence[int] = (3, 5)
    activations: Sequence[str] = ("relu", "prelu")
    start: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Refuse a space that holds nothing or cannot be built.

        Raises:
            UnknownName: no such entry, blend, upsampler, block or activation.
            ValueError: a field is empty or out of its range; the message names it.
        """
        known: dict[str, Sequence[Any]] = {
            "entries": ENTRIES, "warps": (True, False), "blends": BLENDS,
            "halved": (True, False), "bases": list(REACH), "ops": list(BLOCKS),
            "activations": ACTIVATIONS,
        }
        check_names(self, known)
        if self.memory not in MEMORIES:
            raise ValueError(
                f"search_space.memory is '{self.memory}': use one of {', '.join(MEMORIES)}"
            )
        if self.scale not in (1, 2):
            raise ValueError(f"search_space.scale is {self.scale}: use 1 or 2")
        check_counts("widths", self.widths)
        for name in ("max_repeat", "hidden"):
            check_counts(name, [getattr(self, name)])
        check_kernels("kernels", self.kernels)
        if not self._blends():
            raise ValueError(
                f"search_space.blends is {list(self.blends)}, and a memory of '{self.memory}' "
                "cannot be mixed: offer none"
            )

    def propose(self, chooser: Chooser) -> Architecture:
        """Draw one network."""
        activation = self._one(chooser, "activation", self.activations)
        stem = BlockSpec.of(
            "conv", self._one(chooser, "stem_width", self.widths),
            kernel=self._one(chooser, "stem_kernel", self.kernels), activation=activation,
        )
        body = choose_block(
            chooser, "1", ops=self.ops, kernels=self.kernels,
            channels=self._one(chooser, "width_1", self.widths),
            repeat=chooser.suggest_int("repeat_1", 1, self.max_repeat), activation=activation,
        )
        args: dict[str, Scalar] = {"halved": self._one(chooser, "halved", self.halved)}
        if self.memory != "none":
            args |= {
                "entry": self._one(chooser, "entry", self.entries),
                "warped": self._one(chooser, "warped", self.warps),
                "blend": self._one(chooser, "blend", self._blends()),
            }
        if self.scale > 1:
            args["base"] = self._one(chooser, "base", self.bases)
        signature = moving(self.scale, memory=self.memory, hidden=self.hidden)
        return Architecture("recurrent", signature, (stem, body), tuple(sorted(args.items())))

    def _blends(self) -> list[str]:
        """Those that this memory can take part in."""
        if self.memory == PICTURE:
            return list(self.blends)
        return [blend for blend in self.blends if blend == "none"]

    @staticmethod
    def _one(chooser: Chooser, name: str, offered: Sequence[Any]) -> Any:
        """One of what is offered; nobody is asked where there is only one."""
        if len(offered) == 1:
            return offered[0]
        return chooser.suggest_categorical(name, list(offered))

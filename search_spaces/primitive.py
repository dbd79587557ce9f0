"""What every primitive of a Graph has in common. Pure data, no torch, no ONNX.

A primitive owns its facts: what it makes of channels and sizes, what it costs, which channels
belong together. Its two readings are functions that are registered under its type: the torch one
in `plain_ops.py` (`layers.py` for those with weights), the ONNX one in `onnx_ops.py`
(`onnx_writer.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from search_spaces.base import InvalidArchitecture, UnknownName

ACTIVATIONS = (
    "none", "relu", "prelu", "leaky_relu", "relu6", "clip", "tanh", "sigmoid", "hardsigmoid",
    "hardswish", "silu", "gelu",
)
"""`prelu` has one learned slope per channel, `leaky_relu` a fixed one; `clip` is to [0, 1]."""
Shape = tuple[int, ...]
"""(channels, height, width) of one tensor, (channels,) after Flatten; the batch is left out."""
Tie = tuple[int, int, int]
"""(own channel, which input, its channel): they stay or go together."""


@dataclass(frozen=True)
class Primitive:
    """What every primitive has: the indices of the nodes it reads.

    The defaults below are those of a primitive that works on each value by itself.
    """

    inputs: tuple[int, ...]
    keeps_levels: ClassVar[bool] = False
    """Whether every value it gives is one that it has read."""
    whole_inputs: ClassVar[tuple[int, ...]] = ()
    """Which of its inputs must keep all their channels."""

    def channels_from(self, sources: Sequence[int]) -> int:
        """Feature count of its output, from those of its inputs."""
        return sources[0]

    def size_from(self, sources: Sequence[Shape]) -> tuple[int, ...]:
        """(H, W) of its output, from the shapes of its inputs; () for a vector."""
        return sources[0][1:]

    @property
    def divisor(self) -> int:
        """What the height and width of its input must divide by."""
        return 1

    @property
    def reach(self) -> int | None:
        """Pixels of its input that it reads on a side beyond its own place; None for all."""
        return 0

    def misfit(self, sources: Sequence[Shape]) -> str:
        """Why it cannot read tensors of these shapes, for people; empty where it can."""
        return ""

    def weights(self, in_channels: int) -> int:
        """Numbers in its kernel, learned or not."""
        return 0

    def params(self, in_channels: int) -> int:
        """Learned numbers."""
        return 0

    def macs(self, sources: Sequence[Shape], made: Shape) -> int:
        """Multiply-adds; those of convolutions only are counted, as published tables do."""
        return 0

    def ties(self, sources: Sequence[int]) -> list[Tie] | None:
        """Which channels stay or go together when some are removed.

        None where none may: neither of those that it reads nor of those that it makes. What has
        no tie is made anew.

        Args:
            sources: feature counts of its inputs.
        """
        return [(channel, 0, channel) for channel in range(sources[0])]

    def keeping(
        self, own: Sequence[int], sources: Sequence[Sequence[int]], before: Sequence[int]
    ) -> Primitive:
        """The primitive with fewer channels.

        Args:
            own: of its channels those that stay, ascending.
            sources: the same of its inputs.
            before: feature counts of its inputs as they were.
        """
        return self


def check_name(kind: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not known.

    Raises:
        UnknownName: lists those that are.
    """
    if name not in known:
        raise UnknownName(kind, name, known)


def check_activation(name: str, slope: float) -> None:
    """Refuse an activation that there is not, or a slope that is not its own.

    Raises:
        UnknownName: no such activation.
        InvalidArchitecture: the slope does not belong to the activation.
    """
    check_name("activation", name, ACTIVATIONS)
    if name == "leaky_relu" and not 0.0 < slope < 1.0:
        raise InvalidArchitecture(f"a leaky_relu of slope {slope}: give one between 0 and 1")
    if name != "leaky_relu" and slope != 0.0:
        raise InvalidArchitecture(f"a slope of {slope} for '{name}': only leaky_relu has one")


def by(shape: Shape) -> str:
    """Height and width in words."""
    return f"{shape[1]}x{shape[2]}"

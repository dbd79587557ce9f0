"""What a format of a player is given, and what it may refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from search_spaces.graph import Graph
from search_spaces.primitives import Primitive
from search_spaces.reach import multiple_of
from search_spaces.weights import Weights

FloatPrecision = Literal["fp32", "fp16"]
Files = Mapping[str, bytes]
"""The contents of a format's files by their names."""


class Unwritable(ValueError):
    """This network cannot be had in this format; the message names the layer and says why."""


@dataclass(frozen=True)
class Source:
    """A trained network that makes one picture of one, as every format is given it.

    Attributes:
        name: of its files, without a suffix.
        graph: convolutions are the only layers with kernels in it.
        weights: by `n<index>.weight`, `.bias` and `.slope`, in fp32.
        planes: what a picture is to it: `rgb`, `luma` or `ycbcr420`; empty where nothing tells.
        scale: the size of its output over that of its input.
        largest: value between its layers when it was exported; 0 where nothing tells.
    """

    name: str
    graph: Graph
    weights: Weights
    planes: str
    scale: int
    largest: float = 0.0

    @property
    def multiple(self) -> int:
        """What height and width of a picture have to divide by."""
        return multiple_of(self.graph)


Write = Callable[[Source, FloatPrecision], Files]
"""One format: the files that a player loads.

Raises:
    Unwritable: see there.
"""


def require_half(source: Source) -> None:
    """Refuse half precision for a network that would become infinite in it.

    Raises:
        Unwritable: it has values that fp16 does not hold.
    """
    most = float(np.finfo(np.float16).max)
    if not source.largest <= most:
        raise Unwritable(
            f"{source.name} has values of {source.largest:.3g} inside, over the {most:g} that "
            "half precision holds: use vsmlrt or ncnn in fp32"
        )


def refused(source: Source, index: int, why: str) -> Unwritable:
    """The one line in which a format refuses a layer.

    Args:
        index: of its node.
        why: goes on from the layer's name.
    """
    node: Primitive = source.graph.nodes[index]
    words = [type(node).__name__, getattr(node, "activation", "none")]
    kind = " ".join(word for word in words if word != "none")
    return Unwritable(f"layer {index} of {source.name} ({kind}) {why}")

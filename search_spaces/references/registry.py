"""Names of published networks, and what their sources say about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.signature import one_to_one
from search_spaces.base import Architecture, BlockSpec, InvalidArchitecture, Scalar, UnknownName

Job = Literal["super_resolution", "denoising", "classification"]
Size = tuple[int, int]

OUTPUT_720P: dict[int, Size] = {2: (360, 640), 3: (240, 427), 4: (180, 320)}
"""Height and width of the input whose enlargement is 1280 x 720, by scale: the input of the
multiply-adds in tables of super-resolution."""
UPSCALES = tuple(range(2, 9))
"""Scales that upscalers can be written at; their papers have some of 2, 3 and 4."""
SAME_SIZE = (1,)


@dataclass(frozen=True)
class Printed:
    """The size of a network as a source prints it.

    Attributes:
        scale: output size / input size.
        params: learned numbers, as printed: `26.8K`, `0.92M` or `50400`; empty where not printed.
        gmacs: billions of multiply-adds, as printed.
        size: height and width of the input of these multiply-adds.
        params_left_out: learned numbers of our Graph that the source does not count; negative
            where it counts more.
        gmacs_left_out: work of our Graph that the source does not count, in billions.
    """

    scale: int
    params: str
    gmacs: str
    size: Size
    params_left_out: int = 0
    gmacs_left_out: float = 0.0


@dataclass(frozen=True)
class Reference:
    """One published network.

    Attributes:
        make: its architecture at a scale.
        paper: authors, title, venue and year.
        job: what it is trained for.
        printed: published sizes, by scale.
        source: where these are printed, if not in the paper.
        note: which form of the network this is, and which convention differs from the source's.
        scales: those it can be had at.
        size: height and width of the input it is usually run at.
    """

    name: str
    make: Callable[[int], Architecture]
    paper: str
    printed: tuple[Printed, ...] = ()
    source: str = ""
    note: str = ""
    job: Job = "super_resolution"
    scales: Sequence[int] = UPSCALES
    size: Size = OUTPUT_720P[2]

    def nearest_scale(self, scale: int) -> int:
        """This scale if the network can be had at it, else its own."""
        return scale if scale in self.scales else self.scales[0]


REFERENCES: dict[str, Reference] = {}
ALIASES: dict[str, str] = {}
"""Other names of the same networks."""


def add(entry: Reference, *aliases: str) -> None:
    """Register a network."""
    REFERENCES[entry.name] = entry
    ALIASES.update(dict.fromkeys(aliases, entry.name))


def reference_named(name: str) -> Reference:
    """What is known about a published network.

    Raises:
        UnknownName: no such network.
    """
    known = ALIASES.get(name, name)
    if known not in REFERENCES:
        raise UnknownName("published network", name, list(REFERENCES))
    return REFERENCES[known]


def reference(name: str, scale: int) -> Architecture:
    """Return a published network at this scale.

    Raises:
        UnknownName: no such network.
        InvalidArchitecture: it does not exist at this scale.
    """
    entry = reference_named(name)
    if scale not in entry.scales:
        known = ", ".join(map(str, entry.scales))
        raise InvalidArchitecture(
            f"the published network '{entry.name}' exists at scale {known}, not at {scale}"
        )
    return entry.make(scale)


def fitting_reference(
    name: str, *, scale: int, in_channels: int, out_channels: int
) -> Architecture:
    """Return a published network for a task that enlarges by `scale`.

    Raises:
        UnknownName: no such network.
        InvalidArchitecture: it is for images of another kind.
    """
    found = reference(name, scale)
    if (found.in_channels, found.out_channels) != (in_channels, out_channels):
        raise InvalidArchitecture(
            f"the published network '{name}' takes {found.in_channels} and gives "
            f"{found.out_channels} channels, the task has {in_channels} and {out_channels}: "
            "name another one"
        )
    return found


def architecture(
    skeleton: str, channels: int, scale: int, blocks: Sequence[BlockSpec], **args: Scalar
) -> Architecture:
    """Write down a network with as many channels at its end as at its beginning."""
    return Architecture(
        skeleton, one_to_one(channels, channels, scale), tuple(blocks), tuple(sorted(args.items()))
    )


def at_720p(scale: int, params: str, gmacs: str, *left_out: float) -> Printed:
    """A size in the usual form of super-resolution's tables.

    Args:
        left_out: what the source does not count: learned numbers, then billions of multiply-adds.
    """
    more = [*left_out, 0, 0]
    return Printed(scale, params, gmacs, OUTPUT_720P[scale], int(more[0]), more[1])

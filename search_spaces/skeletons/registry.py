"""Names of skeletons, and the step from an architecture to its Graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search_spaces.base import Architecture, InvalidArchitecture, UnknownName
from search_spaces.graph import Graph, require_signature

CENTRE = 128 / 255
"""Subtracted from images in [0, 1]: 8-bit values become the integers -128..127 over 255, which
int8 with a scale of 1/255 holds exactly."""

Skeleton = Callable[[Architecture], Graph]
SKELETONS: dict[str, Skeleton] = {}


def skeleton(name: str) -> Callable[[Skeleton], Skeleton]:
    """Register a skeleton under the name that stored architectures use."""

    def register(function: Skeleton) -> Skeleton:
        SKELETONS[name] = function
        return function

    return register


def lower(architecture: Architecture) -> Graph:
    """Write an architecture out as primitives.

    Raises:
        UnknownName: its skeleton or one of its blocks is not registered.
        InvalidArchitecture: its parts do not fit together, or make other inputs and outputs than
            its signature says.
    """
    if architecture.skeleton not in SKELETONS:
        raise UnknownName("skeleton", architecture.skeleton, list(SKELETONS))
    if not architecture.blocks:
        raise InvalidArchitecture(f"the {architecture.skeleton} has no blocks: give it one")
    graph = SKELETONS[architecture.skeleton](architecture)
    require_signature(graph, architecture.signature)
    outputs = architecture.signature.outputs
    pictures = tuple(p.name for p in outputs if p.kind == "image" and p.scale is not None)
    return replace(graph, pictures=pictures)

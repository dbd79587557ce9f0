"""The space of a search: one that ships, or a class of the user's; held against the task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.experiment import Target
from nas.offers import Checked, InvalidSpace, Offers, offers_of
from nas.own_code import told
from nas.study import choosers
from search_spaces.base import Architecture, InvalidArchitecture, SearchSpace, UnknownName
from search_spaces.graph import Graph, Shape, channels_of, shapes_of
from search_spaces.skeletons import lower
from trainers.base import Task

_GROUPS = ("search_space", "policy", "sampler")
_DRAWS = 16


def own_classes(arguments: Sequence[str]) -> list[str]:
    """Hydra's overrides for a command line that may name a class of the user's in a group.

    `search_space._target_=my_module.MySpace` stands for that class with the fields that are given
    beside it, as in `search_space.depth=4`: those of the default space are not its own. So do
    `policy._target_=my_module.MyPolicy` and `sampler._target_=...`.

    Whoever speaks of a sampler means the policy that takes one, and any setting of that sampler,
    not those of its yaml alone.
    """
    found = list(arguments)
    if _of(found, "sampler=", "sampler.") and not _of(found, "policy=", "policy._target_="):
        found = ["policy=optuna", *found]
    for group in _GROUPS:
        named = any(argument.startswith(f"{group}._target_=") for argument in found)
        if named and not any(argument.startswith(f"{group}=") for argument in found):
            fields = [f"+{a}" if a.startswith(f"{group}.") else a for a in found]
            found = [f"~{group}", *fields]
    return [f"++{a}" if a.startswith("sampler.") else a for a in found]


def _of(arguments: Sequence[str], *beginnings: str) -> bool:
    return any(argument.lstrip("+").startswith(beginnings) for argument in arguments)


def find_modules_here() -> None:
    """Let modules of the working folder be found, after everything that is installed."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def check_space(space: SearchSpace, task: Task, target: Target) -> Offers:
    """Refuse a space whose networks are not for this task, before any of them is timed.

    Some networks are drawn through the sampler, as the search draws them.

    Returns:
        what the space offers, by which an edited one is found out later.

    Raises:
        ValueError: it is no space, or asks for what a study cannot keep, or its networks take or
            give pictures of another kind or size, or none of them fits the size of the target or
            of a training crop.
    """
    name = type(space).__name__
    for needed in ("propose", "start"):
        if not hasattr(space, needed):
            raise ValueError(
                f"search_space is {name}, which has no '{needed}': a space has propose(chooser) "
                "and start, the choices to try first, () for none"
            )
    networks, offers = _drawn(space)
    sizes = {"task.crop": (task.crop, task.crop), "target": (target.height, target.width)}
    for field, size in sizes.items():
        _check_size(networks, task, field, size)
    return offers


def _drawn(space: SearchSpace) -> tuple[list[Graph], Offers]:
    """A few networks of a space, and what it asked for.

    Raises:
        ValueError: an exception of the space's own code, with its place.
    """
    offered: dict[str, list[Any]] = {}
    networks: list[Architecture] = []
    try:
        for chooser in choosers(_DRAWS, seed=0):
            networks.append(space.propose(Checked(chooser, offered)))
        graphs = [lower(network) for network in networks]
        return graphs, offers_of(offered, networks)
    except (InvalidSpace, InvalidArchitecture, UnknownName):
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"search_space {type(space).__name__} failed: {told(error)}") from error


def _check_size(
    networks: Sequence[Graph], task: Task, field: str, size: tuple[int, int]
) -> None:
    """Hold a few networks against the task at one input size."""
    height, width = size
    wanted = (task.out_channels, height * task.scale, width * task.scale)
    misfits: list[str] = []
    for graph in networks:
        channels = channels_of(graph.nodes)[0]
        if channels != task.in_channels:
            raise ValueError(
                f"search_space proposes networks of {channels} input channels, and the task has "
                f"{task.in_channels}{_PLANES.get((channels, task.in_channels), '')}"
            )
        try:
            found: Shape = shapes_of(graph, height, width)[-1]
        except InvalidArchitecture as error:
            misfits.append(str(error))
            continue
        if found != wanted:
            raise ValueError(
                f"search_space proposes networks that make {_words(found)} of a "
                f"{height}x{width} input, and the task needs {_words(wanted)}"
            )
    if len(misfits) == len(networks):
        raise ValueError(
            f"no network of search_space takes a {height}x{width} input ({field}): {misfits[0]}"
        )


_PLANES = {
    (1, 3): ": for networks of luma give task.planes=luma",
    (3, 1): ": for networks of colours give task.planes=rgb",
}


def _words(shape: Shape) -> str:
    if len(shape) == 1:
        return f"scores of {shape[0]} classes"
    channels, height, width = shape
    return f"{channels} channels of {height}x{width}"

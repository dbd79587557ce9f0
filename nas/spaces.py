"""The space of a search: one that ships, or a class of the user's; held against the task."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.offers import Checked, InvalidSpace, Offers, offers_of
from nas.own_code import described
from nas.study import choosers
from nas.target import Target
from runtime.signature import Port, Signature
from search_spaces.base import Architecture, InvalidArchitecture, SearchSpace, UnknownName
from search_spaces.graph import Graph, Shape, shapes_of
from search_spaces.primitives import Input
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


def check_space(
    space: SearchSpace, task: Task, target: Target, further: Mapping[str, Target] | None = None
) -> Offers:
    """Refuse a space whose networks are not for this task, before any of them is timed.

    Some networks are drawn through the sampler, as the search draws them.

    Args:
        further: targets that every network has to meet too, by name.

    Returns:
        what the space offers, by which an edited one is found out later.

    Raises:
        ValueError: it is no space, or asks for what a study cannot keep, or its networks take or
            give pictures of another kind or size, or none of them fits the size of a target or
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
    for other, one in (further or {}).items():
        sizes[f"targets.{other}"] = (one.height, one.width)
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
        name = type(space).__name__
        raise ValueError(f"search_space {name} failed: {described(error)}") from error


def _check_size(
    networks: Sequence[Graph], task: Task, field: str, size: tuple[int, int]
) -> None:
    """Hold a few networks against the task at one input size."""
    height, width = size
    signature = task.signature
    wanted = {port.name: port.shape(height, width) for port in signature.outputs}
    misfits: list[str] = []
    for graph in networks:
        _check_inputs(graph, signature)
        try:
            shapes = shapes_of(graph, height, width)
        except InvalidArchitecture as error:
            misfits.append(str(error))
            continue
        found = {name: shapes[index] for name, index in graph.outputs.items()}
        if found != wanted:
            raise ValueError(
                f"search_space proposes networks that make {_made(found)} of a "
                f"{height}x{width} input, and the task needs {_made(wanted)}"
            )
    if len(misfits) == len(networks):
        raise ValueError(
            f"no network of search_space takes a {height}x{width} input ({field}): {misfits[0]}"
        )


def _check_inputs(graph: Graph, signature: Signature) -> None:
    ports = tuple(node.port for node in graph.nodes if isinstance(node, Input))
    if ports == signature.inputs:
        return
    one, other = ports[0].channels, signature.inputs[0].channels
    if len(ports) == len(signature.inputs) == 1 and one != other:
        raise ValueError(
            f"search_space proposes networks of {one} input channels, and the task has "
            f"{other}{_PLANES.get((one, other), '')}"
        )
    raise ValueError(
        f"search_space proposes networks with the inputs {_ports(ports)}, and the task has "
        f"{_ports(signature.inputs)}"
    )


def _ports(ports: Sequence[Port]) -> str:
    return ", ".join(
        f"{p.name} ({p.kind}, {p.channels} channels, "
        f"{'a vector' if p.scale is None else f'scale {p.scale}'})"
        for p in ports
    )


def _made(shapes: Mapping[str, Shape]) -> str:
    """What is made, with names only where there is more than one."""
    words = {name: _words(shape) for name, shape in shapes.items()}
    named = (f"{text} ({name})" for name, text in words.items())
    return " and ".join(named if len(words) > 1 else words.values())


_PLANES = {
    (1, 3): ": for networks of luma give task.planes=luma",
    (3, 1): ": for networks of colours give task.planes=rgb",
}


def _words(shape: Shape) -> str:
    if len(shape) == 1:
        return f"scores of {shape[0]} classes"
    channels, height, width = shape
    return f"{channels} channels of {height}x{width}"

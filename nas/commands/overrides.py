"""What people type on the command line, made ready for Hydra's grammar; misspelt names told."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from nas.kinds import meant

_PATHLIKE = ("~", "/", "./", "../")
_PLAIN = re.compile(r"[\w./:+-]*", re.ASCII)
_NAMELESS = re.compile(
    r"(runs_dir|worker|measuring|variant|study|storage|tracking|trainer|cluster|hydra|workers"
    r"|(workers|storage|tracking|cluster|hydra)[./].*|hydra/.*|trainer\.logger.*"
    r"|study\.(name|candidates|finalists|limits|max_minutes|patience|references"
    r"|training_processes)"
    r"|target\.(height|width|precision|max_latency_ms)|task\.scale)$"
)
_TEXTS = re.compile(
    r"(runs_dir|study\.(name|table)|task\.data\.(train|val|train_low|val_low)"
    r"|tracking\.(project|entity)|weights|teacher)$"
)
"""Settings that are text, also where it looks like a number or a truth value."""
_LONGEST = 60
MULTIRUN = {"-m", "--multirun"}
SHOWING = {"--cfg", "-c", "--help", "-h", "--hydra-help", "--info", "-i", "--resolve"}
_TAKEN = re.compile(r"\+?target(@targets\.(?P<name>[\w-]+))?=(?P<option>.+)")
_TOLD_OF = re.compile(r"\+*targets\.(?P<name>[\w-]+)\.")
_LIMIT = re.compile(r"\+*target\.max_latency_ms=")
_UNKNOWN = re.compile(r"Could not override '([^']+)'")


def readable(arguments: Sequence[str]) -> list[str]:
    """Overrides as Hydra reads them: `~` is the home folder, and any path may be given as it is.

    What is a name stays one: `study.name=1e5` is not a hundred thousand.

    A shell leaves `task.data.train=~/photos` alone, because that is no variable's name, and
    Hydra's grammar has neither `~` nor blanks, brackets, quotes and most letters.
    """
    return [_readable(argument) for argument in arguments]


def _readable(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not equals or name.startswith("-"):
        return argument
    if _TEXTS.match(name) and _PLAIN.fullmatch(value) and value not in ("", "null"):
        return f"{name}={quoted(value)}"
    if not value.startswith(_PATHLIKE):
        return argument
    path = str(Path(value).expanduser()) if value.startswith("~") else value
    if _PLAIN.fullmatch(path):
        return f"{name}={path}"
    return f"{name}={quoted(path)}"


def quoted(text: str) -> str:
    """A string as Hydra's grammar takes any; only backslashes before a quote are special in it."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def variant_of(arguments: Sequence[str]) -> str:
    """What tells this search from one with the defaults, to be a part of its name: `-luma-photos`.

    So a second search with another loss or other pictures gets a folder of its own, and the same
    command finds its own again. What the name says already, and what changes where or how long a
    search runs but not what it looks for, is left out.
    """
    words: set[str] = set()
    for argument in arguments:
        name, equals, value = argument.lstrip("+").partition("=")
        if equals and not name.startswith(("-", "~")) and not _NAMELESS.match(name):
            words.add(_word(name, value.strip("'\"")))
    told = "".join(f"-{word}" for word in sorted(words - {""}))
    if len(told) <= _LONGEST:
        return told
    return f"{told[:_LONGEST]}-{zlib.crc32(told.encode()):08x}"


def unswept(arguments: Sequence[str]) -> list[str]:
    """What all jobs of a sweep have in common: without what differs between them, and its flag.

    Raises:
        hydra.errors.HydraException: an override cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser, kept = OverridesParser.create(), []
    for argument in arguments:
        setting = "=" in argument and not argument.startswith("-")
        swept = setting and parser.parse_override(argument).is_sweep_override()
        if not swept and argument not in MULTIRUN:
            kept.append(argument)
    return kept


def named(arguments: Sequence[str]) -> list[str]:
    """The setting that names a run by its variant, before these; none where they name it."""
    if any(argument.startswith(("study.name=", "variant=")) for argument in arguments):
        return list(arguments)
    variant = variant_of(arguments)
    return [*([f"variant={quoted(variant)}"] if variant else []), *arguments]


def with_targets(arguments: Sequence[str]) -> list[str]:
    """The settings that make each further target that these speak of, before them.

    And the limit of a search that is asked for several: the largest of `study.limits`.

    `targets.small.height=180` speaks of one called `small`. It begins as the group that `target`
    is taken from, or as `target@targets.small=<another>` says.
    """
    usual, begins, rest = "cpu", dict[str, str](), list[str]()
    for argument in arguments:
        taken, told = _TAKEN.fullmatch(argument), _TOLD_OF.match(argument)
        if taken is not None and taken["name"]:
            begins[taken["name"]] = taken["option"]
            continue
        if taken is not None:
            usual = taken["option"]
        elif told is not None:
            begins.setdefault(told["name"], "")
        rest.append(argument)
    if (limit := _largest_limit(arguments)) and not any(map(_LIMIT.match, arguments)):
        rest.append(f"target.max_latency_ms={limit}")
    made = [f"+target@targets.{name}={option or usual}" for name, option in begins.items()]
    return [*made, *rest]


def _largest_limit(arguments: Sequence[str]) -> str:
    """As it was typed; empty where these give no list of numbers."""
    listed = [argument for argument in arguments if argument.startswith("study.limits=[")]
    words = re.findall(r"[^\[\],\s]+", listed[-1].partition("=")[2]) if listed else []
    numbers = [word for word in words if re.fullmatch(r"\d+(\.\d+)?", word)]
    return max(numbers, key=float) if words and numbers == words else ""


def _word(name: str, value: str) -> str:
    leaf = re.split(r"[./@]", name)[-1]
    if leaf == "_target_":
        told = value.rpartition(".")[2]
    elif value.startswith(_PATHLIKE):
        told = Path(value).name
    elif re.fullmatch(r"[A-Za-z_]\w*", value) and value not in ("true", "false", "null"):
        told = value
    else:
        told = f"{leaf}-{Path(value).name if '/' in value else value}"
    return re.sub(r"[^A-Za-z0-9._]+", "-", told).strip("-.")


def in_turn(arguments: Sequence[str]) -> list[list[str]]:
    """The searches that `-m` asks for, one study after the other, each as arguments of its own.

    Only `worker` tells processes of one study apart; every other setting with several values
    stands for as many studies.

    Raises:
        HydraException: an argument is no override.
        ValueError: a range of values that is not a list of them.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Glob

    each: list[list[str]] = []
    workers = False
    for argument in arguments:
        if argument.startswith("-"):
            each += [[argument]] if argument not in MULTIRUN else []
            continue
        override = OverridesParser.create().parse_override(argument)
        is_worker = override.key_or_group == "worker"
        workers = workers or is_worker
        if is_worker or not override.is_sweep_override():
            each.append([argument])
        elif override.is_discrete_sweep() and not isinstance(override.value(), Glob):
            name = override.get_key_element()
            each.append([f"{name}={value}" for value in override.sweep_string_iterator()])
        else:
            raise ValueError(f"{argument}: with -m give the values themselves, as in name=1,2,3")
    if not workers and any(a.startswith("cluster=") for a in arguments):
        raise ValueError("say how many workers there are, as in worker='range(0,4)'")
    last = ["--multirun"] if workers else []
    return [[*found, *last] for found in product(*each)]


def unread_addition(arguments: Sequence[str], config: Mapping[Any, Any], config_name: str) -> str:
    """Why `+name=value` adds nothing that anybody reads; empty where all additions have a place.

    Hydra itself suggests to add what it does not know, and then nothing happens.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("+"):
            name = name.lstrip("+").rpartition("@")[2]
            top = re.split(r"[./]", name)[0]
            if top in config and top not in _known_at_the_top(config_name):
                return _told(name, config_name)
    return ""


def _known_at_the_top(config_name: str) -> set[str]:
    """The groups of a command's settings, and what stands beside them."""
    from omegaconf import OmegaConf

    own = OmegaConf.to_container(OmegaConf.load(str(files("conf") / f"{config_name}.yaml")))
    assert isinstance(own, dict)
    found = {"task_references", *map(str, own)}
    for part in own["defaults"]:
        if isinstance(part, str):
            found |= _known_at_the_top(part) if part != "_self_" else set()
        else:
            found |= {str(group).removeprefix("optional ") for group in part}
    return found - {"defaults", "hydra"}


def unknown_name(message: str, config_name: str) -> str:
    """Hydra's words about a name that it does not know, in ours; empty for other messages."""
    found = _UNKNOWN.search(message)
    return _told(found.group(1), config_name) if found else ""


def plain(error: BaseException, verb: str, config_name: str) -> str:
    """A configuration error in one line, with what there is instead, and where to look."""
    said = str(error)
    listed = re.search(r"Could not find '(\S+)/(\S+)'\s+Available options in '\S+':\n"
                       r"((?:\s+\S+\n)+)", said)
    if listed:
        group, name, known = listed[1], listed[2], listed[3].split()
        told = f"there is no {group}={name}{meant(name, known)}; there are {', '.join(known)}"
    else:
        lines = [line for line in said.splitlines() if line.strip()]
        kept = [line for line in lines if "full_key" not in line and "object_type" not in line]
        told = unknown_name(said, config_name) or " ".join(kept[:4])
    return f"{told} (nas {verb} --cfg job shows all settings)"


def _told(name: str, config_name: str) -> str:
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    from nas.commands.settings_here import composed

    GlobalHydra.instance().clear()
    config = OmegaConf.to_container(composed(config_name, ()), resolve=False)
    known = list(_names(config))
    if name in known:
        return f"'{name}' cannot be set, for its group was taken away or replaced"
    leaf = name.rpartition(".")[2]
    same = [k for k in known if k.rpartition(".")[2] == leaf]
    leaves = {k.rpartition(".")[2]: k for k in reversed(known)}
    close = get_close_matches(name, known, 3) + [
        leaves[k] for k in get_close_matches(leaf, list(leaves), 2)
    ]
    likely = list(dict.fromkeys(same or close))[:3]
    hint = f"did you mean {' or '.join(likely)}?" if likely else "there is none like it;"
    return f"there is no setting '{name}': {hint}"


def _names(config: Any, at: str = "") -> Iterator[str]:
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        name = f"{at}.{key}" if at else str(key)
        if not str(key).startswith("_"):
            yield name
            yield from _names(value, name)

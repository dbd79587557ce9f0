"""What people type on the command line, made ready for Hydra's grammar; misspelt names told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

_PATHLIKE = ("~", "/", "./", "../")
_PLAIN = re.compile(r"[\w./:+-]*", re.ASCII)
_UNKNOWN = re.compile(r"Could not override '([^']+)'")


def readable(arguments: Sequence[str]) -> list[str]:
    """Overrides as Hydra reads them: `~` is the home folder, and any path may be given as it is.

    A shell leaves `task.data.train=~/photos` alone, because that is no variable's name, and
    Hydra's grammar has neither `~` nor blanks, brackets, quotes and most letters.
    """
    return [_readable(argument) for argument in arguments]


def _readable(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if not equals or name.startswith("-") or not value.startswith(_PATHLIKE):
        return argument
    path = str(Path(value).expanduser()) if value.startswith("~") else value
    if _PLAIN.fullmatch(path):
        return f"{name}={path}"
    return f"{name}={quoted(path)}"


def quoted(text: str) -> str:
    """A string as Hydra's grammar takes any; only backslashes before a quote are special in it."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"


def unknown_addition(arguments: Sequence[str], config_name: str) -> str:
    """Why `+name=value` adds nothing that anybody reads; empty where all additions have a place.

    Hydra itself suggests to add what it does not know, and then nothing happens.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("+") and "." not in name and "/" not in name and "@" not in name:
            return _told(name.lstrip("+"), config_name)
    return ""


def unknown_name(message: str, config_name: str) -> str:
    """Hydra's words about a name that it does not know, in ours; empty for other messages."""
    found = _UNKNOWN.search(message)
    return _told(found.group(1), config_name) if found else ""


def _told(name: str, config_name: str) -> str:
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    with initialize_config_module("conf", version_base="1.3"):
        config = OmegaConf.to_container(compose(config_name), resolve=False)
    known = list(_names(config))
    leaf = name.rpartition(".")[2]
    same = [k for k in known if k.rpartition(".")[2] == leaf]
    leaves = {k.rpartition(".")[2]: k for k in reversed(known)}
    close = get_close_matches(name, known, 3) + [
        leaves[k] for k in get_close_matches(leaf, list(leaves), 2)
    ]
    meant = list(dict.fromkeys(same or close))[:3]
    hint = f"did you mean {' or '.join(meant)}?" if meant else "there is none like it;"
    return f"there is no setting '{name}': {hint}"


def _names(config: Any, at: str = "") -> Iterator[str]:
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        name = f"{at}.{key}" if at else str(key)
        if not str(key).startswith("_"):
            yield name
            yield from _names(value, name)

"""Settings that cannot be, made from the types of those that can.

The composed configuration is walked, and beside each setting the class that takes it; options of
the verbs that measure are taken from their parsers. For every kind of value there is a list of
what it is not.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import random
import sys
from collections.abc import Iterator, Mapping
from pydoc import locate
from typing import Any, Literal, get_args, get_origin

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from nas.experiment import Plan
from nas.storage import StorageSettings
from nas.target import Target
from nas.tracking.base import TrackingSettings
from nas.workers.roster import Pace
from trainers.budget import Budget

LONG = "x" * 5000
HUGE = 10**30
CLASSES: Mapping[str, Any] = {
    "study": Plan, "target": Target, "budget": Budget, "workers": Pace,
    "storage": StorageSettings, "tracking": TrackingSettings,
}
CHOICES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "config": (
        (), ("task=denoising",), ("policy=gaussian_process",), ("tracking=wandb",),
        ("task/degradation=camera",), ("task/loss=fine_detail",), ("task/loss=structural",),
        ("search_space=super_resolution_wide",),
    ),
    "train": ((), ("budget=quick",)),
}
"""Groups beside the defaults whose settings are tried."""
_AT_THE_TOP: Mapping[str, Any] = {
    "runs_dir": str, "measuring": Literal["here", "served"], "worker": int | None,
    "weights": str | None, "teacher": str | None, "teacher_weight": float,
}
_WRONG: Mapping[type, tuple[str, ...]] = {
    int: (
        "many", "1.5", "true", "inf", "nan", "-inf", "-1", str(2**40), str(HUGE), "''", "null",
        "[1]",
    ),
    float: (
        "fast", "true", "inf", "nan", "-inf", "-1", "1e300", str(HUGE), "''", "null", "[0.5]",
    ),
    bool: ("maybe", "7", "''", "null"),
    str: ("[a]", "{a: 1}", "''", LONG, "null"),
    list: ("{a: 1}", "5", "abc", "[null]", "[[[1]]]", "[nan]", f"[{2**40}]", "null"),
}
_FINE = {
    ("target.max_latency_ms", "inf"): "train",
    # The steps of this many need no memory.
}


def bad_settings(config_name: str) -> list[tuple[str, ...]]:
    """Every bad setting of a command that Hydra reads, each with the groups that it needs."""
    found: dict[str, tuple[str, ...]] = {}
    for groups in CHOICES[config_name]:
        with initialize_config_module("conf", version_base="1.3"):
            config = compose(config_name, overrides=[*groups, *_named(config_name)])
        for name, kind in _settings(config):
            for value in wrong_values(kind):
                if not is_fine(config_name, name, value):
                    found.setdefault(f"{name}={value}", groups)
    return [(*groups, setting) for setting, groups in found.items()]


def _named(config_name: str) -> list[str]:
    return ["network=espcn", "label=espcn"] if config_name == "train" else []


def is_fine(config_name: str, name: str, value: str) -> bool:
    """What the types alone do not say: values that are odd and allowed."""
    return _FINE.get((name, value), "-") in ("", config_name)


def _settings(config: Any) -> Iterator[tuple[str, Any]]:
    """Each setting by its name, with the type of what takes it."""
    for group in config:
        if group in ("variant", "planes", "hydra", "task_references", "network", "label"):
            continue
        node = OmegaConf.select(config, group)
        if group in CLASSES:
            types = parameters(CLASSES[group])
            yield from ((f"{group}.{k}", types[k]) for k in node if k in types)
        elif OmegaConf.is_config(node):
            yield from _of_classes(str(group), node)
        else:
            yield str(group), _AT_THE_TOP[str(group)]


def _of_classes(at: str, node: Any) -> Iterator[tuple[str, Any]]:
    if OmegaConf.is_dict(node):
        target = OmegaConf.to_container(node, resolve=False).get("_target_")  # type: ignore[union-attr]
        types = parameters(locate(str(target))) if target else {}
        for key in node:
            if OmegaConf.is_dict(node[key]):
                yield from _of_classes(f"{at}.{key}", node[key])
            elif key in types:
                yield f"{at}.{key}", types[key]


def parameters(called: Any) -> dict[str, Any]:
    """The types of what a class or a function takes."""
    names = vars(sys.modules[called.__module__])
    found = inspect.signature(called).parameters
    return {n: eval(p.annotation, dict(names)) for n, p in found.items()
            if isinstance(p.annotation, str) and p.annotation != "Any"}


def wrong_values(kind: Any) -> list[str]:
    """What a value of this type is not."""
    inner = [one for one in get_args(kind) if one is not type(None)]
    optional = len(inner) < len(get_args(kind))
    if optional and len(inner) == 1:
        return [value for value in wrong_values(inner[0]) if value != "null"]
    if kind in _WRONG:
        return list(_WRONG[kind])
    if get_origin(kind) is not None and all(isinstance(one, str) for one in inner):
        return ["typo", "3", "''", "[a]", "null", LONG]
    if isinstance(get_origin(kind), type):
        return list(_WRONG[list])
    return []


_TEXTS_OF_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "positive": ("0", "-1", "1.5", "nan", "inf", "many", str(HUGE)),
    "size": ("360", "0x0", "-1x5", "360x", f"{HUGE}x{HUGE}", "nanxnan", LONG),
    "share": ("0", "-1%", "nan", "inf", "500%", "x"),
    "amount": ("nan", "inf", "-1", "0", "fast", "1e300", ""),
    "port": ("nan", "-1", "1.5", "many", "70000", str(HUGE), ""),
    "described_input": ("x", "=", "a=", "a=b", "a=0x1"),
    "_range": ("8:4:1", "0:8:1", "a:b:c", "8:16:0", "nan", "", f"1:{HUGE}:1"),
}


def bad_options(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    """Every option of a parser with values that it must refuse."""
    found = []
    for action in parser._actions:
        option = action.option_strings[-1] if action.option_strings else ""
        if not option or action.nargs == 0:
            continue
        kind = getattr(action.type, "__name__", "")
        if action.choices is not None:
            values: tuple[str, ...] = ("typo", "", "3", LONG)
        else:
            values = _TEXTS_OF_OPTIONS.get(kind, ())
        found += [(option, value) for value in values]
    return found


def drawn(found: list[Any], count: int, *, seed: int) -> list[Any]:
    """So many of them, the same ones every time."""
    return random.Random(seed).sample(found, min(count, len(found)))


def shown(arguments: tuple[str, ...]) -> str:
    """Arguments as the name of a test."""
    return " ".join(a if len(a) < 80 else f"{a[:40]}...({len(a)})" for a in arguments)


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The parser of a verb that Hydra does not read."""
    module = importlib.import_module(f"nas.commands.{verb.replace('-', '_')}")
    parser: argparse.ArgumentParser = module._parser()
    return parser

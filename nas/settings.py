"""Settings held against the types that they are for, before anything heavy is imported."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from pydoc import ErrorDuringImport, locate
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

_LARGEST, _HUGE = 2**63, 1e18
_LONGEST = 200
_ENDLESS = ("target.max_latency_ms",)
"""May be infinite: no limit."""
_SCALARS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
}
_AT_THE_TOP: Mapping[str, Any] = {
    "runs_dir": str,
    "variant": str,
    "measuring": Literal["here", "served"],
    "worker": int | None,
    "weights": str | None,
    "teacher": str | None,
    "teacher_weight": float,
}
_EARLY = ("search_space", "policy")
"""Groups whose own classes load no torch."""


class SettingsError(Exception):
    """What was asked for cannot be done; the message says what to change."""


def check_settings(config: DictConfig) -> None:
    """Refuse whatever can be seen to be wrong without a task, an engine or a study.

    Raises:
        SettingsError: names the setting and what it may be.
    """
    from nas.crew.roster import Pace
    from nas.experiment import Plan, Target
    from nas.spaces import find_modules_here
    from nas.storage import StorageSettings
    from nas.tracking.base import TrackingSettings
    from trainers.budget import Budget

    groups: dict[str, Callable[..., Any]] = {
        "study": Plan, "target": Target, "budget": Budget, "crew": Pace,
        "storage": StorageSettings, "tracking": TrackingSettings,
    }
    try:
        for name, kind in groups.items():
            if name in config:
                kind(**typed(name, kind, config[name]))
        _check_the_rest(config)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    find_modules_here()
    for name in _EARLY:
        if name in config:
            check_calls(name, config[name])


def _check_the_rest(config: DictConfig) -> None:
    for name, kind in _AT_THE_TOP.items():
        if name in config and (use := wanted(kind, config[name])):
            raise SettingsError(f"{name} is '{shortened(config[name])}': use {use}")
    if not config.runs_dir:
        raise SettingsError("runs_dir is empty: give a folder, or . for this one")
    if "network" in config:
        if not config.teacher_weight > 0:
            raise SettingsError(f"teacher_weight is {config.teacher_weight:g}: use a positive one")
        return
    if not isfinite(config.target.max_latency_ms):
        raise SettingsError(
            "target.max_latency_ms is inf: a search needs a limit, so give one that is far away"
        )
    if config.worker is not None and config.worker < 0:
        raise SettingsError(f"worker is {config.worker}: use a whole number from 0 on")


def typed(group: str, kind: Any, node: Any) -> dict[str, Any]:
    """A group's settings by name; refuses what its type does not have or cannot hold.

    Raises:
        SettingsError: names the setting and what it may be.
    """
    values = _plain(node, group)
    types = get_type_hints(kind)
    _refuse_misfits(group, values, types)
    return values


def _plain(node: Any, group: str) -> dict[str, Any]:
    """A group's settings as plain data, without the class that they are for.

    Raises:
        SettingsError: it is no group of settings.
    """
    found = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if not isinstance(found, dict):
        raise SettingsError(
            f"{group} is '{shortened(found)}', which is no group of settings: change one of them, "
            f"as in {group}.<name>=<value>"
        )
    return {str(key): value for key, value in found.items() if key != "_target_"}


def check_calls(at: str, node: Any) -> None:
    """Hold the settings of every class that a group names against what that class takes.

    A class that is not found, or has no annotations, is left to whoever makes it.

    Raises:
        SettingsError: names the setting and what it may be.
    """
    found = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if isinstance(found, Mapping):
        target = found.get("_target_")
        inner = {str(k): v for k, v in found.items() if not str(k).startswith("_")}
        if isinstance(target, str):
            _check_call(at, target, inner)
        for name, value in inner.items():
            check_calls(f"{at}.{name}", value)
    elif isinstance(found, list):
        for number, value in enumerate(found):
            check_calls(f"{at}[{number}]", value)


def _check_call(at: str, target: str, values: Mapping[str, Any]) -> None:
    try:
        called = locate(target)
        signature = inspect.signature(called) if callable(called) else None
    # Whatever the user's file does when it is loaded is told where its class is made.
    except (ErrorDuringImport, ValueError, TypeError, SystemExit):
        return
    if signature is None:
        return
    names = getattr(sys.modules.get(called.__module__), "__dict__", {})
    types = {p.name: _evaluated(p.annotation, names) for p in signature.parameters.values()
             if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values()):
        types = {**dict.fromkeys(values, Any), **types}
    _refuse_misfits(at, values, types)


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """A type that was written as text; one that only type checkers can see says nothing."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(names))
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any


def _refuse_misfits(group: str, values: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name not in types:
            raise SettingsError(
                f"there is no {group}.{name}{meant(name, list(types))}; there are "
                f"{', '.join(types)}"
            )
        if f"{group}.{name}" in _ENDLESS and value == float("inf"):
            continue
        if use := wanted(types[name], value):
            raise SettingsError(f"{group}.{name} is '{shortened(value)}': use {use}")


def wanted(kind: Any, value: Any) -> str:
    """What a value of this type is, in words; nothing where this one is of it.

    Of classes nothing is known, so anything passes.
    """
    inner, origin = get_args(kind), get_origin(kind)
    if origin in (Union, UnionType):
        told = [wanted(one, value) for one in inner]
        return "" if "" in told else " or ".join(dict.fromkeys(told))
    if origin is Literal:
        fits = isinstance(value, str) and value in inner
        return "" if fits else one_of(inner) + meant(value, inner)
    if kind in _SCALARS:
        return _wanted_scalar(kind, value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Sequence):
        return _wanted_list(origin, inner, value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return "" if isinstance(value, Mapping) else "names with values, as {a: 1}"
    return ""


def _wanted_scalar(kind: type, value: Any) -> str:
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _SCALARS[kind]
        return "" if -_HUGE < value < _HUGE else "a number that is finite and not that large"
    if type(value) is not kind:
        return _SCALARS[kind]
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return f"a whole number of less than {len(str(_LARGEST))} digits"
    return ""


def _wanted_list(origin: type, inner: tuple[Any, ...], value: Any) -> str:
    if not isinstance(value, list | tuple):
        return "a list, as [a, b]"
    pair = origin is tuple and Ellipsis not in inner
    if pair and len(value) != len(inner):
        return f"a list of {len(inner)}"
    kinds = inner if pair else inner[:1] * len(value)
    told = [wanted(kind, one) for kind, one in zip(kinds, value, strict=True)]
    return next((f"a list, each of it {use}" for use in told if use), "")


def one_of(known: Sequence[Any]) -> str:
    """`a, b or c`."""
    *first, last = map(str, known)
    return f"{', '.join(first)} or {last}" if first else last


def meant(name: object, known: Sequence[Any]) -> str:
    """What was probably meant, to stand behind what is unknown; nothing where nothing is like it.
    """
    close = get_close_matches(str(name), [str(one) for one in known], 1)
    return f" (did you mean {close[0]}?)" if close else ""


def shortened(value: object) -> str:
    """A value for a message: its beginning where it is long."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

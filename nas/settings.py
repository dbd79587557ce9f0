"""Settings held against the types that they are for, before anything heavy is imported."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from pydoc import ErrorDuringImport, locate
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from omegaconf import DictConfig, OmegaConf

from nas.kinds import meant, shortened, wanted

if TYPE_CHECKING:
    from nas.storage import StorageSettings
    from nas.target import Target

_ENDLESS = ("target.max_latency_ms",)
"""May be infinite: no limit."""
_AT_THE_TOP: Mapping[str, Any] = {
    "runs_dir": str,
    "variant": str,
    "measuring": Literal["here", "served"],
    "worker": int | None,
    "weights": str | None,
    "teacher": str | None,
    "teacher_weight": float,
    "ratio": float,
    "criterion": str,
    "multiple": int,
}
_EARLY = ("search_space", "policy", "sampler")
"""Groups whose own classes load no torch."""


class SettingsError(Exception):
    """What was asked for cannot be done; the message says what to change."""


def check_settings(config: DictConfig) -> None:
    """Refuse whatever can be seen to be wrong without a task, an engine or a study.

    Raises:
        SettingsError: names the setting and what it may be.
    """
    from nas.experiment import Plan
    from nas.extras import TrainerSettings
    from nas.spaces import find_modules_here
    from nas.storage import StorageSettings
    from nas.target import Target
    from nas.tracking.base import TrackingSettings
    from nas.workers.roster import Pace
    from trainers.budget import Budget

    groups: dict[str, Callable[..., Any]] = {
        "study": Plan, "target": Target, "budget": Budget, "workers": Pace,
        "storage": StorageSettings, "tracking": TrackingSettings,
        "trainer": TrainerSettings,
    }
    try:
        for name, kind in groups.items():
            if name in config:
                kind(**typed(name, kind, config[name]))
        if "target" in config:
            targets_of(config)
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
        if "ratio" in config:
            from nas.pruning import pruning_of

            pruning_of(config)
        return
    if not isfinite(config.target.max_latency_ms):
        raise SettingsError(
            "target.max_latency_ms is inf: a search needs a limit, so give one that is far away"
        )
    if config.get("targets"):
        _check_several(config)
    if config.study.get("screen") == "compile":
        _check_compiling(config)
    if config.worker is not None and config.worker < 0:
        raise SettingsError(f"worker is {config.worker}: use a whole number from 0 on")


def _check_several(config: DictConfig) -> None:
    """Refuse what only knows one target.

    Raises:
        SettingsError: names it.
    """
    for given, why in (
        (config.measuring == "served", "measuring=served times on one engine"),
        (config.study.get("screen") == "compile", "study.screen=compile estimates for one card"),
        (config.study.get("table") is not None, "study.table was measured on one target"),
    ):
        if given:
            raise SettingsError(f"{why}, and there are targets.{min(config.targets)} and target: "
                                "leave one of the two out")


def targets_of(config: DictConfig) -> dict[str, Target]:
    """The targets that the settings ask for by their names, `target` as `main` before the others.

    Raises:
        SettingsError: names the setting and what it may be.
        ValueError: as well.
    """
    from nas.evidence import MAIN
    from nas.target import Target, require_together

    found = {MAIN: Target(**typed("target", Target, config.target))}
    for name, node in _plain(config.get("targets") or {}, "targets").items():
        at = f"targets.{name}"
        if name in found:
            raise SettingsError(f"{at}: that is what `target` is called, give it another name")
        try:
            found[name] = Target(**typed(at, Target, node))
        except ValueError as error:
            raise SettingsError(str(error).replace("target.", f"{at}.")) from error
    require_together(found)
    return found


def _check_compiling(config: DictConfig) -> None:
    """Refuse what has no effect where nothing is timed or trained.

    Raises:
        SettingsError: names it.
    """
    if config.measuring == "served":
        raise SettingsError(
            "measuring=served has candidates timed, and study.screen=compile times none: leave "
            "one of the two out"
        )
    if config.tracking.kind != "none":
        raise SettingsError("tracking follows trainings, and study.screen=compile has none")


def storage_settings(config: DictConfig) -> StorageSettings:
    """Where the study lies, as the settings say.

    Raises:
        SettingsError: they say nothing that is understood.
    """
    from nas.storage import StorageSettings

    try:
        return StorageSettings(**typed("storage", StorageSettings, config.storage))
    except ValueError as error:
        raise SettingsError(str(error)) from error


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

"""From settings to an Experiment: the only place where collaborators are built."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from latency_models.base import DeviceError
from latency_models.cached import CachedLatency
from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas.experiment import Experiment, Plan, Target
from nas.ledger import Ledger, write_aside
from nas.live.terminal import PlainView, RichView, view_for
from nas.networks import rules_for
from nas.stages import SCREENING
from search_spaces.references import reference
from trainers.base import Budget, DataError, Task

SETTINGS = "settings.json"
_NUMBERS: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    float | None: ((int, float, type(None)), "a number or null"),
}
_MAY_CHANGE = ("candidates", "finalists", "max_minutes", "patience", "references")


class SettingsError(Exception):
    """What was asked for cannot be done; the message says what to change."""


@contextmanager
def assemble(config: DictConfig) -> Iterator[Experiment]:
    """Build the experiment, hold its folder, and close the engine's child at the end.

    Raises:
        SettingsError: something that was asked for does not exist or does not fit.
    """
    with ExitStack() as stack:
        try:
            experiment = _build(config, stack)
        except InstantiationException as error:
            cause = error.__cause__ or error
            raise SettingsError(f"{cause}") from error
        except OSError as error:
            where = Path(str(config.runs_dir)) / str(config.study.name)
            raise SettingsError(
                f"cannot write to {where} ({error.strerror}): give runs_dir=<a folder of yours>"
            ) from error
        except (ValueError, DataError, DeviceError, OmegaConfBaseException) as error:
            raise SettingsError(str(error)) from error
        yield experiment


def _build(config: DictConfig, stack: ExitStack) -> Experiment:
    asked = Target(**_typed("target", Target, config.target))
    plan = Plan(**_typed("study", Plan, config.study))
    _typed("budget", Budget, config.budget)
    folder = _claim(Path(str(config.runs_dir)).expanduser() / plan.name, stack)
    settings = _settings(folder, config)
    engine, why = pick_engine(asked.engine, threads=asked.threads)
    target = replace(asked, engine=engine.name)
    space = instantiate(config.search_space, _convert_="all")
    budget = instantiate(config.budget)
    for name in plan.references:
        reference(name, 2)
    task = instantiate(config.task)
    if task.crop < 2 or task.crop % 2:
        raise SettingsError(f"task.crop is {task.crop}: use an even number, networks may halve it")
    view = _view(plan, target, task, budget)
    stack.enter_context(view)
    view.note(why)
    for notice in task.notices:
        view.note(notice)
    quick, full = (
        stack.enter_context(
            IsolatedLatency(partial(MeasuredLatency, engine, protocol), notice=view.note)
        )
        for protocol in (SCREENING, MeasuringProtocol())
    )
    write_aside(folder / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
    return Experiment(
        folder=folder,
        plan=plan,
        target=target,
        budget=budget,
        space=space,
        task=task,
        screening=CachedLatency(quick, folder / "screening.sqlite"),
        latency=CachedLatency(full, folder / "latency.sqlite"),
        runner=full,
        rules=rules_for(engine.name),
        ledger=Ledger(folder),
        view=view,
        device=engine.device(),
    )


def _view(plan: Plan, target: Target, task: Task, budget: Budget) -> PlainView | RichView:
    return view_for(
        Console(), plan, target, task.metric, budget=budget, baseline=task.baseline()
    )


def _typed(group: str, kind: type, node: Any) -> dict[str, Any]:
    """A group's settings by name; refuses what its type does not have or cannot hold."""
    values, types = _plain(node), get_type_hints(kind)
    for name, value in values.items():
        if name not in types:
            raise SettingsError(f"there is no {group}.{name}; there are {', '.join(types)}")
        kinds, words = _NUMBERS.get(types[name], ((type(value),), ""))
        if type(value) not in kinds:
            raise SettingsError(f"{group}.{name} is '{value}': use {words}")
    return values


def _plain(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key != "_target_"}


def _claim(folder: Path, stack: ExitStack) -> Path:
    """Make the study's folder and hold it, so that one search at a time works in it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((folder / ".lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(
            f"another search is working in {folder}: wait for it, or give study.name=<another>"
        ) from error
    return folder


def _settings(folder: Path, config: DictConfig) -> dict[Any, Any]:
    """All settings as plain data; refuses those that would change a study that was begun."""
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    path = folder / SETTINGS
    if path.is_file():
        before = json.loads(path.read_text())
        changed = _differences(_fixed(before), _fixed(settings))
        if changed:
            raise SettingsError(
                f"{folder} was begun with other settings ({'; '.join(changed[:3])}): "
                "repeat them, or give study.name=<another>"
            )
    return settings


def _fixed(settings: dict[Any, Any]) -> dict[str, Any]:
    """What must not change between two runs of one study."""
    study = {k: v for k, v in settings["study"].items() if k not in _MAY_CHANGE}
    rest = {k: v for k, v in settings.items() if k != "runs_dir"}
    return json.loads(json.dumps({**rest, "study": study}))  # type: ignore[no-any-return]


def _differences(one: Any, other: Any, at: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted({*one, *other}):
            inner = f"{at}.{key}" if at else key
            found += _differences(one.get(key), other.get(key), inner)
        return found
    return [] if one == other else [f"{at} was {one}, now {other}"]


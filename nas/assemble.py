"""From settings to an Experiment: the only place where collaborators are built."""

from __future__ import annotations

import fcntl
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, is_dataclass, replace
from functools import partial
from math import isfinite
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from typing import Any, cast, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from latency_models.base import DeviceError, Engine, LatencyModel
from latency_models.cached import CachedLatency
from latency_models.device import each_wait_once
from latency_models.engines import pick_engine
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from latency_models.protocol import MeasuringProtocol
from nas.crew.base import Alone, Crew
from nas.crew.measuring import ServedLatency
from nas.durable import write_aside
from nas.experiment import Experiment, Plan, Target
from nas.inputs import compare_pictures
from nas.ledger import SETTINGS, Ledger, as_json
from nas.live.terminal import view_for
from nas.live.view import View
from nas.networks import rules_for
from nas.offers import OFFERS, require_same
from nas.own_code import place, told
from nas.policies.base import Policy
from nas.redact import redacted
from nas.spaces import check_space, find_modules_here
from nas.stages import SCREENING
from nas.table.simulation import simulation_for
from search_spaces.base import UnknownName
from search_spaces.branches import FORMS
from search_spaces.modules import NORMS
from search_spaces.references import fitting_reference, reference_named
from trainers.base import DataError, Task
from trainers.budget import Budget
from trainers.devices import settle

_NUMBERS: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    float | None: ((int, float, type(None)), "a number or null"),
}
_OUTSIDE = (
    "runs_dir", "worker", "crew", "cluster", "storage", "tracking", "measuring", "metric",
    "hydra", "variant", "budget_defaults", OFFERS,
)
"""Settings that change where and how a study runs, not what comes of it."""
_MAY_CHANGE = (
    "candidates", "finalists", "max_minutes", "patience", "references", "training_processes"
)


_NOT_HERE: Any = None
"""What times and runs networks, in a search that a table answers."""

Served = Callable[
    [Callable[[str], None], Callable[[], None]], tuple[ServedLatency, ServedLatency]
]
"""Makes the latency models of a search that has no device of its own, given who is told of waits
and what is called while it waits."""


class SettingsError(Exception):
    """What was asked for cannot be done; the message says what to change."""


def view_of_search(
    plan: Plan, target: Target, task: Task, budget: Budget
) -> AbstractContextManager[View]:
    """The view of a search that suits this terminal."""
    return view_for(
        Console(), plan, target, task.metric, budget=budget, baseline=task.baseline()
    )


@contextmanager
def assemble(
    config: DictConfig,
    *,
    watcher: Callable[
        [Plan, Target, Task, Budget], AbstractContextManager[View]
    ] = view_of_search,
    crew: Crew | None = None,
    served: Served | None = None,
) -> Iterator[Experiment]:
    """Build the experiment, hold its folder, and close the engine's child at the end.

    Args:
        config: every group of `conf/`.
        watcher: makes the view, which is entered before anything is timed.
        crew: the others who work in the same folder; None to hold it alone.
        served: measuring workers who have the device; None to time on this machine.

    Raises:
        SettingsError: something that was asked for does not exist or does not fit.
    """
    with ExitStack() as stack:
        try:
            experiment = _build(config, stack, watcher, crew or Alone(), served)
        except InstantiationException as error:
            raise SettingsError(_cause(error)) from error
        except SystemExit as error:
            raise SettingsError(told(error)) from error
        except OSError as error:
            where = Path(str(config.runs_dir)) / str(config.study.name)
            raise SettingsError(
                f"cannot write to {where} ({error.strerror}): give runs_dir=<a folder of yours>"
            ) from error
        except (ValueError, DataError, DeviceError, OmegaConfBaseException) as error:
            raise SettingsError(str(error)) from error
        yield experiment


def _cause(error: InstantiationException) -> str:
    """Why a class could not be made: of one of the user's with the place in their file."""
    cause = error.__cause__ or error
    while cause.__cause__ is not None and isinstance(cause, ImportError):
        cause = cause.__cause__
    return told(cause) if place(cause) else str(cause)


def _build(
    config: DictConfig,
    stack: ExitStack,
    watcher: Callable[[Plan, Target, Task, Budget], AbstractContextManager[View]],
    crew: Crew,
    served: Served | None,
) -> Experiment:
    asked = Target(**typed("target", Target, config.target))
    plan = Plan(**typed("study", Plan, config.study))
    typed("budget", Budget, config.budget)
    folder = Path(str(config.runs_dir)).expanduser() / plan.name
    claim_folder(folder, stack, together=not crew.alone)
    settings = settings_of(folder, config)
    engine, why = None, "timed by measuring workers: nas measure-worker"
    simulation = simulation_for(config, plan)
    if simulation is not None:
        # The table holds none of the published networks.
        plan, why = replace(plan, references=()), simulation.words
    elif served is None:
        engine, why = pick_engine(asked.engine, threads=asked.threads)
    name = engine.name if engine else simulation.about.engine if simulation else asked.engine
    target = replace(asked, engine=name)
    find_modules_here()
    space = instantiate(config.search_space, _convert_="all")
    budget = instantiate(config.budget)
    settle(budget)
    for field, known in (("branches", tuple(FORMS)), ("norm", NORMS)):
        if getattr(budget, field) not in known:
            raise UnknownName(f"budget.{field}", getattr(budget, field), known)
    for name in plan.references:
        reference_named(name)
    task = instantiate(config.task)
    for name in plan.references:
        fitting_reference(
            name,
            scale=task.scale,
            in_channels=task.in_channels,
            out_channels=task.out_channels,
        )
    if task.crop < 2 or task.crop % 2:
        raise SettingsError(f"task.crop is {task.crop}: use an even number, networks may halve it")
    if not isfinite(task.baseline()):
        raise SettingsError(
            f"{task.metric.name} of {task.baseline_name} is {task.baseline()}: a task whose "
            "values are not finite cannot rank networks"
        )
    offers = check_space(space, task, target)
    require_same(folder, offers)
    ledger = Ledger(folder)
    ledger.all()  # a case file that names another place is told before anything is timed
    changed = compare_pictures(folder, task)
    view = stack.enter_context(watcher(plan, target, task, budget))
    view.note(why)
    for notice in (*task.notices, *changed):
        view.note(notice)
    quick, full = (None, None) if simulation else _timers(engine, served, stack, view)
    if crew.alone:
        settings |= {"metric": asdict(task.metric), OFFERS: offers}
        write_aside(folder / SETTINGS, (as_json(settings) + "\n").encode())
    # SQLite's locks do not hold between machines, so each keeps receipts of its own.
    here = "" if crew.alone else f"-{socket.gethostname()}"
    return Experiment(
        folder=folder,
        plan=plan,
        target=target,
        budget=budget,
        space=space,
        task=task,
        screening=_cached(quick, folder / f"screening{here}.sqlite"),
        latency=_cached(full, folder / f"latency{here}.sqlite"),
        runner=full or _NOT_HERE,
        rules=rules_for(target.engine),
        ledger=ledger,
        view=view,
        device=engine.device() if engine else "",
        crew=crew,
        stages=simulation.stages if simulation else None,
    )


def _cached(timer: IsolatedLatency | ServedLatency | None, path: Path) -> LatencyModel:
    if timer is None:
        return cast(LatencyModel, _NOT_HERE)
    return CachedLatency(timer, path)


def _timers(
    engine: Engine | None, served: Served | None, stack: ExitStack, view: View
) -> tuple[IsolatedLatency | ServedLatency, IsolatedLatency | ServedLatency]:
    """What times candidates quickly, and what times by the full protocol."""
    if engine is None:
        assert served is not None
        return served(view.note, view.tick)
    waits = each_wait_once(view.note, tick=view.tick)
    quick, full = (
        stack.enter_context(
            IsolatedLatency(partial(MeasuredLatency, engine, protocol), notice=waits)
        )
        for protocol in (SCREENING, MeasuringProtocol())
    )
    return quick, full


def policy_of(config: DictConfig) -> Policy:
    """What decides what is proposed: one that ships, or a class of the user's.

    Raises:
        SettingsError: there is no such policy, or it has no such setting.
    """
    find_modules_here()
    target = str(config.policy._target_)
    try:
        kind = locate(target)
        if not isinstance(kind, type):
            raise SettingsError(
                f"policy._target_ is {target}, and no such class is found: give policy=breeding "
                "or another of conf/policy, or a class of a file in this folder"
            )
        if is_dataclass(kind):
            typed("policy", kind, config.policy)
        policy = instantiate(config.policy, _convert_="all")
    except InstantiationException as error:
        raise SettingsError(" ".join(f"{error.__cause__ or error}".split())) from error
    except (ValueError, ErrorDuringImport, OmegaConfBaseException) as error:
        raise SettingsError(str(error)) from error
    if not hasattr(policy, "propose"):
        raise SettingsError(
            f"policy is {type(policy).__name__}, which has no 'propose': a policy has "
            "propose(question), which returns a Proposal (nas/policies/base.py)"
        )
    return policy  # type: ignore[no-any-return]


def typed(group: str, kind: type, node: Any) -> dict[str, Any]:
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


def claim_folder(folder: Path, stack: ExitStack, *, together: bool) -> None:
    """Make the study's folder and hold it, so that one search at a time works in it.

    Args:
        together: hold it with the other workers of a sweep, against a search that works alone.

    Raises:
        SettingsError: it is held by others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((folder / ".lock").open("w"))
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(
            f"another search is working in {folder}: wait for it, or give study.name=<another>"
        ) from error


def settings_of(folder: Path, config: DictConfig) -> dict[Any, Any]:
    """All settings as plain data; refuses those that would change a study that was begun.

    They are kept in the study's folder, so they hold no password.

    Raises:
        SettingsError: the study was begun with others; the message names them.
    """
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    settings: dict[Any, Any] = json.loads(redacted(json.dumps(resolved)))
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
    rest = {k: v for k, v in settings.items() if k not in _OUTSIDE}
    return json.loads(as_json({**rest, "study": study}))  # type: ignore[no-any-return]


def _differences(one: Any, other: Any, at: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted({*one, *other}):
            inner = f"{at}.{key}" if at else key
            found += _differences(one.get(key), other.get(key), inner)
        return found
    return [] if one == other else [f"{at} was {one}, now {other}"]


"""From settings to an Experiment: the only place where collaborators are built."""

from __future__ import annotations

import fcntl
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import IO, Any, cast

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from latency_models.base import (
    AheadOfTime,
    DeviceError,
    Engine,
    LatencyModel,
)
from latency_models.cached import CachedLatency
from latency_models.isolated import IsolatedLatency
from nas.compiling import STAGES as COMPILING
from nas.crew.base import Alone, Crew
from nas.crew.served import ServedLatency
from nas.durable import read_record, tidy, write_aside
from nas.experiment import Experiment, Plan, Target
from nas.inputs import compare_pictures
from nas.kinds import shortened
from nas.ledger import SETTINGS, SETTINGS_REMEDY, Ledger, as_json
from nas.live.terminal import view_for
from nas.live.view import View
from nas.networks import rules_for
from nas.offers import OFFERS, Offers, require_same
from nas.own_code import place, told
from nas.redact import redacted_all
from nas.settings import SettingsError, check_calls, storage_settings, typed
from nas.spaces import check_space, find_modules_here
from nas.table.simulation import simulation_for
from nas.timers import (
    Served,
    advice_on_precision,
    builder_for,
    compiling_timer,
    engine_for,
    require_precision,
    timers,
)
from search_spaces.base import SearchSpace, UnknownName
from search_spaces.branches import FORMS
from search_spaces.modules import NORMS
from search_spaces.references import fitting_reference, reference_named
from trainers.base import DataError, Task
from trainers.budget import Budget
from trainers.devices import settle

_OUTSIDE = (
    "runs_dir", "worker", "crew", "cluster", "storage", "tracking", "measuring", "metric",
    "hydra", "variant", "budget_defaults", OFFERS,
)
"""Settings that change where and how a study runs, not what comes of it."""
_MAY_CHANGE = (
    "candidates", "finalists", "max_minutes", "patience", "references", "training_processes"
)


_TIDYING_S, _LOOK_S = 5.0, 0.1
"""How long a worker waits for another that only tidies the folder up."""
_NOT_HERE: Any = None
"""What times and runs networks, in a search that a table answers."""


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
        with told_as_settings(config):
            experiment = _build(config, stack, watcher, crew or Alone(), served)
        yield experiment


@contextmanager
def told_as_settings(config: DictConfig) -> Iterator[None]:
    """Tell whatever keeps a search from being built in one line.

    Raises:
        SettingsError: instead.
    """
    try:
        yield
    except InstantiationException as error:
        raise SettingsError(_cause(error)) from error
    except SystemExit as error:
        raise SettingsError(told(error)) from error
    except MemoryError as error:
        raise SettingsError(f"this needs more memory than there is: {error}") from error
    except OSError as error:
        where = error.filename or Path(str(config.runs_dir)) / str(config.study.name)
        raise SettingsError(
            f"cannot use {shortened(where)} ({error.strerror}): give runs_dir=<a folder of yours>"
        ) from error
    except (ValueError, DataError, DeviceError, OmegaConfBaseException) as error:
        raise SettingsError(str(error)) from error


def _cause(error: InstantiationException) -> str:
    """Why a class could not be made: of one of the user's with the place in their file."""
    cause = error.__cause__ or error
    while cause.__cause__ is not None and isinstance(cause, ImportError):
        cause = cause.__cause__
    return told(cause) if place(cause) else str(cause)


@dataclass(frozen=True)
class Asked:
    """What the settings ask for, made and held against each other."""

    plan: Plan
    target: Target
    budget: Budget
    space: SearchSpace
    task: Task
    offers: Offers


def asked_for(config: DictConfig) -> Asked:
    """Make what a search is about, and refuse what does not fit together.

    Raises:
        ValueError: says what does not.
        InstantiationException: a class cannot be made.
        DataError: the pictures are missing or unusable.
    """
    target = Target(**typed("target", Target, config.target))
    plan = Plan(**typed("study", Plan, config.study))
    budget = Budget(**typed("budget", Budget, config.budget))
    for field, known in (("branches", tuple(FORMS)), ("norm", NORMS)):
        if getattr(budget, field) not in known:
            raise UnknownName(f"budget.{field}", getattr(budget, field), known)
    find_modules_here()
    for group in ("search_space", "task"):
        check_calls(group, config[group])
    space = instantiate(config.search_space, _convert_="all")
    for name in plan.references:
        reference_named(name)
    task: Task = instantiate(config.task)
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
    return Asked(plan, target, budget, space, task, check_space(space, task, target))


def _build(
    config: DictConfig,
    stack: ExitStack,
    watcher: Callable[[Plan, Target, Task, Budget], AbstractContextManager[View]],
    crew: Crew,
    served: Served | None,
) -> Experiment:
    target = Target(**typed("target", Target, config.target))
    plan = Plan(**typed("study", Plan, config.study))
    if "storage" in config:
        storage_settings(config)
    folder = Path(str(config.runs_dir)).expanduser() / plan.name
    claim_folder(folder, stack, together=not crew.alone)
    settings = settings_of(folder, config)
    engine: Engine | None = None
    builder: AheadOfTime | None = None
    why = "timed by measuring workers: nas measure-worker"
    simulation = simulation_for(config, plan)
    if simulation is not None:
        # The table holds none of the published networks, and answers for the budget alone.
        plan, why = replace(plan, references=(), horizon=None), simulation.words
    elif plan.screen == "compile":
        engine = builder = builder_for(target)
        why = f"{engine.name} {engine.version()} compiles here; nothing is timed or trained"
    elif served is None:
        engine, why = engine_for(target)
    name = engine.name if engine else simulation.about.engine if simulation else target.engine
    settle(Budget(**typed("budget", Budget, config.budget)))
    asked = asked_for(config)
    space, task, budget = asked.space, asked.task, asked.budget
    plan = replace(asked.plan, references=plan.references, horizon=plan.horizon)
    target = replace(asked.target, engine=name)
    require_same(folder, asked.offers)
    ledger = Ledger(folder)
    ledger.all()  # a case file that names another place is told before anything is timed
    changed = compare_pictures(folder, task)
    view = stack.enter_context(watcher(plan, target, task, budget))
    view.note(why)
    for notice in (*getattr(task, "notices", ()), *changed):
        view.note(notice)
    if unfused := advice_on_precision(target):
        view.note(unfused)
    quick: IsolatedLatency | ServedLatency | None = None
    full: IsolatedLatency | ServedLatency | None = None
    if builder is not None:
        quick = compiling_timer(builder, target, stack)
    elif simulation is None:
        quick, full = timers(engine, served, stack, view)
    if engine is not None and quick is not None and builder is None:
        require_precision(quick, target)
    if crew.alone:
        settings |= {"metric": asdict(task.metric), OFFERS: asked.offers}
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
        device=engine.device() if engine and builder is None else "",
        crew=crew,
        stages=simulation.stages if simulation else COMPILING if builder else None,
    )


def _cached(timer: IsolatedLatency | ServedLatency | None, path: Path) -> LatencyModel:
    if timer is None:
        return cast(LatencyModel, _NOT_HERE)
    return CachedLatency(timer, path)


def claim_folder(folder: Path, stack: ExitStack, *, together: bool) -> None:
    """Make the study's folder and hold it, so that one search at a time works in it.

    Who holds it alone tidies it up.

    Args:
        together: hold it with the other workers of a sweep, against a search that works alone.

    Raises:
        SettingsError: it is held by others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((folder / ".lock").open("w"))
    kind = fcntl.LOCK_SH if together else fcntl.LOCK_EX
    until = time.monotonic() + (_TIDYING_S if together else 0.0)
    while not _locked(lock, kind):
        if time.monotonic() >= until:
            raise SettingsError(
                f"another search is working in {folder}: wait for it, or give "
                "study.name=<another>"
            )
        time.sleep(_LOOK_S)
    if not together:
        tidy(folder)


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def settings_of(folder: Path, config: DictConfig) -> dict[Any, Any]:
    """All settings as plain data; refuses those that would change a study that was begun.

    They are kept in the study's folder, so they hold no password.

    Raises:
        SettingsError: the study was begun with others; the message names them.
    """
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    settings: dict[Any, Any] = redacted_all(resolved)
    if "storage" in config:
        settings["storage"]["url"] = storage_settings(config).shown
    path = folder / SETTINGS
    if path.is_file():
        before = read_record(path, _fixed, remedy=SETTINGS_REMEDY)
        changed = _differences(before, _fixed(settings))
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


"""From settings to an Experiment: the only place where collaborators are built."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
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
from nas.asked import Asked, fitting
from nas.curves import CurveWriter
from nas.durable import write_aside
from nas.events import Listener, Note
from nas.evidence import MAIN
from nas.experiment import Experiment, Plan, Rig
from nas.extras import TrainerSettings, extras_for
from nas.folder import claim_folder, drop_unused, plain_settings, require_same_settings
from nas.inputs import compare_pictures
from nas.kinds import shortened
from nas.ledger import SETTINGS, Ledger, as_json
from nas.live.terminal import view_for
from nas.networks import rules_for
from nas.offers import OFFERS, require_same
from nas.own_code import described, place
from nas.report.describe import aim_words
from nas.settings import SettingsError, check_calls, targets_of, typed
from nas.spaces import find_modules_here
from nas.stages import corridor
from nas.table.simulation import Simulation, simulation_for
from nas.target import Target, require_same_rules
from nas.timers import (
    Served,
    builder_for,
    compiling_timer,
    engine_for,
    require_precision,
    timers,
)
from nas.workers.base import Alone, Workers
from nas.workers.served import ServedLatency
from trainers.base import DataError, Task
from trainers.budget import Budget
from trainers.devices import settle

Watcher = Callable[[Plan, Target, Task, Budget], AbstractContextManager[Listener]]
"""Makes who shows a search on the terminal, to be entered."""
_ALONE = Alone()
_Timer = IsolatedLatency | ServedLatency | None
_NOT_HERE: Any = None
"""What times and runs networks, in a search that a table answers."""


def view_of_search(
    plan: Plan, target: Target, task: Task, budget: Budget
) -> AbstractContextManager[Listener]:
    """Who shows a search as it suits this terminal."""
    return view_for(
        Console(), plan, target, task.metric, budget=budget, baseline=task.baseline()
    )


@contextmanager
def assemble(
    config: DictConfig,
    *,
    watcher: Watcher = view_of_search,
    workers: Workers | None = None,
    served: Served | None = None,
) -> Iterator[Experiment]:
    """Build the experiment, hold its folder, and close the engine's child at the end.

    Args:
        config: every group of `conf/`.
        watcher: makes who shows it, which is entered before anything is timed.
        workers: the others who work in the same folder; None to hold it alone.
        served: measuring workers who have the device; None to time on this machine.

    Raises:
        SettingsError: something that was asked for does not exist or does not fit.
    """
    with ExitStack() as stack:
        with as_settings_error(config):
            order = ordered(config)
            experiment = build(order, stack, watcher, workers=workers or Alone(), served=served)
        yield experiment


@contextmanager
def as_settings_error(config: DictConfig) -> Iterator[None]:
    """Tell whatever keeps a search from being built in one line.

    Raises:
        SettingsError: instead.
    """
    try:
        yield
    except InstantiationException as error:
        raise SettingsError(_cause(error)) from error
    except SystemExit as error:
        raise SettingsError(described(error)) from error
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
    return described(cause) if place(cause) else str(cause)




def asked_for(config: DictConfig) -> Asked:
    """Make what a search is about, and refuse what does not fit together.

    Raises:
        ValueError: says what does not.
        InstantiationException: a class cannot be made.
        DataError: the pictures are missing or unusable.
    """
    targets = targets_of(config)
    plan = Plan(**typed("study", Plan, config.study))
    budget = Budget(**typed("budget", Budget, config.budget))
    find_modules_here()
    for group in ("search_space", "task", "trainer"):
        check_calls(group, config[group])
    return fitting(
        plan, targets, budget,
        space=lambda: instantiate(config.search_space, _convert_="all"),
        task=lambda: instantiate(config.task),
    )




@dataclass(frozen=True)
class Order:
    """What a search is to be built from, before anything heavy is made.

    Attributes:
        folder: of the study.
        targets: by name, the first one called `main`.
        settings: all of it as plain data, to be kept and held against the next run's.
        make: makes what it is about, once an engine is found.
        simulation: what answers in place of the machine.
        extras: callbacks and a logger of Lightning's for every training.
    """

    folder: Path
    plan: Plan
    targets: Mapping[str, Target]
    budget: Budget
    settings: dict[Any, Any]
    make: Callable[[], Asked]
    simulation: Simulation | None = None
    extras: TrainerSettings = TrainerSettings()


def ordered(config: DictConfig) -> Order:
    """What the settings ask for.

    Raises:
        SettingsError: one of them is not understood.
        ValueError: as `asked_for`, as whatever else it raises.
    """
    plan = Plan(**typed("study", Plan, config.study))
    return Order(
        folder=Path(str(config.runs_dir)).expanduser() / plan.name,
        plan=plan,
        targets=targets_of(config),
        budget=Budget(**typed("budget", Budget, config.budget)),
        settings=plain_settings(config),
        make=partial(asked_for, config),
        simulation=simulation_for(config, plan),
        extras=TrainerSettings(**typed("trainer", TrainerSettings, config.trainer)),
    )


def build(
    order: Order,
    stack: ExitStack,
    watcher: Watcher,
    *,
    workers: Workers = _ALONE,
    served: Served | None = None,
) -> Experiment:
    """Claim the folder, find the engine, make everything and hold it together.

    Args:
        stack: closes what was opened.

    Raises:
        SettingsError: it was begun with other settings, or something does not fit.
        ValueError: as `asked_for`, as whatever else it raises.
        EngineUnavailable: the engine cannot run here.
    """
    claim_folder(order.folder, stack, together=not workers.alone)
    try:
        return _built(order, stack, watcher, workers, served)
    except BaseException:
        # What was refused leaves no folder behind.
        drop_unused(order.folder)
        raise


def _built(
    order: Order, stack: ExitStack, watcher: Watcher, workers: Workers, served: Served | None
) -> Experiment:
    plan, folder, simulation = order.plan, order.folder, order.simulation
    target = order.targets[MAIN]
    require_same_settings(folder, order.settings)
    engine: Engine | None = None
    builder: AheadOfTime | None = None
    why = "timed by measuring workers: nas measure-worker"
    if simulation is not None:
        # The table holds none of the published networks, and answers for the budget alone.
        plan, why = replace(plan, references=(), horizon=None), simulation.words
    elif plan.compiles:
        engine = builder = builder_for(target)
        why = f"{engine.name} {engine.version()} compiles here; nothing is timed or trained"
    elif served is None:
        engine, why = engine_for(target)
    others = {n: engine_for(one) for n, one in order.targets.items() if n != MAIN}
    name = engine.name if engine else simulation.about.engine if simulation else target.engine
    settle(order.budget)
    if order.extras != TrainerSettings():
        # Whatever cannot be made is told before anything is timed.
        extras_for(order.extras, candidate="", training="", folder=folder)
    asked = order.make()
    space, task, budget = asked.space, asked.task, asked.budget
    plan = replace(asked.plan, references=plan.references, horizon=plan.horizon)
    names = {MAIN: name} | {n: other.name for n, (other, _) in others.items()}
    # One of the user's own keeps the name that it is found by.
    targets = {
        n: one if ":" in one.engine else replace(one, engine=names[n])
        for n, one in asked.targets.items()
    }
    target = targets[MAIN]
    rules = {n: rules_for(one.engine, one.io) for n, one in targets.items()}
    require_same_rules(targets, rules)
    require_same(folder, asked.offers)
    ledger = Ledger(folder)
    ledger.all()  # a case file that names another place is told before anything is timed
    changed = compare_pictures(folder, task)
    shown = stack.enter_context(watcher(plan, target, task, budget))
    caution = [target.caution] if target.caution else []
    beside = [f"{n}: {aim_words(targets[n])} ({why})" for n, (_, why) in others.items()]
    for notice in (why, *beside, *getattr(task, "notices", ()), *changed, *caution):
        shown(Note(notice))
    quick: _Timer = None
    full: _Timer = None
    if builder is not None:
        quick = compiling_timer(builder, target, stack)
    elif simulation is None:
        quick, full = timers(engine, served, stack, shown)
    if engine is not None and quick is not None and builder is None:
        require_precision(quick, target)
    if workers.alone:
        settings = order.settings | {"metric": asdict(task.metric), OFFERS: asked.offers}
        write_aside(folder / SETTINGS, (as_json(settings) + "\n").encode())
    # SQLite's locks do not hold between machines, so each keeps receipts of its own.
    here = "" if workers.alone else f"-{socket.gethostname()}"

    def rig(name: str, quick: _Timer, full: _Timer, device: str) -> Rig:
        return Rig(
            name,
            targets[name],
            quick=_cached(quick, folder / f"screening{here}.sqlite"),
            full=_cached(full, folder / f"latency{here}.sqlite"),
            runner=full or _NOT_HERE,
            rules=rules[name],
            device=device,
        )

    rigs = {MAIN: rig(MAIN, quick, full, engine.device() if engine and builder is None else "")}
    for other, (found, _) in others.items():
        pair = timers(found, None, stack, shown)
        require_precision(pair[0], targets[other])
        rigs[other] = rig(other, *pair, found.device())
    return Experiment(
        folder=folder,
        plan=plan,
        rigs=rigs,
        budget=budget,
        space=space,
        task=task,
        ledger=ledger,
        stages=simulation.stages if simulation else corridor(compiles=plan.compiles),
        listeners=(CurveWriter(ledger), shown),
        workers=workers,
        extras=order.extras,
    )


def _cached(timer: _Timer, path: Path) -> LatencyModel:
    if timer is None:
        return cast(LatencyModel, _NOT_HERE)
    return CachedLatency(timer, path)

"""A sweep: many identical workers on one study, and what is made ready before they start.

There is no master. `prepare` makes the study and looks whether the sweep can run at all; from
then on every worker does what a search that works alone does, and claims what it works on.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from latency_models.engines import ENGINES
from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from nas.assemble import (
    asked_for,
    assemble,
    told_as_settings,
    view_of_search,
)
from nas.crew.measuring import PROTOCOLS, Requests, Wanted
from nas.crew.roster import Pace, Worker
from nas.crew.served import ServedLatency
from nas.crew.status import report_is_fresh
from nas.crew.worker import Attended, at_work
from nas.durable import write_aside
from nas.experiment import Experiment, Plan, Target
from nas.folder import claim_folder, plain_settings, require_same_settings
from nas.inputs import compare_pictures
from nas.ledger import SETTINGS, as_json
from nas.live.view import View
from nas.offers import OFFERS, require_same
from nas.pipeline import run_study
from nas.policies.chosen import policy_of
from nas.report.results import conclude
from nas.settings import SettingsError, storage_settings, typed
from nas.stages import SCREENING
from nas.storage import JOURNAL, BaseStorage, StorageError, open_storage
from nas.study import Study
from nas.timers import Served, builder_for, compiler_of, engine_for, require_precision
from nas.tracking.base import TrackingSettings, TrackingUnavailable
from nas.tracking.trackers import Tracked, Tracker, open_tracker, track_study
from trainers.base import Interrupted, Task
from trainers.budget import Budget

if TYPE_CHECKING:
    from nas.crew.claims import Claims

PACKAGES = ("nas", "search_spaces", "latency_models", "trainers")
_JOINING_S = 60.0
"""How long a worker that joins waits for a database that does not answer."""


def code_version() -> str:
    """A short hash of every line of the four packages that runs here."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def study_folder(config: DictConfig) -> Path:
    """Where the evidence of the study lies; all workers must see it."""
    return Path(str(config.runs_dir)).expanduser().resolve() / str(config.study.name)


def prepare(
    config: DictConfig, *, launcher: str, notice: Callable[[str], None]
) -> Path:
    """Make the study for the workers that will come; returns its folder.

    Args:
        launcher: the class that will start them.
        notice: told when something has to be waited for.

    Raises:
        SettingsError: the sweep cannot run as it was asked for; nothing was submitted.
    """
    policy_of(config)
    _pace(config)
    storage_settings(config)
    tracker_for(config, study_folder(config))
    served = served_for(config)
    if "slurm" in launcher.lower():
        check_partition(OmegaConf.select(config, "cluster.partition"))
    folder = study_folder(config)
    with told_as_settings(config), ExitStack() as stack:
        if "slurm" not in launcher.lower():
            _check_machine(config, timed_here=served is None)
        asked = asked_for(config)
        require_same(folder, asked.offers)
        with suppress(SettingsError), ExitStack() as tidying:
            # Nobody else is there yet, unless workers are added to those that there are.
            claim_folder(folder, tidying, together=False)
        claim_folder(folder, stack, together=True)
        settings = plain_settings(config)
        require_same_settings(folder, settings)
        settings |= {
            "metric": asdict(asked.task.metric), OFFERS: asked.offers,
        }
        changed = compare_pictures(folder, asked.task)
        for line in (*getattr(asked.task, "notices", ()), *changed):
            notice(line)
        study = _study(config, asked.plan, asked.task, notice=notice, patience_s=0.0)
        study.start_from(asked.space)
        study.allot(asked.plan.candidates, code=code_version())
        if served is not None:
            served(notice, lambda: None)
        write_aside(folder / SETTINGS, (as_json(settings) + "\n").encode())
    return folder


def _check_machine(config: DictConfig, *, timed_here: bool) -> None:
    """Whether workers of this machine can train and time as they are asked to.

    Raises:
        ValueError: says what it cannot do.
        EngineUnavailable: says what to install.
    """
    from trainers.devices import settle

    settle(Budget(**typed("budget", Budget, config.budget)))
    if not timed_here:
        return
    target = Target(**typed("target", Target, config.target))
    if Plan(**typed("study", Plan, config.study)).compiles:
        builder_for(target)
        return
    engine, _ = engine_for(target)
    with IsolatedLatency(partial(MeasuredLatency, engine, SCREENING)) as timer:
        require_precision(timer, replace(target, engine=engine.name))


def work(config: DictConfig) -> None:
    """Be one of the workers, to the end of the study.

    Raises:
        SettingsError: this worker does not fit the sweep.
        Interrupted: the worker was told to end and has let everything go.
    """
    folder, pace = study_folder(config), _pace(config)
    if not (folder / SETTINGS).is_file():
        raise SettingsError(
            f"there is no sweep in {folder}: start one with nas search -m cluster=... "
            "worker='range(0,4)', which makes the study before its workers"
        )
    number = int(config.worker)
    _choose_gpu(number, OmegaConf.select(config, "cluster.gpus_in_turn"))
    me = Worker.this_process(number, code=code_version(), now=time.time())
    ending = None
    try:
        with at_work(folder, me, pace) as (claims, ending):
            try:
                _run(config, claims, ending.safe_point)
                claims.says(ended="finished")
            except BaseException as error:
                claims.says(ended=_why(error))
                raise
    except (Interrupted, KeyboardInterrupt):
        if ending is not None:
            ending.hand_over()
        raise


def _why(error: BaseException) -> str:
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return f"interrupted ({error})" if str(error) else "interrupted"
    return f"{type(error).__name__}: {error}"


def _run(
    config: DictConfig,
    claims: Claims,
    safe_point: Callable[[], None],
) -> None:
    def watcher(
        plan: Plan, target: Target, task: Task, budget: Budget
    ) -> AbstractContextManager[View]:
        return Attended(view_of_search(plan, target, task, budget), claims, safe_point)

    served = served_for(config, safe_point=safe_point)
    with assemble(config, watcher=watcher, crew=claims, served=served) as experiment:
        study = _study(
            config, experiment.plan, experiment.task,
            notice=experiment.view.note, patience_s=_JOINING_S,
        )
        check_code(study, claims.me)
        tracker = tracker_for(config, experiment.folder)
        candidates = run_study(tracked(experiment, tracker), study)
        while not report_is_fresh(experiment.folder):
            if claims.take("report"):
                claims.says(doing="report")
                conclude(experiment, candidates)
                if tracker is not None and experiment.trains:
                    track_study(experiment, study, candidates, tracker)
                claims.release("report")
            else:
                claims.wait()


def served_for(
    config: DictConfig, *, safe_point: Callable[[], None] = lambda: None
) -> Served | None:
    """Where latency is measured, when not on the machine that trains.

    Raises:
        SettingsError: that is not known, or the storage cannot be opened.
    """
    if config.measuring == "here":
        return None
    if config.measuring != "served":
        raise SettingsError(f"measuring is '{config.measuring}': use here or served")
    engine = str(config.target.engine)
    if engine not in ENGINES:
        raise SettingsError(
            f"target.engine is '{engine}': with measuring=served name the engine of the "
            f"measuring workers: {', '.join(ENGINES)}"
        )
    settings, study = storage_settings(config), str(config.study.name)
    target = Target(**typed("target", Target, config.target))

    def served(
        notice: Callable[[str], None], tick: Callable[[], None]
    ) -> tuple[ServedLatency, ServedLatency]:
        def between_looks() -> None:
            safe_point()
            tick()

        storage = open_storage(
            settings, study_folder(config), patience_s=_JOINING_S, notice=notice
        )
        requests = Requests(storage, study, patience_s=settings.patience_s, notice=notice)
        wanted = Wanted(engine, target.threads, code_version(), target.engine_settings)
        requests.want(wanted)
        compiler = compiler_of(target)
        if compiler is not None:
            notice(f"{engine} compiles here too: what it refuses is not sent")
        quick, full = (
            ServedLatency(
                requests, protocol, notice=notice, safe_point=between_looks, compiler=compiler
            )
            for protocol in PROTOCOLS
        )
        return quick, full

    return served


def tracker_for(config: DictConfig, folder: Path) -> Tracker | None:
    """The tracker that the settings ask for.

    Raises:
        SettingsError: it is not known or not installed.
    """
    try:
        return open_tracker(
            TrackingSettings(**typed("tracking", TrackingSettings, config.tracking)), folder
        )
    except (ValueError, TrackingUnavailable) as error:
        raise SettingsError(str(error)) from error


def tracked(experiment: Experiment, tracker: Tracker | None) -> Experiment:
    """The same experiment, its trainings written down for the tracker."""
    if tracker is None:
        return experiment
    return replace(experiment, view=Tracked(experiment.view, experiment, tracker))


def check_code(study: Study, me: Worker) -> None:
    """Refuse to work with other code than the sweep was started with.

    Raises:
        SettingsError: the versions differ, or no sweep was started.
    """
    if not study.code:
        raise SettingsError(
            "the study was not made for workers: start them with nas search -m cluster=... "
            "worker='range(0,4)', which makes it ready first"
        )
    if study.code != me.code:
        raise SettingsError(
            f"this worker on {me.host} runs version {me.code} of the code, the sweep was started "
            f"with {study.code}: install the same on all nodes, or give the command that started "
            "the sweep again"
        )


def check_partition(partition: str | None) -> None:
    """Ask Slurm whether it is there and has this partition.

    Raises:
        SettingsError: it has not; the message names those it has.
    """
    try:
        said = subprocess.run(
            ["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError as error:
        raise SettingsError(
            "cluster=slurm, but there is no Slurm here (no sinfo): start the sweep on a login "
            "node, or give cluster=local"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SettingsError("Slurm does not answer (sinfo took over a minute)") from error
    if said.returncode != 0:
        raise SettingsError(f"Slurm does not answer: {said.stderr.strip()}")
    there = sorted(set(said.stdout.split()))
    if partition is not None and partition not in there:
        raise SettingsError(
            f"cluster.partition is '{partition}': Slurm has {', '.join(there) or 'none'}"
        )


def _study(
    config: DictConfig, plan: Plan, task: Task, *, notice: Callable[[str], None], patience_s: float
) -> Study:
    settings, folder = storage_settings(config), study_folder(config)
    try:
        return Study(
            open_storage(settings, folder, patience_s=patience_s, notice=notice),
            name=plan.name, seed=plan.seed, metric=task.metric, policy=policy_of(config),
            limit_ms=float(config.target.max_latency_ms), home=folder,
            patience_s=settings.patience_s, notice=notice,
        )
    except StorageError as error:
        raise SettingsError(str(error)) from error


def storage_for(
    config: DictConfig, folder: Path, *, notice: Callable[[str], None]
) -> Path | BaseStorage:
    """Where the study of a search that works alone lies.

    Raises:
        SettingsError: it cannot be opened.
    """
    settings = storage_settings(config)
    if settings.url is None:
        return folder / JOURNAL
    try:
        return open_storage(settings, folder, notice=notice)
    except StorageError as error:
        raise SettingsError(str(error)) from error


def _pace(config: DictConfig) -> Pace:
    try:
        return Pace(**typed("crew", Pace, config.crew))
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _choose_gpu(number: int, gpus: Any) -> None:
    """Give each worker of one machine a GPU of its own, before any library looks for one."""
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number % int(gpus))
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
            raise RuntimeError("a GPU was in use before this worker could choose one")


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
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from latency_models.engines import ENGINES
from nas.assemble import (
    Served,
    SettingsError,
    assemble,
    claim_folder,
    policy_of,
    settings_of,
    typed,
    view_of_search,
)
from nas.crew.measuring import PROTOCOLS, Requests, ServedLatency, Wanted
from nas.crew.roster import Pace, Worker
from nas.crew.status import report_is_fresh
from nas.crew.worker import Attended, at_work
from nas.durable import write_aside
from nas.experiment import Experiment, Plan, Target
from nas.inputs import compare_pictures
from nas.ledger import SETTINGS, as_json
from nas.live.view import View
from nas.offers import OFFERS, require_same
from nas.pipeline import run_study
from nas.report.results import conclude
from nas.spaces import check_space, find_modules_here
from nas.storage import JOURNAL, BaseStorage, StorageError, StorageSettings, open_storage
from nas.study import Study
from nas.tracking.trackers import (
    Tracked,
    Tracker,
    TrackingSettings,
    TrackingUnavailable,
    open_tracker,
    track_study,
)
from trainers.base import DataError, Interrupted, Task
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
    plan = Plan(**typed("study", Plan, config.study))
    target = Target(**typed("target", Target, config.target))
    typed("budget", Budget, config.budget)
    policy_of(config)
    _pace(config)
    tracker_for(config, study_folder(config))
    served = served_for(config)
    if "slurm" in launcher.lower():
        check_partition(OmegaConf.select(config, "cluster.partition"))
    find_modules_here()
    space = instantiate(config.search_space, _convert_="all")
    task: Task = instantiate(config.task)
    folder = study_folder(config)
    try:
        offers = check_space(space, task, target)
        require_same(folder, offers)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    with ExitStack() as stack:
        claim_folder(folder, stack, together=True)
        settings = settings_of(folder, config) | {
            "metric": asdict(task.metric), OFFERS: offers,
        }
        try:
            changed = compare_pictures(folder, task)
        except DataError as error:
            raise SettingsError(str(error)) from error
        for line in (*getattr(task, "notices", ()), *changed):
            notice(line)
        study = _study(config, plan, task, notice=notice, patience_s=0.0)
        study.start_from(space)
        study.allot(plan.candidates, code=code_version())
        if served is not None:
            served(notice, lambda: None)
        write_aside(folder / SETTINGS, (as_json(settings) + "\n").encode())
    return folder


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
                if tracker is not None:
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

    def served(
        notice: Callable[[str], None], tick: Callable[[], None]
    ) -> tuple[ServedLatency, ServedLatency]:
        def between_looks() -> None:
            safe_point()
            tick()

        storage = open_storage(
            settings, study_folder(config), patience_s=_JOINING_S, notice=notice
        )
        requests = Requests(storage, study)
        requests.want(Wanted(engine, int(config.target.threads), code_version()))
        quick, full = (
            ServedLatency(requests, protocol, notice=notice, safe_point=between_looks)
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


def storage_settings(config: DictConfig) -> StorageSettings:
    """Where the study lies, as the settings say.

    Raises:
        SettingsError: they say nothing that is understood.
    """
    try:
        return StorageSettings(**typed("storage", StorageSettings, config.storage))
    except ValueError as error:
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


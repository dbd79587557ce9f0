"""A sweep: many identical workers on one study, and what is made ready before they start.

There is no master. `prepare` makes the study and looks whether the sweep can run at all; from
then on every worker does what a search that works alone does, and claims what it works on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from latency_models.isolated import IsolatedLatency
from latency_models.measured import MeasuredLatency
from nas.assemble import (
    as_settings_error,
    asked_for,
    assemble,
)
from nas.collaborators import (
    JOINING_S,
    served_for,
    study_folder,
    tracked,
    tracker_for,
)
from nas.durable import write_aside
from nas.evidence import MAIN
from nas.experiment import Plan
from nas.folder import claim_folder, plain_settings, require_same_settings
from nas.inputs import compare_pictures
from nas.ledger import SETTINGS, as_json
from nas.offers import OFFERS, require_same
from nas.pipeline import run_study
from nas.policies.chosen import policy_of
from nas.receipts import SCREENING
from nas.report.results import conclude
from nas.settings import SettingsError, storage_settings, targets_of, typed
from nas.storage import StorageError, open_storage
from nas.study import Study
from nas.timers import builder_for, engine_for, require_precision
from nas.tracking.trackers import track_study
from nas.workers.roster import Pace, Worker
from nas.workers.status import report_is_fresh
from nas.workers.version import check_code, code_version
from nas.workers.worker import at_work
from trainers.base import Interrupted, Task
from trainers.budget import Budget

if TYPE_CHECKING:
    from nas.workers.claims import Claims

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
    with as_settings_error(config), ExitStack() as stack:
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
    targets = targets_of(config)
    if Plan(**typed("study", Plan, config.study)).compiles:
        builder_for(targets[MAIN])
        return
    for target in targets.values():
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
                _run(config, claims)
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


def _run(config: DictConfig, claims: Claims) -> None:
    served = served_for(config, safe_point=claims.safe_point)
    with assemble(config, workers=claims, served=served) as experiment:
        study = _study(
            config, experiment.plan, experiment.task,
            notice=experiment.note, patience_s=JOINING_S,
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


def _pace(config: DictConfig) -> Pace:
    try:
        return Pace(**typed("workers", Pace, config.workers))
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _choose_gpu(number: int, gpus: Any) -> None:
    """Give each worker of one machine a GPU of its own, before any library looks for one."""
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number % int(gpus))
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
            raise RuntimeError("a GPU was in use before this worker could choose one")


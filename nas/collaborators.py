"""Who a search works with outside of this process, from its settings: storage, device, tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from latency_models.engines import ENGINES, is_known
from nas.events import Listener
from nas.experiment import Experiment
from nas.settings import SettingsError, storage_settings, typed
from nas.storage import JOURNAL, BaseStorage, StorageError, open_storage
from nas.target import Target
from nas.timers import Served, compiler_of
from nas.tracking.base import TrackingSettings, TrackingUnavailable
from nas.tracking.trackers import Tracked, Tracker, open_tracker
from nas.workers.measuring import PROTOCOLS, Requests, Wanted
from nas.workers.served import ServedLatency
from nas.workers.version import code_version

JOINING_S = 60.0
"""How long a worker that joins waits for a database that does not answer."""


def study_folder(config: DictConfig) -> Path:
    """Where the evidence of the study lies; all workers must see it."""
    return Path(str(config.runs_dir)).expanduser().resolve() / str(config.study.name)


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
    if not is_known(engine):
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
            settings, study_folder(config), patience_s=JOINING_S, notice=notice
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
    listeners: list[Listener] = [*experiment.listeners, Tracked(experiment, tracker)]
    return replace(experiment, listeners=listeners)

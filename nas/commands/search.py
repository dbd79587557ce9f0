"""`nas search`: propose, screen, train, quantize, export."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nas.commands import fail
from nas.commands.overrides import (
    MULTIRUN,
    SHOWING,
    named,
    readable,
    unknown_addition,
    unknown_name,
    unswept,
)
from nas.redact import has_password

if TYPE_CHECKING:
    from omegaconf import DictConfig

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Let Hydra read the settings and run the search; return the exit code."""
    if any(has_password(argument) for argument in arguments):
        return fail(
            "there is a password on the command line, where every user of this machine can read "
            "it: put it into ~/.pgpass or PGPASSWORD, or the whole address into "
            "FREEWAY_STORAGE_URL"
        )
    from nas.commands.sweep import start
    from nas.spaces import own_classes

    settings = own_classes(named(readable(arguments)))
    if told := unknown_addition(arguments, "config"):
        return fail(f"{told} (nas search --cfg job shows all settings)")
    if MULTIRUN & set(settings) and not SHOWING & set(settings):
        return start(settings, body=_search)
    return configured("search", "config", settings, _search)


def configured(
    verb: str, config_name: str, arguments: list[str], body: Callable[[DictConfig], int]
) -> int:
    """Run a command on the settings that Hydra reads from `conf/`; return its exit code.

    Args:
        verb: the command, for help and messages.
        config_name: the file in `conf/` that it starts from.
        arguments: overrides and Hydra's own flags.
        body: what is done with the settings; its exit code is the result.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from nas.commands.settings_help import settings_help

    codes: list[int] = []

    @hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)
    def task(config: DictConfig) -> None:
        codes.append(body(config))

    # Raw exceptions instead of Hydra's own exit, so that a mistake is one line and exit code 2.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"nas {verb}", *readable(arguments)]
    try:
        if SHOWING & set(arguments):
            sys.argv[1:] = unswept(sys.argv[1:])
        if {"--help", "-h"} & set(arguments):
            print(settings_help(verb, config_name, sys.argv[1:]))
        else:
            task()
    except (HydraException, OmegaConfBaseException) as error:
        told = unknown_name(str(error), config_name)
        if told:
            return fail(f"{told} (nas {verb} --cfg job shows all settings)")
        return fail(plain(error, verb))
    return codes[0] if codes else 0


def plain(error: BaseException, verb: str) -> str:
    """The first lines of a configuration error, and where to look."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    known = [line for line in lines if "full_key" not in line and "object_type" not in line]
    return f"{' '.join(known[:4])} (nas {verb} --cfg job shows all settings)"


def _search(config: DictConfig) -> int:
    """Work alone, or as one of a sweep's workers."""
    from nas.commands.sweep import be_worker

    return _search_alone(config) if config.worker is None else be_worker(config)


def _search_alone(config: DictConfig) -> int:
    from rich.console import Console

    from nas.assemble import SettingsError, assemble, policy_of
    from nas.crew.sweep import served_for, storage_for, tracked, tracker_for
    from nas.pipeline import BrokenMachine, NothingFastEnough, run_study
    from nas.report.results import conclude
    from nas.report.tables import print_table
    from nas.storage import StorageError
    from nas.study import Study
    from nas.tracking.trackers import track_study
    from trainers.base import Damaged

    with terminable():
        try:
            policy = policy_of(config)
            with assemble(config, served=served_for(config)) as experiment:
                study = Study(
                    storage_for(config, experiment.folder, notice=experiment.view.note),
                    name=experiment.plan.name,
                    seed=experiment.plan.seed,
                    metric=experiment.task.metric,
                    policy=policy,
                    limit_ms=experiment.target.max_latency_ms,
                    home=experiment.folder,
                    notice=experiment.view.note,
                )
                tracker = tracker_for(config, experiment.folder)
                candidates = run_study(tracked(experiment, tracker), study)
                outcome = conclude(experiment, candidates)
                if tracker is not None:
                    track_study(experiment, study, candidates, tracker)
        except (SettingsError, StorageError, NothingFastEnough, BrokenMachine, Damaged) as error:
            return fail(str(error))
        except KeyboardInterrupt:
            print("\nstopped; the same command carries on from here", file=sys.stderr)
            return INTERRUPTED
    print_table(Console(), outcome.summary, report=outcome.report, worth=outcome.worth)
    return 0


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: cleanly, between two lines."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


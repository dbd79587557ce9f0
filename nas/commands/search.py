"""`nas search`: propose, screen, train, quantize, export."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from nas.commands import fail
from nas.commands.guard import INTERRUPTED, was_interrupted
from nas.commands.overrides import (
    MULTIRUN,
    SHOWING,
    in_turn,
    named,
    plain,
    readable,
    unread_addition,
    unswept,
    with_targets,
)
from nas.redact import has_password, redacted

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(arguments: list[str]) -> int:
    """Let Hydra read the settings and run the search; return the exit code."""
    if any(has_password(argument) for argument in arguments):
        return fail(
            "there is a password on the command line, where every user of this machine can read "
            "it: put it into ~/.pgpass or PGPASSWORD, or the whole address into "
            "FREEWAY_STORAGE_URL"
        )
    from nas.spaces import own_classes

    arguments = readable(arguments)
    if MULTIRUN & set(arguments) and not SHOWING & set(arguments):
        return _each_in_turn(arguments)
    return configured("search", "config", own_classes(with_targets(named(arguments))), _search)


def _each_in_turn(arguments: list[str]) -> int:
    """One study after the other; the exit code is the worst of theirs."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from nas.commands.sweep import checked, start
    from nas.settings import SettingsError
    from nas.spaces import own_classes

    try:
        runs = [own_classes(with_targets(named(run))) for run in in_turn(arguments)]
        names = [checked(run) for run in runs]
    except (SettingsError, ValueError) as error:
        return fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        return fail(plain(error, "search", "config"))
    if len(set(names)) < len(names):
        return fail(
            f"several of these searches would be called {names[0]}: leave study.name out, or "
            "give as many names as there are searches, each in a command of its own"
        )
    codes: list[int] = []
    for number, (name, run) in enumerate(zip(names, runs, strict=True), 1):
        if len(runs) > 1:
            print(f"nas: study {number} of {len(runs)}: {name}", file=sys.stderr, flush=True)
        workers = bool(MULTIRUN & set(run))
        alone = configured("search", "config", run, _search) if not workers else None
        codes.append(start(run, body=_search) if alone is None else alone)
        if codes[-1] == INTERRUPTED:
            break
    return max(codes)


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
    from nas.commands.settings_here import find_settings_here
    from nas.settings import SettingsError, check_settings

    codes: list[int] = []
    failures: list[Exception] = []

    @hydra.main(version_base="1.3", config_path="pkg://conf", config_name=config_name)
    def task(config: DictConfig) -> None:
        try:
            if told := unread_addition(arguments, config, config_name):
                raise SettingsError(f"{told} (nas {verb} --cfg job shows all settings)")
            check_settings(config)
            codes.append(body(config))
        except Exception as error:
            if MULTIRUN & set(arguments):
                raise
            # Hydra would print lines of its own about it.
            failures.append(error)

    # Raw exceptions instead of Hydra's own exit, so that a mistake is one line and exit code 2.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [f"nas {verb}", *readable(arguments)]
    # What Hydra shows of the settings, it shows whole.
    shown = StringIO() if SHOWING & set(arguments) else sys.stdout
    try:
        find_settings_here()
        with redirect_stdout(shown):
            if SHOWING & set(arguments):
                sys.argv[1:] = unswept(sys.argv[1:])
            if {"--help", "-h"} & set(arguments):
                print(settings_help(verb, config_name, sys.argv[1:]))
            else:
                task()
        if failures:
            raise failures[0]
    except SettingsError as error:
        return fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        if was_interrupted():
            raise
        return fail(plain(error, verb, config_name))
    except Exception as error:
        if was_interrupted() or failures or MULTIRUN & set(arguments):
            raise
        # Hydra's own: settings that are no settings, a folder that it cannot enter.
        return fail(plain(error, verb, config_name))
    finally:
        if isinstance(shown, StringIO):
            print(redacted(shown.getvalue()), end="")
    return codes[0] if codes else 0


def _search(config: DictConfig) -> int:
    """Work alone, or as one of a sweep's workers."""
    from nas.commands.sweep import be_worker

    return _search_alone(config) if config.worker is None else be_worker(config)


def _search_alone(config: DictConfig) -> int:
    from rich.console import Console

    from nas.assemble import assemble
    from nas.collaborators import served_for, storage_for, tracked, tracker_for
    from nas.pipeline import BrokenMachine, NothingFastEnough, run_study
    from nas.policies.chosen import policy_of
    from nas.report.results import conclude
    from nas.settings import SettingsError, storage_settings
    from nas.storage import StorageError
    from nas.study import Study
    from nas.tracking.trackers import track_study
    from trainers.base import Damaged

    with terminable():
        try:
            policy = policy_of(config)
            with assemble(config, served=served_for(config)) as experiment:
                study = Study(
                    storage_for(config, experiment.folder, notice=experiment.note),
                    name=experiment.plan.name,
                    seed=experiment.plan.seed,
                    metric=experiment.task.metric,
                    policy=policy,
                    limit_ms=experiment.target.max_latency_ms,
                    home=experiment.folder,
                    patience_s=storage_settings(config).patience_s,
                    notice=experiment.note,
                )
                tracker = tracker_for(config, experiment.folder)
                candidates = run_study(tracked(experiment, tracker), study)
                outcome = conclude(experiment, candidates)
                if tracker is not None and experiment.trains:
                    track_study(experiment, study, candidates, tracker)
        except (SettingsError, StorageError, NothingFastEnough, BrokenMachine, Damaged) as error:
            return fail(str(error))
        except KeyboardInterrupt:
            print("\nstopped; the same command carries on from here", file=sys.stderr)
            return INTERRUPTED
    outcome.show(Console())
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


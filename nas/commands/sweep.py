"""`nas search -m`: the side that starts the workers, and what each of them runs."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from nas.commands import fail
from nas.commands.guard import INTERRUPTED
from nas.commands.overrides import unswept
from nas.workers.status import read_status

if TYPE_CHECKING:
    from omegaconf import DictConfig

_LOOK_S, _LAST_WORDS_S = 2.0, 10.0
_PLUGIN = "hydra/launcher/submitit"


def start(arguments: list[str], *, body: Callable[[DictConfig], int]) -> int:
    """Make the study, start the workers, wait for them, and tell what came of it.

    Args:
        arguments: of `nas search`, with --multirun among them.
        body: what each worker runs on its settings.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from nas.commands import status
    from nas.commands.overrides import plain
    from nas.commands.search import configured
    from nas.report.describe import command_line
    from nas.settings import SettingsError
    from nas.workers.shared_study import prepare
    from nas.workers.status import report_is_fresh

    try:
        config, launcher = _composed(arguments)
        folder = prepare(config, launcher=launcher, notice=_tell)
    except (HydraException, OmegaConfBaseException) as error:
        return fail(_missing(str(error)) or plain(error, "search", "config"))
    except SettingsError as error:
        return fail(str(error))
    look = command_line("status", str(folder))
    _tell(f"the workers write to {folder / 'jobs'}; look at them: {look}")
    try:
        with _until_complete(folder):
            configured("search", "config", arguments, body)
    except KeyboardInterrupt:
        _tell(f"no longer waiting; jobs of a cluster go on: {look}")
        return INTERRUPTED
    except Exception as error:
        # One job's end is told when its result is fetched; the others end by themselves.
        if type(error).__module__.partition(".")[0] != "submitit":
            raise
        _tell(f"a worker has ended badly: {str(error).strip().splitlines()[0]}")
    status.main([str(folder)])
    if report_is_fresh(folder):
        return 0
    return fail(f"the sweep has not come to its end: the same command carries on in {folder}")


@contextmanager
def _until_complete(folder: Path) -> Iterator[None]:
    """Wait for the workers inside, but no longer than until the study is complete.

    The evidence says so, not the batch system: where Slurm keeps no accounts, the launcher would
    wait for ever for a job that was killed.
    """
    over, complete = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            status = read_status(folder)
            busy = any(one.state == "working" for one in status.workers)
            if status.report is not None and not busy:
                if not over.wait(_LAST_WORDS_S):
                    complete.set()
                    _thread.interrupt_main(signal.SIGALRM)
                return

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Not SIGINT: what runs in the background of a script ignores that.
    before = signal.signal(signal.SIGALRM, leave)
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if not complete.is_set():
            raise
        _tell("the study is complete; a worker that was killed is not waited for")
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGALRM, before)


def be_worker(config: DictConfig) -> int:
    """Be one of a sweep's workers; return the exit code."""
    from nas.pipeline import BrokenMachine, NothingFastEnough
    from nas.settings import SettingsError
    from nas.storage import StorageError
    from nas.workers.shared_study import work
    from trainers.base import Damaged, Interrupted

    try:
        work(config)
    except (SettingsError, StorageError, NothingFastEnough, BrokenMachine, Damaged) as error:
        return fail(str(error))
    except (Interrupted, KeyboardInterrupt):
        _tell("stopped; what was begun here is open to the other workers")
        return INTERRUPTED
    return 0


def _tell(line: str) -> None:
    print(f"nas: {line}", file=sys.stderr, flush=True)


def _missing(said: str) -> str:
    """What to install when Hydra does not know a launcher."""
    if _PLUGIN not in said:
        return ""
    return "sweeps need Hydra's submitit launcher: pip install 'freeway-nas[cluster]'"


def checked(arguments: list[str]) -> str:
    """The folder of the study that these arguments ask for, before anything is done for it.

    Raises:
        SettingsError: they ask for what cannot be.
        HydraException: they are not understood.
    """
    from nas.commands.overrides import unread_addition
    from nas.settings import SettingsError, check_settings

    config, _ = _composed(arguments)
    if told := unread_addition(arguments, config, "config"):
        raise SettingsError(told)
    check_settings(config)
    return str(Path(str(config.runs_dir)) / str(config.study.name))


def _composed(arguments: list[str]) -> tuple[DictConfig, str]:
    """The settings that all workers have in common, and the class that launches them."""
    from omegaconf import OmegaConf, open_dict

    from nas.commands.settings_here import composed
    from nas.settings import SettingsError

    common = [argument for argument in unswept(arguments) if not argument.startswith("-")]
    try:
        config = composed("config", common, with_hydra=True)
    except (ValueError, TypeError) as error:
        raise SettingsError(str(error)) from error
    launcher = str(OmegaConf.select(config, "hydra.launcher._target_"))
    with open_dict(config):
        del config["hydra"]
    return config, launcher

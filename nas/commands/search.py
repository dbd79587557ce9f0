"""`nas search`: propose, screen, train, quantize, export."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nas.commands import fail

if TYPE_CHECKING:
    from omegaconf import DictConfig

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Let Hydra read the settings and run the search; return the exit code."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    codes: list[int] = []

    @hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
    def task(config: DictConfig) -> None:
        codes.append(_search(config))

    # Raw exceptions instead of Hydra's own exit, so that a mistake is one line and exit code 2.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["nas search", *arguments]
    try:
        task()
    except (HydraException, OmegaConfBaseException) as error:
        return fail(_plain(error))
    return codes[0] if codes else 0


def _plain(error: BaseException) -> str:
    """The first lines of a configuration error, and where to look."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    known = [line for line in lines if "full_key" not in line and "object_type" not in line]
    return f"{' '.join(known[:4])} (nas search --cfg job shows all settings)"


def _search(config: DictConfig) -> int:
    from rich.console import Console

    from nas.assemble import SettingsError, assemble
    from nas.pipeline import BrokenMachine, NothingFastEnough, run_study
    from nas.report.results import conclude
    from nas.report.tables import print_table
    from nas.study import Study

    with _terminable():
        try:
            with assemble(config) as experiment:
                study = Study(
                    experiment.folder / "study.journal",
                    name=experiment.plan.name,
                    seed=experiment.plan.seed,
                    metric=experiment.task.metric,
                )
                outcome = conclude(experiment, run_study(experiment, study))
        except (SettingsError, NothingFastEnough, BrokenMachine) as error:
            return fail(str(error))
        except KeyboardInterrupt:
            print("\nstopped; the same command carries on from here", file=sys.stderr)
            return INTERRUPTED
    print_table(Console(), outcome.summary, report=outcome.report)
    return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the search as Ctrl-C does: cleanly, between two lines."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


"""`nas measure-worker`: time networks here for trainers that lack this device."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import ExitStack
from functools import partial

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser
from nas.redact import has_password

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; return the exit code."""
    from latency_models.base import EngineUnavailable
    from nas.commands.search import terminable
    from nas.storage import StorageError
    from nas.workers.measuring import WrongDevice

    try:
        options = _parser().parse_args(arguments)
        with terminable():
            _serve(options)
    except (Mistake, StorageError, EngineUnavailable, WrongDevice) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        print("\nstopped; started again under this name it carries on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas measure-worker",
        description="Time networks on this machine for a search whose workers lack its device. "
        "The search is started with measuring=served; engine and threads come from there. It "
        "may be stopped and started again at any time.",
        epilog="example: FREEWAY_STORAGE_URL=postgresql://me@db/sweeps nas measure-worker "
        "x2-360x640-int8-50ms",
    )
    parser.add_argument("study", help="the study's name")
    parser.add_argument(
        "--storage", metavar="WHERE",
        help="the database's address, without its password, or the path of a study.journal; "
        "default: FREEWAY_STORAGE_URL",
    )
    parser.add_argument(
        "--name", default=socket.gethostname(),
        help="of this worker, for receipts; it must stay the same over restarts (default: the "
        "host's)",
    )
    parser.add_argument(
        "--load-plans", action="store_true",
        help="load what the search's workers have compiled (tensorrt_rtx), in place of compiling "
        "here: more of the device's time for timing. A plan is native code, so only where you "
        "trust all who may write to the storage",
    )
    return parser


def _serve(options: argparse.Namespace) -> None:
    from latency_models.device import each_wait_once
    from latency_models.engines import pick_engine
    from latency_models.isolated import IsolatedLatency
    from latency_models.measured import MeasuredLatency
    from latency_models.protocol import MeasuringProtocol
    from nas.receipts import SCREENING
    from nas.storage import StorageSettings, storage_at
    from nas.workers.measuring import Requests, serve
    from nas.workers.version import code_version

    where = options.storage or os.environ.get("FREEWAY_STORAGE_URL")
    if where is None:
        raise Mistake("where does the study lie? give --storage, or set FREEWAY_STORAGE_URL")
    if options.storage and has_password(options.storage):
        raise Mistake(
            "a password on the command line can be read by every user of this machine: put it "
            "into ~/.pgpass or PGPASSWORD, or the whole address into FREEWAY_STORAGE_URL"
        )
    try:
        requests = Requests(
            storage_at(where), options.study, patience_s=StorageSettings.patience_s, notice=_tell
        )
    except ValueError as error:
        raise Mistake(str(error)) from error
    wanted = requests.wanted
    if wanted is None:
        raise Mistake(
            f"no search with measuring=served was started for the study '{options.study}'"
        )
    if wanted.code != code_version():
        raise Mistake(
            f"this machine has version {code_version()} of the code, the search {wanted.code}: "
            "install the same here"
        )
    try:
        engine, _ = pick_engine(
            wanted.engine, threads=wanted.threads, settings=wanted.settings
        )
    except ValueError as error:
        raise Mistake(f"this machine does not suit the search: {error}") from error
    if options.load_plans and not hasattr(engine, "builds"):
        raise Mistake(
            "--load-plans is for engines that compile without their device, and the search asks "
            f"for {engine.name}: leave it out"
        )
    waits = each_wait_once(_tell)
    with ExitStack() as stack:
        timers = {
            protocol: stack.enter_context(
                IsolatedLatency(partial(MeasuredLatency, engine, how), notice=waits)
            )
            for protocol, how in (("screening", SCREENING), ("latency", MeasuringProtocol()))
        }
        _tell(f"{options.name} times {engine.name} on {engine.device()} for {options.study}")
        serve(
            requests, timers, name=options.name, notice=_tell, loads_plans=options.load_plans
        )


def _tell(line: str) -> None:
    print(line, flush=True)

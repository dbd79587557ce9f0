"""`nas status`: what a study is at."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, amount

INTERRUPTED = 130
_PIPED_WIDTH = 140


def main(arguments: list[str]) -> int:
    """Print the status; again every few seconds with --watch. Return the exit code."""
    try:
        options = _parser().parse_args(arguments)
    except Mistake as error:
        return fail(str(error))
    from nas.evidence import OutsideFolder
    from nas.ledger import as_json
    from nas.workers.status import NoStudy, read_status

    try:
        while True:
            status = read_status(_folder(options.study, options.runs))
            if options.json:
                plain = asdict(status) | {
                    "funnel": status.funnel.to_json(),
                    "front": [candidate.to_json() for candidate in status.front],
                }
                print(as_json(json.loads(json.dumps(plain, default=str))))
            else:
                _print(status, clear=options.watch is not None)
            if options.watch is None:
                return 0
            time.sleep(options.watch)
    except (NoStudy, OutsideFolder) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas status",
        description="Tell what a study is at: its workers with their stage and last heartbeat, "
        "how many candidates came how far, the front, and why candidates failed. It reads the "
        "study's folder only, so it works while a database is away.",
        epilog="example: nas status runs/x2-360x640-int8-50ms --watch 5",
    )
    parser.add_argument("study", help="the study's folder, or its name under --runs")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument("--watch", type=amount, metavar="SECONDS", help="look again so often")
    parser.add_argument("--json", action="store_true", help="all of it, for other programs")
    return parser


def _folder(study: str, runs: Path) -> Path:
    path = Path(study).expanduser()
    return path if path.is_dir() else runs / study


def _print(status: object, *, clear: bool) -> None:
    from rich.console import Console

    from nas.report.status_table import print_status
    from nas.workers.status import Status

    assert isinstance(status, Status)
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    if clear:
        console.clear()
    print_status(console, status)

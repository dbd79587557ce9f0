"""`nas dashboard`: Optuna's dashboard on a study's storage."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, port

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Serve the dashboard until Ctrl-C; return its exit code."""
    try:
        options = _parser().parse_args(arguments)
        where = _storage(options.study)
    except Mistake as error:
        return fail(str(error))
    if find_spec("optuna_dashboard") is None:
        return fail("optuna-dashboard is not installed: pip install 'freeway-nas[dashboard]'")
    print(f"http://{options.host}:{options.port}", flush=True)
    try:
        # The address goes through the environment: a command line can be read by everyone.
        return subprocess.run(
            [sys.executable, "-c", _SERVE, options.host, str(options.port)],
            env={**os.environ, "FREEWAY_DASHBOARD": where},
            check=False,
        ).returncode
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "nas dashboard",
        description="Look at a study in a browser: the front, the history, which choices matter. "
        "Candidates over the limit are pruned trials there. The database's address is read from "
        "FREEWAY_STORAGE_URL when the study lies in one.",
        epilog="example: nas dashboard runs/x2-360x640-int8-50ms --port 8080",
    )
    parser.add_argument("study", type=Path, help="the study's folder")
    parser.add_argument("--port", type=port, default=8080)
    parser.add_argument("--host", default="127.0.0.1")
    return parser


_SERVE = """
import os, sys
from optuna_dashboard import run_server
from nas.storage import storage_at
run_server(storage_at(os.environ["FREEWAY_DASHBOARD"]), host=sys.argv[1], port=int(sys.argv[2]))
"""


def _storage(folder: Path) -> str:
    """The journal's path or the database's address.

    Raises:
        Mistake: there is no study.
    """
    from nas.storage import JOURNAL

    if (folder / JOURNAL).is_file():
        return str(folder / JOURNAL)
    if not folder.is_dir():
        raise Mistake(f"there is no study in {folder}: give the folder of one, as runs/<study>")
    url = os.environ.get("FREEWAY_STORAGE_URL")
    if url is None:
        raise Mistake(
            f"{folder} has no study.journal, so the study lies in a database: set "
            "FREEWAY_STORAGE_URL to its address"
        )
    return url

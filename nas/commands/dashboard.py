"""`nas dashboard`: Optuna's dashboard on a study's storage.

It can change and delete studies, and a browser lets any page send it requests. So what comes from
another page is refused: by its Origin, and by the name that it gave this machine, for a foreign
name may be made to point here after its page was loaded (DNS rebinding).
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nas.commands import fail
from nas.commands.arguments import Mistake, Parser, port

INTERRUPTED = 130
_READING = ("GET", "HEAD", "OPTIONS")
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def main(arguments: list[str]) -> int:
    """Serve the dashboard until Ctrl-C; return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        where = _storage(options.study)
    except Mistake as error:
        return fail(str(error))
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        return fail("optuna-dashboard is not installed: pip install 'freeway-nas[dashboard]'")
    from nas.commands.search import terminable
    from nas.storage import StorageError, storage_at

    try:
        with terminable():
            serve(own_pages_only(wsgi(storage_at(where)), options.host), options)
    except StorageError as error:
        return fail(str(error))
    except (OSError, OverflowError) as error:
        at = f"{options.host}:{options.port}"
        return fail(f"cannot serve at {at} ({error}): give another --port or --host")
    except KeyboardInterrupt:
        pass
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
    parser.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen at, or this machine's name (default: %(default)s, for this "
        "machine alone; whoever can reach another one can change the study)",
    )
    return parser


def own_pages_only(app: App, host: str) -> App:
    """The same pages for whoever asks for them by this machine's name, and no others' requests.

    Args:
        host: a name by which they may be asked for, beside those that the machine has.
    """
    names = {name.lower() for name in ("localhost", host, socket.gethostname(), socket.getfqdn())}

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        why = _refusal(environ, names)
        if why:
            start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{why}\n".encode()]
        return app(environ, start_response)

    return guarded


def _refusal(environ: dict[str, Any], names: set[str]) -> str:
    """Why a request is not answered; empty where it is."""
    host = environ.get("HTTP_HOST", "")
    if not (_name(host) in names or _is_number(_name(host))):
        return "this is not a name of the machine: start nas dashboard with --host <the name>"
    if environ["REQUEST_METHOD"] in _READING:
        return ""
    origin = environ.get("HTTP_ORIGIN")
    foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
    if foreign or environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        return "a page of another site may change nothing here"
    return ""


def _name(host: str) -> str:
    """The machine in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_number(name: str) -> bool:
    """An IP address, which nobody can make to point elsewhere."""
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerOfSix(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Requests are not told."""


def serve(app: App, options: argparse.Namespace) -> None:
    """Answer requests in this process, until an exception ends it."""
    kind = _ServerOfSix if ":" in options.host else _Server
    with make_server(options.host, options.port, app, kind, _Silent) as server:
        shown = f"[{options.host}]" if ":" in options.host else options.host
        print(f"http://{shown}:{server.server_port}", flush=True)
        server.serve_forever(poll_interval=0.2)


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

"""The dashboard answers its own pages only, and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.commands import dashboard
from nas.commands.dashboard import own_pages_only
from nas.storage import JOURNAL, journal

ROOT = Path(__file__).parents[2]
_STAND_IN = """
def wsgi(storage):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REQUEST_METHOD"].encode()]
    return app
"""


def status(method: str, at: str = "127.0.0.1", **headers: str) -> str:
    """What a request is answered with, when the dashboard is served at this address."""
    told: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b""]

    environ = {"REQUEST_METHOD": method}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    own_pages_only(app, at)(environ, lambda status, headers: told.append(status))
    return told[0]


@pytest.mark.parametrize(
    "host",
    ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:9", "192.168.1.7:8080",
     f"{socket.gethostname()}:8080"],
)
def test_its_own_pages_may_read_and_write_under_any_name_of_the_machine(host: str) -> None:
    assert status("GET", Host=host) == "200 OK"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert status(method, Host=host, Origin=f"http://{host}") == "200 OK"
        assert status(method, Host=host, Sec_Fetch_Site="same-origin") == "200 OK"
    # What is no browser tells no origin.
    assert status("POST", Host=host) == "200 OK"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example:8080", "127.0.0.1.evil.example", "", "[", "a b",
     "localhost:8080@evil.example", "evil.example,localhost"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_foreign_name_that_points_here_is_answered_nothing(host: str, method: str) -> None:
    assert status(method, Host=host, Origin=f"http://{host}") == "403 Forbidden"
    assert status(method) == "403 Forbidden"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": "http://localhost:8080.evil.example"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "ODD"])
def test_another_page_may_not_write(headers: dict[str, str], method: str) -> None:
    assert status(method, Host="localhost:8080", **headers) == "403 Forbidden"


def test_a_name_that_it_is_served_under_is_its_own() -> None:
    assert status("GET", "Board.example", Host="board.example:8080") == "200 OK"
    assert status("GET", "Board.example", Host="other.example:8080") == "403 Forbidden"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    journal(tmp_path / "study" / JOURNAL)
    (tmp_path / "optuna_dashboard.py").write_text(_STAND_IN)
    return tmp_path / "study"


@pytest.fixture
def served(study: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from nas.commands import entry; entry()", "dashboard",
         str(study), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{study.parent}{os.pathsep}{ROOT}"},
    )
    yield process
    process.kill()
    process.communicate()


def test_a_request_from_another_page_gets_403_and_sigterm_leaves_no_process(
    served: subprocess.Popen[str],
) -> None:
    assert served.stdout is not None
    address = served.stdout.readline().strip().removeprefix("http://")

    def asked(method: str, **headers: str) -> int:
        line = http.client.HTTPConnection(address, timeout=60)
        line.request(method, "/api/studies", headers=headers)
        code = line.getresponse().status
        line.close()
        return code

    assert asked("GET") == asked("POST", Origin=f"http://{address}") == 200
    assert asked("POST", Origin="http://evil.example") == 403
    assert asked("GET", Host="evil.example") == 403
    children = Path(f"/proc/{served.pid}/task/{served.pid}/children")
    assert not children.is_file() or children.read_text() == ""
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=60) == dashboard.INTERRUPTED
    with pytest.raises(OSError):
        asked("GET")
    assert served.stderr is not None
    assert served.stderr.read() == ""


@pytest.mark.parametrize("port", ["-1", "70000"])
def test_a_port_that_there_is_not_is_told_in_one_line(
    port: str, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = SimpleNamespace(wsgi=lambda storage: None)
    monkeypatch.setitem(sys.modules, "optuna_dashboard", there)
    assert dashboard.main([str(study), "--port", port]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"nas: argument --port: '{port}' is no port") and told.count("\n") == 1


def test_the_real_dashboard_is_served(study: Path) -> None:
    """Against the package itself, where it is installed: it takes a storage and gives an app."""
    package = pytest.importorskip("optuna_dashboard")
    asked: list[str] = []
    app = own_pages_only(package.wsgi(journal(study / JOURNAL)), "127.0.0.1")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies", "HTTP_HOST": "localhost"}
    body = b"".join(app(environ, lambda status, headers, *_: asked.append(status)))
    assert asked == ["200 OK"] and b"study_summaries" in body

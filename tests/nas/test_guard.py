"""What may befall any command: it is told in one line, and is no traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real_search import ROOT

from latency_models.base import DamagedReceipts
from nas.commands.guard import guarded
from nas.durable import write_aside
from trainers.base import Damaged


def raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a/case.json"),
         "nas: runs/a/case.json: No space left on device: make room there"),
        (OSError(errno.EROFS, "Read-only file system", "runs"), "nas: runs: Read-only file"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "nas: xxx"),
        (Damaged("settings.json is damaged: remove it"), "nas: settings.json is damaged"),
        (DamagedReceipts("receipts.sqlite is damaged"), "nas: receipts.sqlite is damaged"),
        (MemoryError("8 TiB"), "nas: there is not enough memory for this (8 TiB)"),
        (RuntimeError("Could not determine home directory."), "nas: there is no home folder"),
    ],
)
def test_a_fault_of_the_machine_or_of_a_file_is_one_line(
    error: Exception, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(error)) == 2
    _, errors = capfd.readouterr()
    assert errors.startswith(line)
    assert errors.count("\n") == 1
    assert len(errors) < 700


@pytest.mark.parametrize("bug", [KeyError("weights"), OSError("odd"), RuntimeError("no")])
def test_a_fault_of_ours_is_not_hidden(bug: Exception) -> None:
    with pytest.raises(type(bug)):
        guarded(raising(bug))


def test_an_interrupt_is_one_whatever_a_library_makes_of_it(
    capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)

    def body() -> int:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt as error:
            raise ImportError("numpy.core.multiarray failed to import") from error
        return 0

    try:
        assert guarded(body) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capfd.readouterr().err == "\nstopped\n"


def test_a_full_disk_says_which_file_it_could_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    def body() -> int:
        write_aside(tmp_path / "case.json", b"{}")
        return 0

    assert guarded(body) == 2
    assert "case.json" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def shell(line: str, folder: Path) -> tuple[int, str]:
    """Run a line of bash in which `$NAS` is the command; exit code and error stream."""
    command = f'{sys.executable} -c "from nas.commands import entry; entry()"'
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line.replace('$NAS', command)}"], cwd=folder,
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "$NAS --help | head -1",
        "$NAS search --cfg job | head -1",
        "$NAS show espcn --no-roofline --engine openvino | head -1",
        "$NAS show espcn --no-roofline --engine openvino --json | true",
        "$NAS show espcn --no-roofline --engine openvino >&-",
        "$NAS show espcn --no-roofline --engine openvino > /dev/full",
        "$NAS --version 2>&- > /dev/full",
    ],
)
def test_an_output_that_nobody_reads_is_no_traceback(line: str, tmp_path: Path) -> None:
    code, errors = shell(line, tmp_path)
    assert code in (0, 1, 2)
    assert "Traceback" not in errors and "Exception ignored" not in errors
    assert errors.count("\n") <= 1


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.6, 1.0, 1.6, 2.4])
def test_two_interrupts_in_a_row_end_a_search_while_it_is_still_loading(
    after_s: float, tmp_path: Path
) -> None:
    script = "from nas.commands import entry; print('here', flush=True); entry()"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-c", script, "search", "study.candidates=2"], cwd=tmp_path, text=True,
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        output, errors = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        # Libraries that are being loaded swallow one now and then; whoever waits presses again.
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in output + errors and "Exception ignored" not in errors


def test_an_interrupt_that_a_library_made_an_error_of_settings_of_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from omegaconf.errors import OmegaConfBaseException

    from nas.commands.search import configured

    def reading() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise OmegaConfBaseException("'NoneType' object has no attribute 'x'") from error

    monkeypatch.setattr("hydra.main", lambda **settings: lambda task: reading)
    monkeypatch.setattr(sys, "argv", ["nas"])
    assert guarded(lambda: configured("search", "config", [], lambda config: 0)) == 130
    assert capfd.readouterr().err == "\nstopped\n"


def test_without_a_home_folder_it_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from nas.commands import bench

    def gone(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", gone)
    assert guarded(lambda: bench.main(["espcn", "--engine", "openvino"])) == 2
    assert "set HOME (and XDG_CACHE_HOME" in capfd.readouterr().err

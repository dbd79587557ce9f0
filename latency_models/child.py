"""The parent's side of one child process: how it is asked, watched and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

from latency_models import device
from latency_models.base import CompileError, DeviceError
from latency_models.isolated_child import packed, receive

T = TypeVar("T")
_START_S = 60.0
_LOOK_EVERY_S, _LONGEST_LOOK_S = 0.1, 1.0
_LAST_LINES = 6
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}
_BOOT = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from latency_models.isolated_child import main
main(int(sys.argv[2]), int(sys.argv[3]), dies_with_thread=sys.argv[4] == "1")
"""


class Child:
    """One child process and the channel to it."""

    def __init__(
        self,
        factory: Callable[[], Any],
        memory_limit_mib: float | None,
        notice: device.Notice | None,
    ) -> None:
        free_mib = device.free_memory_mib()
        self._limit_mib = memory_limit_mib or 0.8 * free_mib or float("inf")
        self._notice = notice
        self._broken = False
        self._words: IO[bytes] = tempfile.TemporaryFile("a+b", buffering=0)
        self._channel, theirs = socket.socketpair()
        end, self._lifeline = os.pipe()
        in_main = threading.current_thread() is threading.main_thread()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        _BOOT,
                        json.dumps(sys.path),
                        str(theirs.fileno()),
                        str(end),
                        str(int(in_main)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=self._words,
                    stderr=self._words,
                    pass_fds=(theirs.fileno(), end),
                    start_new_session=True,
                )
            finally:
                os.close(end)
        self.stop = weakref.finalize(
            self, _stop, self._process, self._channel, self._lifeline, self._words, os.getpid()
        )
        self._start(factory)

    def _start(self, factory: Callable[[], Any]) -> None:
        try:
            self.ask((factory,), _START_S)
        except CompileError as error:
            raise DeviceError(f"the measuring process did not start: {error}") from error
        finally:
            if not self.is_healthy():
                self.stop()

    def is_healthy(self) -> bool:
        """False once it died or failed, or when it keeps half of the memory it may take."""
        if self._broken or self._process.poll() is not None:
            return False
        return _resident_mib(self._process.pid) < self._limit_mib / 2

    def ask(self, message: tuple[Any, ...], timeout_s: float) -> Any:
        """Send one message and return the answer's value."""
        self._words.truncate(0)
        self._left_s = timeout_s
        self._broken = True
        try:
            self._write(packed(message))
            while (answer := receive(self._read))[0] == "waiting":
                self._wait_for_other(answer[1], timeout_s)
        except (EOFError, ConnectionError):
            raise self._death() from None
        except TimeoutError:
            self._kill()
            raise CompileError(
                f"no answer within {timeout_s:g} s, the process was ended{self._last_words()}"
            ) from None
        self._broken = False
        return self._value(answer)

    def _value(self, answer: tuple[Any, ...]) -> Any:
        if answer[0] == "done":
            return answer[1]
        self._broken = answer[0] == "out of memory"
        if self._broken:
            raise CompileError(f"the engine ran out of memory{self._last_words()}")
        error, trace = answer[1], answer[2]
        if not isinstance(error, (CompileError, DeviceError)):
            error.add_note(f"in the measuring process:\n{trace}")
        self._broken = isinstance(error, DeviceError)
        raise error

    def _wait_for_other(self, text: str | None, timeout_s: float) -> None:
        """The clock stands still while the child waits for another process to finish timing."""
        self._left_s = float("inf") if text else timeout_s
        if text and self._notice is not None:
            self._notice(text)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._attended(lambda part=left: self._channel.send(part)) :]  # type: ignore[misc]

    def _read(self, count: int) -> bytes:
        """Exactly this many bytes."""
        parts = bytearray()
        while len(parts) < count:
            most = min(count - len(parts), 1 << 20)
            part = self._attended(lambda most=most: self._channel.recv(most))  # type: ignore[misc]
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def _attended(self, act: Callable[[], T]) -> T:
        """Use the channel; looks at the time and the child's memory while it waits.

        Time in which either process was stopped, by hand or by a batch system that suspends the
        job, does not count: nobody could have answered then.

        Raises:
            TimeoutError: the child has had its time.
        """
        self._channel.settimeout(_LOOK_EVERY_S)
        while True:
            looked = time.monotonic()
            try:
                return act()
            except TimeoutError:
                if not _is_stopped(self._process.pid):
                    self._left_s -= min(time.monotonic() - looked, _LONGEST_LOOK_S)
                if self._left_s < 0:
                    raise
                self._check_memory()

    def _check_memory(self) -> None:
        used = _resident_mib(self._process.pid)
        if used > self._limit_mib:
            self._kill()
            raise CompileError(
                f"out of memory: the engine took {used:.0f} MiB, {self._limit_mib:.0f} are "
                f"allowed{self._last_words()}"
            )

    def _death(self) -> CompileError | DeviceError:
        """Why the child is gone, and whose fault that is."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
            status = self._process.returncode
        words = self._last_words()
        if status >= 0:
            return CompileError(f"the engine ended its process with status {status}{words}")
        name = signal.Signals(-status).name
        if -status in _FROM_OUTSIDE:
            return DeviceError(
                f"the measuring process was ended from outside by {name}, by hand or by the "
                f"kernel for lack of memory; that says nothing about the graph{words}"
            )
        return CompileError(f"the engine crashed by {name}{words}")

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _last_words(self) -> str:
        with suppress(OSError):
            self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - 4000))
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return "; its last words: " + " | ".join(lines[-_LAST_LINES:]) if lines else ""


def _stop(
    process: subprocess.Popen[bytes],
    channel: socket.socket,
    lifeline: int,
    words: IO[bytes],
    owner: int,
) -> None:
    """End the child and wait for it; does nothing in a fork, which only has copies."""
    if os.getpid() != owner:
        return
    channel.close()
    os.close(lifeline)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    words.close()


def _is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal or a debugger."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "tT"
    except (OSError, IndexError):
        return False


def _resident_mib(pid: int) -> float:
    """Resident memory of one process in MiB; 0 when it is gone or cannot be read."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            pages = int(file.read().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

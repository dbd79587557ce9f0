"""What may befall any command: Ctrl-C at any moment, a full disk, a pipe that nobody reads."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

_LONGEST = 500
"""Letters of a word, such as a path, that are printed of it."""
USER_ERROR, INTERRUPTED, CLOSED = 2, 130, 1
_REMEDIES = {
    errno.ENOSPC: "make room there, and give the same command again",
    errno.EDQUOT: "make room there, and give the same command again",
    errno.EROFS: "name a folder that can be written",
    errno.EACCES: "name one that is yours, or ask for the right to it",
    errno.EPERM: "name one that is yours, or ask for the right to it",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.EIO: "the disk or the network it lies on is at fault",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EBUSY: "another process keeps it: give the same command again when that is over",
    errno.ENOTDIR: "a file is where a folder should be",
    errno.EISDIR: "a folder is where a file should be",
    errno.ESTALE: "the network file system has lost it: give the same command again",
}
"""What can be done about faults of the machine; others are ours."""

_SAME_S = 0.3
"""Interrupts that follow so soon are the same one, pressed twice."""

_pressed: list[float] = []
"""When Ctrl-C was pressed during the command that runs."""


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed: whatever is raised since may be what a library made of it."""
    return bool(_pressed)


def guarded(body: Callable[[], int]) -> int:
    """Run a command; what is no fault of the program is told in one line.

    Whatever an interrupt turns into on its way out of a library is still an interrupt.

    Returns:
        The exit code: the command's own, 130 after Ctrl-C, 2 for what the user can mend.
    """
    _pressed.clear()
    _open_what_is_closed()

    def note(number: int, frame: FrameType | None) -> None:
        now_s, before_s = time.monotonic(), _pressed[-1] if _pressed else float("-inf")
        _pressed.append(now_s)
        # A second one while the first is on its way out can strike a library's clean-up, which
        # then aborts the process.
        if now_s - before_s > _SAME_S:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
    try:
        code = _flushed(body)
    except KeyboardInterrupt:
        code = _stopped()
    except BrokenPipeError:
        code = _nobody_reads()
    except Exception as error:
        if was_interrupted():
            code = _stopped()
        elif told := _told(error):
            code = fail(told)
        else:
            raise
    finally:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)
    return code


def leave(code: int) -> NoReturn:
    """End the process; a Ctrl-C now would only print which line it struck."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(code)


def fail(message: str) -> int:
    """Print one line on the error stream and return the exit code for it."""
    words = message.split()
    short = (word if len(word) <= _LONGEST else f"{word[:_LONGEST]}..." for word in words)
    print(f"nas: {' '.join(short)}", file=sys.stderr)
    return USER_ERROR


def _open_what_is_closed() -> None:
    """Give a process that was started without an output one that goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))


def _flushed(body: Callable[[], int]) -> int:
    try:
        code = body()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0 if not leaving.code else 1
    sys.stdout.flush()
    return code


def _stopped() -> int:
    print("\nstopped", file=sys.stderr)
    return INTERRUPTED


def _nobody_reads() -> int:
    """Let nothing more be written to a pipe whose reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return CLOSED


def _told(error: Exception) -> str:
    """One line about a fault of the machine or of a file; nothing about one of ours."""
    if isinstance(error, OSError):
        if error.errno not in _REMEDIES:
            return ""
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}: {_REMEDIES[error.errno]}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory for this ({error})"
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return (
            "there is no home folder here, or no such user: set HOME (and XDG_CACHE_HOME, to keep "
            "things elsewhere), or write paths without ~"
        )
    from latency_models.base import DamagedReceipts
    from trainers.base import Damaged

    return str(error) if isinstance(error, Damaged | DamagedReceipts) else ""

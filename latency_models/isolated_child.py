"""The child's side of `isolated`: answers requests until its parent is gone.

Imports nothing but the standard library before the parent's model asks for more, so that it is
ready in a fraction of a second; above all it does not import the parent's main module, as
`multiprocessing` with spawn does.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("!Q")
_PR_SET_PDEATHSIG = 1


def packed(message: tuple[Any, ...]) -> bytes:
    """One message as it is sent: eight bytes of length, then the pickle."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def send(channel: socket.socket, message: tuple[Any, ...]) -> None:
    """Write one message."""
    channel.sendall(packed(message))


def receive(read: Callable[[int], bytes]) -> tuple[Any, ...]:
    """Read one message with `read`, which returns exactly as many bytes as asked for.

    Raises:
        EOFError: the other side is gone.
    """
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    message: tuple[Any, ...] = pickle.loads(read(length))
    return message


def main(channel_number: int, lifeline: int, *, dies_with_thread: bool) -> None:
    """Make the model from the first message, then answer one request after the other."""
    _never_outlive_parent(lifeline, dies_with_thread)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    channel = socket.socket(fileno=channel_number)

    def read(count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = channel.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        model = _answer(channel, lambda: receive(read)[0](), quiet=True)
        if model is None:
            return
        from latency_models import device

        device.tell_waiting(lambda text: send(channel, ("waiting", text)))
        while True:
            method, args, kwargs = receive(read)
            _answer(channel, lambda m=method, a=args, k=kwargs: getattr(model, m)(*a, **k))  # type: ignore[misc]


def _answer(channel: socket.socket, act: Callable[[], Any], *, quiet: bool = False) -> Any:
    """Send what `act` returns or raises; with `quiet` only that it succeeded."""
    try:
        result = act()
    except EOFError:
        raise
    except MemoryError:
        send(channel, ("out of memory",))
        return None
    except BaseException as error:
        send(channel, ("raised", _portable(error), traceback.format_exc()))
        return None
    send(channel, ("done", None if quiet else result))
    return result


def _portable(error: BaseException) -> BaseException:
    """The error itself where it survives pickling, else its text."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return copy if isinstance(copy, Exception) else RuntimeError(repr(error))


def _never_outlive_parent(lifeline: int, dies_with_thread: bool) -> None:
    """Die with the parent, even in the middle of an engine's call.

    A thread waits on a pipe that only the parent holds open. It needs the interpreter lock; the
    kernel's own signal does not, but comes when the *thread* that started this process ends, so
    it is asked for only where that is the parent's main thread (prctl(2)).
    """
    if dies_with_thread and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        with suppress(OSError):
            os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()

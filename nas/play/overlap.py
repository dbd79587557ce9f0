"""Reading ahead and writing behind, each in a thread of its own, with bounded queues."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 0.05
"""How often a thread that waits looks whether anybody still does."""


class _Line(Generic[T]):
    """A bounded queue that either end may close, with the error that closed it."""

    def __init__(self, depth: int) -> None:
        self._queue: Queue[T] = Queue(depth)
        self._ended, self._left = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Wait for room; False when nobody takes anything any more."""
        while not self._left.is_set():
            try:
                self._queue.put(item, timeout=_LOOK_S)
                return True
            except Full:
                continue
        return False

    def end(self) -> None:
        """Nothing more will be put."""
        self._ended.set()

    def leave(self) -> None:
        """Nothing more will be taken."""
        self._left.set()

    def taken(self) -> Iterator[T]:
        """Everything that is put, until the end."""
        while not self._left.is_set():
            try:
                yield self._queue.get(timeout=_LOOK_S)
            except Empty:
                if self._ended.is_set() and self._queue.empty():
                    return


def ahead(items: Iterable[T], *, depth: int) -> Generator[T, None, None]:
    """The items, taken by another thread up to `depth` before they are asked for.

    An error while taking them is raised when their turn has come.
    """
    line: _Line[T] = _Line(depth)

    def take() -> None:
        try:
            for item in items:
                if not line.put(item):
                    break
        except BaseException as error:
            line.error = error
        finally:
            line.end()

    thread = threading.Thread(target=take, name="reading", daemon=True)
    thread.start()
    try:
        yield from line.taken()
        if line.error is not None:
            raise line.error
    finally:
        line.leave()
        thread.join()


@contextmanager
def behind(use: Callable[[T], None], *, depth: int) -> Iterator[Callable[[T], None]]:
    """Give a function that hands items to `use` in another thread, up to `depth` behind.

    The context ends when all were used. An error of `use` is raised by the next item that is
    handed over, or at the end. After an error in the context, too, what was handed over is used.
    """
    line: _Line[T] = _Line(depth)

    def work() -> None:
        try:
            for item in line.taken():
                use(item)
        except BaseException as error:
            line.error = error
        finally:
            line.leave()

    def hand(item: T) -> None:
        if not line.put(item) and line.error is not None:
            raise line.error

    thread = threading.Thread(target=work, name="writing", daemon=True)
    thread.start()
    try:
        yield hand
    finally:
        line.end()
        thread.join()
    if line.error is not None:
        raise line.error

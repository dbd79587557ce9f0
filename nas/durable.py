"""The one way to write a file or a folder that outlives a power cut.

Bytes first, then the folder they lie in, then the rename, then the folder of the new name: each
is on the disk before the next one is. So whoever writes data with this and its evidence after it
never has evidence of data that is gone; and a reader, or a death on any line, sees the old one or
the new one. (LWN, "Ensuring data reaches disk", 2011.)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from trainers.base import Damaged

T = TypeVar("T")


def write_aside(path: Path, content: bytes) -> None:
    """Write a file; it is there as a whole, and on the disk, when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{_writer()}")
    try:
        _write(aside, content)
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files, in place of any that is there; whole, and on the disk."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{_writer()}")
    before = folder.with_name(f".{folder.name}.{_writer()}.before")
    for stray in (aside, before):
        shutil.rmtree(stray, ignore_errors=True)
    try:
        aside.mkdir()
        for name, content in files.items():
            _write(aside / name, content)
        sync_folder(aside)
        if folder.exists():
            folder.rename(before)
        aside.rename(folder)
        sync_folder(folder.parent)
    finally:
        for stray in (aside, before):
            shutil.rmtree(stray, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(content: bytes) -> str:
    """The sha256 that evidence keeps of the data it speaks of."""
    return hashlib.sha256(content).hexdigest()


def read_checked(path: Path, sha256: str, *, remedy: str) -> bytes:
    """Read a file that evidence speaks of.

    Args:
        sha256: what it was; empty in evidence from before that was kept.
        remedy: what to do when it is another one, in the imperative.

    Raises:
        Damaged: it is missing or has changed since.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path} is missing, though its evidence is there: {remedy}") from error
    if sha256 and digest(content) != sha256:
        raise Damaged(f"{path} has changed since its evidence was written: {remedy}")
    return content


def read_record(path: Path, read: Callable[[Any], T], *, remedy: str) -> T:
    """What `read` makes of a file of JSON.

    Args:
        read: takes the parsed file; whatever it stumbles over is the file's fault.
        remedy: what to do when the file is damaged, in the imperative.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is not what was written.
    """
    try:
        return read(json.loads(path.read_text()))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        why = f"{type(error).__name__}: {error}"
        raise Damaged(f"{path} is damaged ({why}): {remedy}") from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system say in which file it was met, as that of a full disk does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _write(path: Path, content: bytes) -> None:
    with naming(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _writer() -> str:
    """Different for any two processes that share a folder, those of other machines included."""
    return f"{socket.gethostname()}.{os.getpid()}"

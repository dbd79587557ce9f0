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
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from trainers.base import Damaged

_PLACES = ("*", "*/*", "candidates/*/*")
_LEFT = re.compile(
    r"\..+\.[0-9a-f]{12}\.aside"
    r"|\.(?P<before>.+)\.[0-9a-f]{12}\.before"
    r"|.+\.ckpt\.part"  # trainers/watching.py
    r"|.+\.lock[0-9a-f-]{36}\.rename"  # Optuna's journal
)
"""Names of what is not in its place yet, or not any more."""
T = TypeVar("T")


def write_aside(path: Path, content: bytes) -> None:
    """Write a file; it is there as a whole, and on the disk, when this returns."""
    with made_aside(path) as aside:
        _write(aside, content)


@contextmanager
def made_aside(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name when the context is left, unless by an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    try:
        yield aside
        with naming(path), aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files, in place of any that is there; whole, and on the disk."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(folder)
    before = aside.with_suffix(".before")
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


def aside_of(path: Path) -> Path:
    """Where to write what will get this name: another place for each writer; `tidy` knows it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.aside")


def tidy(folder: Path) -> None:
    """Remove what writers that were killed have left in a study's folder.

    Whoever calls it holds the folder alone: what somebody is just writing looks the same.
    """
    for path in [path for places in _PLACES for path in folder.glob(places)]:
        left = _LEFT.fullmatch(path.name)
        if left is None:
            continue
        if left["before"] and not path.with_name(left["before"]).exists():
            path.rename(path.with_name(left["before"]))
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


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

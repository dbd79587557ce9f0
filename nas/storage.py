"""Where an Optuna study lies: a journal file beside its evidence, or a PostgreSQL database."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from nas.durable import naming
from nas.redact import redacted
from trainers.base import Damaged

__all__ = ["BaseStorage", "StorageError", "StorageSettings", "journal", "open_storage"]

Notice = Callable[[str], None]
JOURNAL = "study.journal"
_EXAMPLE = "postgresql://user@host:5432/database"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_CONNECT_S, _PATIENT_S = 10, 10**9
T = TypeVar("T")


class StorageError(Exception):
    """The study cannot be reached; the message says what to do and holds no password."""


@dataclass(frozen=True)
class StorageSettings:
    """Where the study lies.

    Attributes:
        url: of a PostgreSQL database; None for a journal file in the study's folder.
        patience_s: how long a worker waits for a database that stops answering.
    """

    url: str | None = None
    patience_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what is no address of a database.

        Raises:
            ValueError: the message names the field.
        """
        if not isinstance(self.patience_s, int | float) or not 0 <= self.patience_s <= _PATIENT_S:
            raise ValueError(
                f"storage.patience_s is {self.patience_s}: use 0 to {_PATIENT_S} seconds"
            )
        if self.url is None:
            return
        try:
            name = sqlalchemy.make_url(self.url).drivername
        except ArgumentError as error:
            raise ValueError(
                f"storage.url '{redacted(self.url)}' is no address: write {_EXAMPLE}"
            ) from error
        if name.partition("+")[0] != "postgresql":
            raise ValueError(
                f"storage.url begins with '{name}': there is postgresql, as in {_EXAMPLE}, and "
                "storage=journal for a file in the study's folder"
            )


def open_storage(
    settings: StorageSettings, folder: Path, *, patience_s: float = 0.0, notice: Notice
) -> BaseStorage:
    """Open what several processes share.

    Args:
        folder: of the study, for a journal file.
        patience_s: how long to wait for a database that does not answer now.
        notice: told when a database has to be waited for, now or later.

    Raises:
        StorageError: it cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if settings.url is None:
        return journal(folder / JOURNAL)
    return _postgres(settings, patience_s, notice)


def storage_at(where: str) -> BaseStorage:
    """What lies at a journal's path or a database's address.

    Raises:
        StorageError: it cannot be opened.
    """
    if "://" not in where:
        if not Path(where).is_file():
            raise StorageError(f"there is no journal {where}: name the study.journal of a search")
        return journal(Path(where))
    return _postgres(StorageSettings(where), 0.0, print)


def journal(path: Path, *, alone: bool = False) -> BaseStorage:
    """A journal file, mended where a process was killed while it wrote.

    Args:
        alone: nobody else has it open, so a lock that is there was left by a dead process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        mend(path)
    try:
        return JournalStorage(_NamedJournal(str(path), lock_obj=_MendingLock(path)))
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        # Lines that are read well and make no sense one after the other.
        raise Damaged(_spoilt(path, f"{type(error).__name__}: {error}")) from error


def _spoilt(path: Path, why: str) -> str:
    return (
        f"{path} is damaged ({why}): put back a copy of it, or give study.name=<another>; the "
        "evidence beside it is whole"
    )


class _NamedJournal(JournalFileBackend):
    """Optuna's journal, which says which file it is when something is wrong with it."""

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The lines from this one on.

        Raises:
            Damaged: one of them is no line of a journal.
        """
        number = log_number_from + 1
        try:
            for line in super().read_logs(log_number_from):
                yield line
                number += 1
        except ValueError as error:
            what = f"line {number}: {error}"
            raise Damaged(_spoilt(Path(self._file_path), what)) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines at the end."""
        with naming(Path(self._file_path)):
            super().append_logs(logs)


def mend(path: Path) -> None:
    """Cut off a half-written last line: the next one would be glued to it and stop the study."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, 2)
        if file.read() == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


class _MendingLock(JournalFileSymlinkLock):
    """Optuna's lock of a journal; who gets it mends the file first."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def acquire(self) -> bool:
        got = super().acquire()
        mend(self._path)
        return got


def _postgres(settings: StorageSettings, patience_s: float, notice: Notice) -> BaseStorage:
    assert settings.url is not None
    url = sqlalchemy.make_url(settings.url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    where = redacted(url.render_as_string(hide_password=True))
    options: dict[str, Any] = {
        # One connection per worker, and one to spare; tried before it is used.
        "pool_size": 1,
        "max_overflow": 1,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": _CONNECT_S, "application_name": "freeway"},
    }

    def opened() -> BaseStorage:
        return RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=options)

    try:
        return outlast(opened, where, patience_s=patience_s, notice=notice)
    except (ImportError, NoSuchModuleError) as error:
        raise StorageError(
            f"the driver for {where} is not installed: pip install 'freeway-nas[postgres]'"
        ) from error


def outlast(call: Callable[[], T], where: str, *, patience_s: float, notice: Notice) -> T:
    """Call, and again while the database does not answer.

    Raises:
        StorageError: it did not answer for so long.
    """
    began, wait_s = time.monotonic(), _FIRST_WAIT_S
    while True:
        try:
            return call()
        except (StorageInternalError, DBAPIError) as error:
            said = _words(error)
            if time.monotonic() - began >= patience_s:
                raise StorageError(
                    f"{where} does not answer: {said}; start the database, or mend storage.url "
                    "(or give storage=journal)"
                ) from None
        notice(f"{where} does not answer ({said}); waiting, at most {patience_s:g} s")
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def _words(error: BaseException) -> str:
    """What the server or its driver said, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    inner = getattr(cause, "orig", None) or cause or error
    return redacted(" ".join(str(inner).split()))[:300]

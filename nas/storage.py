"""Where an Optuna study lies: a journal file beside its evidence, or a PostgreSQL database."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from nas.durable import naming
from nas.redact import has_password, redacted
from trainers.base import Damaged

__all__ = ["BaseStorage", "StorageError", "StorageSettings", "journal", "open_storage", "quiet"]

Notice = Callable[[str], None]
JOURNAL = "study.journal"
_EXAMPLE = "postgresql://user@host:5432/database"
_ODD = re.compile(r"[^\w.@+~$-]")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_CONNECT_S, _PATIENT_S = 10, 10**9
P = ParamSpec("P")
T = TypeVar("T")


class Waits(Protocol):
    """Something that waits for its database.

    Attributes:
        patience_s: how long it may be away before that is an error.
        notice: told when it is.
    """

    patience_s: float
    notice: Notice


W = TypeVar("W", bound=Waits)


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
        if self.url is not None:
            _address(self.url)

    @property
    def shown(self) -> str | None:
        """The address without its password, to be written and printed."""
        return None if self.url is None else _shown(_address(self.url))



@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from writing lines of its own inside, and leave its setting as it was."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _address(url: str) -> sqlalchemy.URL:
    """Read an address as it is read to connect; refuse what would be read as something else.

    No message holds the address: in one that is misspelt nobody can tell where the password is.

    Raises:
        ValueError: it is none.
    """
    try:
        found = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(
            f"storage.url is no address (not shown, it may hold a password): write {_EXAMPLE}"
        ) from None
    if url.count("@") > (found.username is not None) or _ODD.search(found.username or ""):
        raise ValueError(
            "storage.url has signs in the user's name, or an @ in another place than before the "
            f"host (not shown, it may hold a password): write an @ as %40, as in {_EXAMPLE}"
        )
    name = found.drivername
    if name.partition("+")[0] != "postgresql":
        raise ValueError(
            f"storage.url begins with '{name}': there is postgresql, as in {_EXAMPLE}, and "
            "storage=journal for a file in the study's folder"
        )
    return found


def _shown(address: sqlalchemy.URL) -> str:
    secret = [key for key in address.query if has_password(f"{key}=x")]
    return redacted(address.difference_update_query(secret).render_as_string(hide_password=True))


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
    """What lies at a journal's path or a database's address; nothing is made.

    Raises:
        StorageError: there is none, or it cannot be opened.
    """
    if Path(where).is_file():
        return journal(Path(where))
    try:
        settings = StorageSettings(where)
    except ValueError as error:
        raise StorageError(f"there is no such study.journal, and {error}") from None
    return _postgres(settings, 0.0, print)


def journal(path: Path, *, alone: bool = False) -> BaseStorage:
    """A journal file, mended where a process was killed while it wrote.

    Args:
        alone: nobody else has it open, so a lock that is there was left by a dead process.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if alone:
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        mend(path)
    try:
        return JournalStorage(_NamedJournal(path))
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

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_MendingLock(path))
        self.path = path

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
            raise Damaged(_spoilt(self.path, what)) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines at the end."""
        with naming(self.path):
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


class _MendingLock(JournalFileOpenLock):
    """Optuna's lock of a journal; who gets it mends the file first.

    Its other one, a symbolic link to the journal, leads nowhere once the folder was moved or is
    seen under another path, and is then waited for without an end.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def acquire(self) -> bool:
        """Wait for it; one that was held for long without a sign is taken for left behind."""
        got = super().acquire()
        mend(self.path)
        return got

    def release(self) -> None:
        """Let it go; after a long sleep another may have taken it for old and removed it."""
        with suppress(RuntimeError):
            super().release()


def _postgres(settings: StorageSettings, patience_s: float, notice: Notice) -> BaseStorage:
    assert settings.url is not None
    url = _address(settings.url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    where = _shown(url)
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


def patient(method: Callable[Concatenate[W, P], T]) -> Callable[Concatenate[W, P], T]:
    """Repeat a method while the database is away; it must be repeatable from any line."""

    @wraps(method)
    def again(self: W, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return outlast(
            lambda: method(self, *args, **kwargs),
            "the study's database",
            patience_s=self.patience_s,
            notice=self.notice,
        )

    return again


def _words(error: BaseException) -> str:
    """What the server or its driver said, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    inner = getattr(cause, "orig", None) or cause or error
    return redacted(" ".join(str(inner).split()))[:300]

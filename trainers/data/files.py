"""Which files a folder holds: through links, and with names that can be printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainers.base import DataError


@dataclass(frozen=True)
class Skipped:
    """A file that was left out.

    Attributes:
        name: its path inside the folder.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Files:
    """What lies in a folder.

    Attributes:
        paths: every file in the order of the paths, hidden ones left out.
        lost: links that lead nowhere.
    """

    paths: tuple[Path, ...]
    lost: tuple[Skipped, ...]


def printable(path: Path | str) -> str:
    r"""A path as text that any terminal, page or JSON file takes.

    Linux lets names hold any bytes; those that are not UTF-8 are written as `\xe9`.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def name_in(root: Path, path: Path) -> str:
    """What a file is called in a folder: its path there, printable."""
    return printable(path.relative_to(root))


def files_under(root: Path, what: str) -> Files:
    """Every file under a folder, subfolders included, hidden files and folders left out.

    A folder that a link leads to is entered once, however many links lead there, and not at all
    where it lies in `root` and is read anyway.

    Args:
        root: the folder.
        what: belongs into it, for the message.

    Raises:
        DataError: the folder is missing or empty, is a file, or cannot be read.
    """
    named = printable(root)
    if not root.exists():
        looked = printable(root.absolute())
        raise DataError(f"there is no folder {named} (looked for {looked}): check the path")
    if not root.is_dir():
        raise DataError(f"{named} is a file: name the folder that holds the {what}")
    paths, lost = [], []
    try:
        for path in _walk(root):
            if path.is_file():
                paths.append(path)
            elif path.is_symlink() and not path.exists():
                goal = printable(os.readlink(path))
                lost.append(Skipped(name_in(root, path), f"a link to {goal}, which is not there"))
    except OSError as error:
        where = printable(error.filename or root)
        raise DataError(f"{where} cannot be read ({error.strerror}): check who may") from error
    if not paths and not lost:
        raise DataError(f"the folder {named} is empty: put {what} into it; "
                        "subfolders are searched too")  # fmt: skip
    return Files(tuple(sorted(paths)), tuple(sorted(lost, key=lambda s: s.name)))


def _walk(root: Path) -> Iterator[Path]:
    """Everything under a folder that is no folder."""
    top = root.resolve()
    waiting, entered = [root], {top}
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.name.startswith("."):
                continue
            if not path.is_dir():
                yield path
                continue
            place = path.resolve()
            if place in entered or (path.is_symlink() and _is_read_anyway(place, top)):
                continue
            entered.add(place)
            waiting.append(path)


def _is_read_anyway(place: Path, top: Path) -> bool:
    """Whether a folder lies under the one that is read, and none on the way is hidden."""
    if not place.is_relative_to(top):
        return False
    return not any(part.startswith(".") for part in place.relative_to(top).parts)

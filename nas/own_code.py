"""What went wrong in a file of the user's, in one line: the exception, and where it was raised."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from pathlib import Path

_ROOMS = tuple(
    f"{Path(__file__).resolve().parents[1] / room}{os.sep}"
    for room in ("nas", "search_spaces", "latency_models", "trainers")
)
_INSTALLED = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for name in ("stdlib", "purelib", "platlib")
    if (folder := sysconfig.get_path(name))
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300


def described(error: BaseException) -> str:
    """`KeyError: 'x' (my_nets.py, line 12)`; without a place where no file of the user's is in it.

    Of a message of several paragraphs the first is told: what follows is advice for others.
    """
    words = _COLOURS.sub("", str(error)).strip().split("\n\n")[0]
    words = " ".join(words.split())[:_LONGEST]
    if isinstance(error, SyntaxError):
        words = error.msg
    what = f"{type(error).__name__}: {words}" if words else type(error).__name__
    where = place(error)
    return f"{what} ({where})" if where else what


def place(error: BaseException) -> str:
    """File and line of the user's that it passed through last, or nothing."""
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        return f"{Path(error.filename).name}, line {error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_own(f.filename)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def _is_own(file: str) -> bool:
    path = Path(file)
    if file.startswith("<") or not path.is_file():
        return False
    found = str(path.resolve())
    return not found.startswith((*_INSTALLED, *_ROOMS))

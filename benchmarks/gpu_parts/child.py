"""The side of a part's own process: it runs one part, and every row is in a file at once."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from gpu_parts.base import Absent, Form, Pace, Row, Tell, one_line

_OF_ITS_TIME = 0.9
"""What a part may plan with: the rest is for the turn that takes longer than those before it."""
_ALARM_S = 10


def main(part: str, entry: str, form: str, seconds: float, rows: str) -> int:
    """Run one part, `module:function`; one that cannot go on says so in a row of its own."""
    _never_outlive_parent(seconds)
    tell = _teller(Path(rows))
    try:
        module, _, function = entry.partition(":")
        run = getattr(importlib.import_module(module), function)
        run(Form.from_json(json.loads(form)), Pace(seconds * _OF_ITS_TIME), tell)
    except Absent as missing:
        tell(Row(part, "", "absent", words=one_line(str(missing))))
    except Exception as error:
        traceback.print_exc()
        tell(Row(part, "", "failed", words=one_line(error)))
    return 0


def _teller(path: Path) -> Tell:
    """Append each row as one line; a line without its end is none, wherever this is killed."""

    def tell(row: Row) -> None:
        with path.open("a") as file:
            file.write(json.dumps(row.to_json()) + "\n")

    return tell


def _never_outlive_parent(seconds: float) -> None:
    """End with the script, which holds the other end of stdin, and never much after the time.

    The thread needs the interpreter's lock, which a hung library may keep; the alarm does not.
    """

    def watch() -> None:
        with suppress(OSError):
            os.read(0, 1)
        os.killpg(0, signal.SIGKILL)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds) + _ALARM_S)
    threading.Thread(target=watch, name="lifeline", daemon=True).start()


if __name__ == "__main__":
    sys.exit("benchmarks/gpu.py starts this")

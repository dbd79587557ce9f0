"""The script's side of a part: started, listened to, ended in time, and never trusted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from gpu_parts.base import Form, Row, Tell

_LOOK_S = 0.1
_LAST_LINES = 3
_BOOT = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from gpu_parts.child import main
sys.exit(main(*sys.argv[2:5], float(sys.argv[5]), sys.argv[6]))
"""


@dataclass(frozen=True)
class Part:
    """One part of the script.

    Attributes:
        name: of its file in this folder, and of its lines in the table.
        share: of the time, beside the shares of the others.
        least_s: below this it is not begun.
        needs: modules of which one has to be here; empty where none is.
        entry: the `module:function` that does the work; by default `run` of its file.
    """

    name: str
    share: float
    least_s: float
    needs: tuple[str, ...] = ()
    entry: str = ""


MACHINE = Part("machine", 0, 0)
PARTS = (
    Part("networks", 200, 20),
    Part("repeated", 55, 25),
    Part("trained", 35, 20),
    Part("training", 100, 30),
    Part("screened", 60, 25),
    Part("trt", 35, 15, ("tensorrt",)),
    Part("rtx", 15, 10, ("tensorrt_rtx", "tensorrt_rtx_bindings")),
    Part("ort", 15, 10, ("onnxruntime",)),
)
"""In their order; the shares are about the seconds of a run of eight minutes."""


def seconds_for(part: Part, later: tuple[Part, ...], left_s: float) -> float:
    """What this part may take of the time that is left for it and the later ones."""
    return left_s * part.share / (part.share + sum(other.share for other in later))


def conduct(
    part: Part, form: Form, seconds: float, tell: Tell, env: Mapping[str, str]
) -> None:
    """Run one part in a process of its own, and tell its rows as they come.

    However it ends, it ends within its seconds, and a row says so where it did not end well.
    """
    name, entry = part.name, part.entry or f"gpu_parts.{part.name}:run"
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        rows = Path(folder) / "rows"
        rows.touch()
        asked = [name, entry, json.dumps(asdict(form)), str(seconds), str(rows)]
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path), *asked],
            stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True, env=env,
        )  # fmt: skip
        with rows.open() as file:
            try:
                while process.poll() is None and time.monotonic() < until:
                    for row in _new(file):
                        tell(row)
                    time.sleep(_LOOK_S)
                hung = process.poll() is None
            finally:
                _end(process)
            for row in _new(file):
                tell(row)
        if hung:
            words = f"ended: its {seconds:.0f} s were over{_last_words(said)}"
            tell(Row(name, "", "failed", words=words))
        elif process.returncode:
            tell(Row(name, "", "failed", words=_death(process.returncode) + _last_words(said)))


def _new(file: IO[str]) -> Iterator[Row]:
    """The rows that are complete and were not read yet."""
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)
            return
        yield Row(**json.loads(line))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it has started, where it has not ended; close its lifeline."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.wait()


def _death(status: int) -> str:
    if status > 0:
        return f"its process ended with status {status}"
    return f"its process was ended by {signal.Signals(-status).name}"


def _last_words(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4000))
    lines = [" ".join(line.split()) for line in said.read().decode(errors="replace").splitlines()]
    kept = [line for line in lines if line][-_LAST_LINES:]
    return "; its last words: " + " | ".join(kept) if kept else ""

"""The real command in a process of its own, at toy size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOY = (
    "study.name=toy",
    "target.height=48",
    "target.width=64",
    "study.probe_steps=6",
    "budget.max_steps=12",
    "budget.quant_steps=6",
    "budget.batch_size=4",
    "task.crop=16",
    "study.training_processes=1",
)
PATIENCE_S = 900
"""A minute's work on an idle machine has taken seven on one that others were using."""


def start(arguments: list[str], *, folder: Path) -> subprocess.Popen[str]:
    """`nas` with these arguments, working in this folder, its output kept."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-c", "from nas.commands import entry; entry()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def nas(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Run `nas` to its end: exit code, output, error stream."""
    process = start(list(arguments), folder=folder)
    try:
        output, errors = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        # Else its pipes would be found open in whichever test comes next.
        process.kill()
        process.communicate()
        raise
    return process.returncode, output, errors


def bash(line: str, *, folder: Path) -> tuple[int, str, str]:
    """Run a line as it stands, with this checkout's code: exit code, output, error stream."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )
    return done.returncode, done.stdout, done.stderr


def cases(study: Path) -> dict[str, dict[str, Any]]:
    """Every case file of a study, as plain data."""
    return {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(study.glob("candidates/*/case.json"))
    }


def evidence(study: Path) -> dict[tuple[str, str], str]:
    """Each report that is there, by candidate and kind, as text."""
    return {
        (name, kind): json.dumps(report, sort_keys=True)
        for name, case in cases(study).items()
        for kind, report in (*case["evidence"].items(), ("rejected", case["rejected"]))
        if report is not None
    }


def wait_until(
    condition: Callable[[], bool], process: subprocess.Popen[str], *, timeout_s: float = 200
) -> None:
    """Look every few milliseconds, while the process lives."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"it ended before: {process.communicate()}")
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"it never came to that: {process.communicate()}")
        time.sleep(0.005)

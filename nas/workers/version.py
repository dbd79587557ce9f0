"""The version of the code that runs: all workers of a study must have the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nas.settings import SettingsError
from nas.study import Study
from nas.workers.roster import Worker

PACKAGES = ("nas", "runtime", "search_spaces", "latency_models", "trainers")


def code_version() -> str:
    """A short hash of every line of the five packages that runs here."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def check_code(study: Study, me: Worker) -> None:
    """Refuse to work with other code than the sweep was started with.

    Raises:
        SettingsError: the versions differ, or no sweep was started.
    """
    if not study.code:
        raise SettingsError(
            "the study was not made for workers: start them with nas search -m cluster=... "
            "worker='range(0,4)', which makes it ready first"
        )
    if study.code != me.code:
        raise SettingsError(
            f"this worker on {me.host} runs version {me.code} of the code, the sweep was started "
            f"with {study.code}: install the same on all nodes, or give the command that started "
            "the sweep again"
        )

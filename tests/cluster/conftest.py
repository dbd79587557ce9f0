"""A real Slurm and a real PostgreSQL for the tests of this folder, or a reason to skip them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import SCRIPT, Servers, missing

_FIRST_PORT = 17100


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the servers or at least the launcher's plugin."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start them once, and stop what was started."""
    if lacking := missing():
        pytest.skip(f"needs Slurm and PostgreSQL on this host; missing: {lacking}")
    # Not pytest's folder, which only root may enter: the database runs as its own user.
    folder = Path(tempfile.mkdtemp(prefix="freeway-servers-"))
    port = str(_FIRST_PORT + os.getpid() % 500 * 10)
    try:
        done = subprocess.run(
            ["bash", str(SCRIPT), "start", str(folder), port],
            check=True, stdout=subprocess.PIPE, text=True, timeout=120,
        )
        pairs = (line.partition("=") for line in done.stdout.splitlines())
        yield Servers(folder, {name: value for name, _, value in pairs})
    finally:
        subprocess.run(["bash", str(SCRIPT), "stop", str(folder)], check=False, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)

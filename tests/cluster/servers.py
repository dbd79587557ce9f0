"""The servers that the tests of this folder need, and what this machine lacks of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("servers.sh")
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv")
_PLUGINS = ("hydra_plugins.hydra_submitit_launcher", "psycopg2")


def missing() -> str:
    """What this machine lacks, or nothing."""
    lacks = [name for name in _PROGRAMS if shutil.which(name) is None]
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        lacks.append("postgresql")
    for name in _PLUGINS:
        try:
            __import__(name)
        except ImportError:
            lacks.append(name.rpartition(".")[2])
    if os.geteuid() != 0:
        lacks.append("root")
    return ", ".join(lacks)


@dataclass(frozen=True)
class Servers:
    """Where they run; `variables` are what their clients need."""

    folder: Path
    variables: dict[str, str]

    def postgres(self, verb: str) -> None:
        """Stop or start the database."""
        subprocess.run(["bash", str(SCRIPT), "postgres", str(self.folder), verb], check=True)

    def slurm(self, *command: str) -> str:
        """A command of Slurm's, and what it said."""
        done = subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, text=True,
            check=True,
        )
        return done.stdout

"""Where the lines of pages are typed: a folder for each, and programs that answer at toy size."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks import ROOT
from toy import write_client, write_toy_conf
from toy_search import write_photos

_PICTURES = ("photos", "judge", "set5", "kodak", "clean", "shrunk")
_PIP = """\
#!{python}
import re, sys, tomllib
extras = tomllib.load(open({project!r}, "rb"))["project"]["optional-dependencies"]
asked = re.findall(r"\\[([\\w,-]+)\\]", " ".join(sys.argv))
unknown = set(",".join(asked).split(",")) - set(extras)
sys.exit(f"there is no extra {{unknown}}" if unknown or sys.argv[1] != "install" else 0)
"""
_MAKE = "#!/bin/sh\nexec {make} --dry-run -C {root} \"$@\"\n"
_PYTEST = "#!/bin/sh\ncd {root} && exec {python} -m pytest --collect-only -q \"$@\"\n"


@dataclass(frozen=True)
class Desk:
    """Where the lines of pages are typed.

    Attributes:
        programs: the only folder on the PATH.
        home: with pictures, as a reader has them.
    """

    programs: Path
    home: Path
    folder: Path

    def folder_for(self, page: str) -> Path:
        """The page's own folder; what benchmarks and `.venv` are to a checkout is there."""
        folder = self.folder / page.replace("/", "-")
        folder.mkdir()
        (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(self.programs)
        for name, height in (("HR", 80), ("LR", 40), ("HR_val", 96), ("LR_val", 48)):
            write_photos(folder / name, count=2, size=(height, height))
        return folder

    def typed(self, line: str, folder: Path, **environment: str) -> tuple[int, str, str]:
        """Type it in bash: exit code, output, error stream."""
        known = {
            "PATH": str(self.programs), "HOME": str(self.home), "TMPDIR": str(self.folder),
            # For what a program starts itself: a sweep's workers.
            "PYTHONPATH": f"{self.folder / 'toy'}:{ROOT}",
            "OMP_NUM_THREADS": "1", "COLUMNS": "120", "LANG": "C.UTF-8", "folder": "table",
            "all": f"{self.home}/photos", "squeezenet": "squeezenet.pth",
            **{name: f"{self.home}/{name}" for name in _PICTURES},
        }
        script = f"{line}\ncode=$?\nwait\nexit $code"
        done = subprocess.run(
            [shutil.which("bash") or "bash", "-c", script], cwd=folder,
            env={**known, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=600, check=False,
        )
        return done.returncode, done.stdout, done.stderr


@contextmanager
def laid_out(folder: Path) -> Iterator[Desk]:
    """The desk, as long as its server lives."""
    address = folder / "server"
    conf, programs, home = (folder / name for name in ("toy", "bin", "home"))
    programs.mkdir()
    write_toy_conf(conf)
    for number, name in enumerate(_PICTURES):
        # Pictures of another size are other pictures.
        write_photos(home / name, count=3, size=(80 + 8 * number, 96))
    for name in ("nas", "python"):
        write_client(programs / name, name, address)
    words = {
        "python": sys.executable, "root": ROOT, "project": str(ROOT / "pyproject.toml"),
        "make": shutil.which("make"),
    }
    for name, script in (("pip", _PIP), ("make", _MAKE), ("pytest", _PYTEST)):
        (programs / name).write_text(script.format(**words))
        (programs / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("toy.py")), str(address), str(conf)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "", "TMPDIR": str(folder)},
    )
    with server:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        try:
            yield Desk(programs, home, folder)
        finally:
            server.kill()

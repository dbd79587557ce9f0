"""docs/table.md does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from made_table import write_table
from real_search import ROOT

PAGE = (ROOT / "docs" / "table.md").read_text()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("packed") / "made.json")


def fenced(mark: str, language: str) -> str:
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no {mark}"
    return found[1]


def test_the_page_asks_the_table_as_it_says(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "benchmarks" / "table").mkdir(parents=True)
    (tmp_path / "benchmarks" / "table" / "x2.json").write_bytes(packed.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", fenced("ask", "python")], cwd=tmp_path, check=True,
        env=_environment(), capture_output=True, text=True,
    )
    assert "ms" in done.stdout and "dB" in done.stdout


def test_the_pages_own_policy_is_compared(tmp_path: Path, packed: Path) -> None:
    (tmp_path / "my_policy.py").write_text(fenced("file: my_policy.py", "python"))
    program, script, _, *arguments = shlex.split(fenced("compare", "sh"))
    assert program == "python" and "--policy" in arguments
    done = subprocess.run(
        [sys.executable, str(ROOT / script), str(packed), *arguments, "--seeds", "2"],
        cwd=tmp_path, env=_environment(), capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr
    heads, *lines = done.stdout.splitlines()
    assert "quick study" in heads
    assert [line for line in lines if line.startswith("my_policy:")]


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}

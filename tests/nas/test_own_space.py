"""docs/your_own_space.md does what it says, in a folder with nothing but its files."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from real_search import ROOT, TOY, cases, nas

PAGE = (ROOT / "docs" / "your_own_space.md").read_text()
SHORT = (*TOY, "study.candidates=3", "study.finalists=1", "study.references=[]")


def fenced(mark: str, language: str = "") -> str:
    """The fenced text of the page that stands behind this mark."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no {mark}"
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in re.findall(r"<!-- file: (\S+) -->", PAGE):
        (tmp_path / name).write_text(fenced(f"file: {name}", "python"))
    return tmp_path


def test_the_page_prints_what_its_example_prints(folder: Path) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "look.py"], cwd=folder, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )
    assert done.stdout == fenced("output: look.py")


def test_the_pages_search_ends_with_a_winner_of_that_space(folder: Path) -> None:
    verb, *arguments = shlex.split(fenced("run"))[1:]
    code, output, errors = nas(verb, *arguments, *SHORT, folder=folder)
    assert code == 0, errors
    (winner,) = (folder / "runs" / "toy" / "winners").iterdir()
    architecture = json.loads((winner / "architecture.json").read_text())
    assert {b["op"] for b in architecture["blocks"]} <= {"conv", "my_pair"}
    parameters = [case["parameters"] for case in cases(folder / "runs" / "toy").values()]
    # The start comes first, and the field that was set on the command line holds.
    assert {"op": "my_pair", "width": 8, "depth": 1}.items() <= parameters[0].items()
    assert all(choices["depth"] <= 3 for choices in parameters)
    settings = json.loads((folder / "runs" / "toy" / "settings.json").read_text())
    assert settings["search_space"] == {"_target_": "my_nets.MySpace", "deepest": 3}

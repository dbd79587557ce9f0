"""docs/policies.md does what it says, in a folder with nothing but its files."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from real_search import ROOT, TOY, cases, nas

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "policies.md").read_text()
SHORT = (*TOY, "study.candidates=5", "study.finalists=1", "study.references=[]")


def fenced(mark: str, language: str = "") -> str:
    """The fenced text of the page that stands behind this mark."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no {mark}"
    return found[1]


def test_the_pages_policy_climbs_from_the_best_and_its_search_ends(tmp_path: Path) -> None:
    (tmp_path / "my_policy.py").write_text(fenced("file: my_policy.py", "python"))
    verb, *arguments = shlex.split(fenced("run"))[1:]
    # Without starting points, so that the policy is asked from the first network on.
    code, output, errors = nas(verb, *arguments, *SHORT, "search_space.start=[]", folder=tmp_path)
    assert code == 0, errors
    origins = [case["origin"]["by"] for case in cases(tmp_path / "runs" / "toy").values()]
    assert origins[:2] == ["random"] * 2
    assert all(origin.startswith("a step from trial-") for origin in origins[2:])
    settings = json.loads((tmp_path / "runs" / "toy" / "settings.json").read_text())
    assert settings["policy"] == {"_target_": "my_policy.Climb", "starts": 2}


def test_every_policy_that_ships_is_on_the_page() -> None:
    for group in ("policy", "sampler"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"| `{path.stem}` |" in PAGE

"""What there is, by the yaml files that name it: whoever adds one is tested for nothing more."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from smaller import smaller

ROOT = Path(__file__).parents[2]
CONF, TOYS = ROOT / "conf", ROOT / "tests" / "nas" / "toys" / "conf"


def options(group: str) -> list[str]:
    """The names that a group of settings has, those of the toys too."""
    return sorted(path.stem for conf in (CONF, TOYS) for path in (conf / group).glob("*.yaml"))


def settings(*overrides: str, **how: bool) -> Any:
    """The settings of a search with these changes."""
    beside = f"hydra.searchpath=[file://{TOYS}]"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[beside, *overrides], **how)


@cache
def made(group: str, name: str) -> Any:
    """What a file of a group stands for, as a search makes it; one for all tests."""
    found = smaller(settings(*_meant_for(group, name), f"{group}={name}"))
    return instantiate(found[group], _convert_="all")


def _meant_for(group: str, name: str) -> list[str]:
    """The task that has this choice where nobody says another; none for that of a search."""
    tasks = [[], *([f"task={task}"] for task in options("task"))]
    for task in tasks if group != "task" else ():
        chosen = settings(*task, return_hydra_config=True).hydra.runtime.choices
        if chosen.get(group) == name:
            return task
    return []

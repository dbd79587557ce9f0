"""What the page about training shows under a user's own Trainer is run as it stands, small."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_search import write_photos

from nas.extras import TrainerSettings
from trainers import budget
from trainers.data.sources import Sources
from trainers.tasks import super_resolution

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
SECTION = PAGE.read_text().partition("## Under your own Trainer")[2].partition("\n## ")[0]


@pytest.mark.filterwarnings(
    # Lightning's words about its own code, a machine with Slurm, and so few steps.
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",
    "ignore:The `srun` command is available",
    "ignore:The number of training batches",
)
def test_a_learner_under_a_users_own_trainer_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(tmp_path / "photos", count=3)
    real = budget.Budget

    class Small(super_resolution.SuperResolution):
        def __init__(self, scale: int) -> None:
            super().__init__(scale=scale, data=Sources(str(photos)), crop=16)

    def small_budget(**asked: Any) -> budget.Budget:
        assert asked["judge_every"] < asked["max_steps"]
        return replace(real(**asked), max_steps=4, judge_every=2, batch_size=2)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(super_resolution, "SuperResolution", Small)
    monkeypatch.setattr(budget, "Budget", small_budget)
    (block,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["trainer"].global_step == 4
    assert list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_the_settings_beside_it_can_be_read() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    settings = TrainerSettings(**yaml.safe_load(block))
    assert len(settings.callbacks) == 2 and settings.logger is not None

"""Every choice of `task/degradation` can be built and applied."""

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from trainers.data.degradations.base import degrade_whole
from trainers.data.draws import Draws

CHOICES = Path(__file__).resolve().parents[4] / "conf" / "task" / "degradation"


@pytest.mark.parametrize("choice", sorted(CHOICES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("scale", [2, 3])
def test_a_choice_degrades_by_the_scale_of_the_task(choice: Path, scale: int) -> None:
    settings = OmegaConf.create({"task": {"scale": scale, "made": OmegaConf.load(choice)}})
    degradation = instantiate(settings.task.made, _convert_="all")
    out = degrade_whole(torch.rand(2, 3, 48, 48), degradation, Draws.of(0))
    size = 48 if choice.stem == "noise" else 48 // scale
    assert out.shape == (2, 3, size, size)
    assert torch.isfinite(out).all()

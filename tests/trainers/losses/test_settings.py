"""Losses as settings: what is missing is named, and a weight is one setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.trainers.feature_networks import two_images
from trainers.base import DataError
from trainers.losses.terms import Terms

CONF = Path(__file__).parents[3] / "conf"
LOSSES = CONF / "task" / "loss"


def made(settings: Any) -> Terms:
    loss = instantiate(settings, _convert_="all")
    assert isinstance(loss, Terms)
    return loss


def asked(*overrides: str) -> Terms:
    """The loss of a search with these settings."""
    with initialize_config_dir(str(CONF), version_base=None):
        return made(compose("config", overrides=list(overrides)).task.loss)


@pytest.mark.parametrize(
    ("name", "file"), [("perceptual", "vgg19-dcbb9e9d.pth"), ("lpips", "vgg.pth")]
)
def test_missing_weights_are_named(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    with pytest.raises(InstantiationException) as told:
        made(OmegaConf.load(LOSSES / f"{name}.yaml"))
    assert isinstance(told.value.__cause__, DataError)
    assert file in str(told.value.__cause__)


def test_a_weight_is_one_setting_and_a_term_can_be_left_out() -> None:
    images = two_images()
    terms = "task.loss.terms"
    whole = asked().parts(*images)
    other = asked(f"{terms}.gradient.weight=0.25", f"{terms}.charbonnier=null").parts(*images)
    assert set(whole) == {"charbonnier", "gradient"} and set(other) == {"gradient"}
    assert other["gradient"].item() == pytest.approx(whole["gradient"].item() / 2)
    assert set(asked("task/loss=l1").parts(*images)) == {"l1"}

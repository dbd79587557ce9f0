"""A Learner under somebody's own Trainer is trained as `fit` trains it, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import Tensor

from tests.trainers.conftest import TinyNet
from trainers.budget import Budget
from trainers.fit import fit, judge
from trainers.module import Learner
from trainers.tasks.super_resolution import SuperResolution

pytestmark = pytest.mark.filterwarnings(
    # Lightning 2.6 on torch 2.13, about its own code; and about a machine with Slurm.
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",
    "ignore:The `srun` command is available",
)


def own_trainer(**changed: Any) -> lightning.Trainer:
    """As people make them, without what it prints and writes."""
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(**{"max_steps": 30, "accelerator": "cpu", **quiet, **changed})


def weights(net: TinyNet) -> Tensor:
    return torch.cat([value.double().flatten() for value in net.state_dict().values()])


@pytest.mark.parametrize(
    "recipe",
    [{}, {"judge_every": 7}, {"optimizer": "adamw", "memory_format": "channels_last"},
     {"clip_norm": 1e-3}],
    ids=lambda recipe: next(iter(recipe), "plain"),
)  # fmt: skip
def test_the_weights_are_those_of_fit(
    task: SuperResolution, budget: Budget, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    asked = replace(budget, **recipe)
    expected, net = TinyNet(dropout=0.2), TinyNet(dropout=0.2)
    fit(expected, task, asked, seed=7)
    before = torch.get_rng_state()
    own_trainer(enable_checkpointing=False).fit(Learner(net, task, asked, seed=7))
    assert torch.equal(weights(net), weights(expected))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_any_checkpoint_of_lightnings_is_gone_on_from_exactly(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    asked, expected = replace(budget, judge_every=6), TinyNet(dropout=0.2)
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    own_trainer(callbacks=[every]).fit(Learner(expected, task, asked, seed=7))
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 10
    for path in kept:
        net = TinyNet(dropout=0.2, seed=99)
        again = own_trainer(enable_checkpointing=False)
        again.fit(Learner(net, task, asked, seed=7), ckpt_path=path)
        assert again.global_step == 30
        assert torch.equal(weights(net), weights(expected)), path.name
    fitted = TinyNet(dropout=0.2, seed=99)
    fit(fitted, task, asked, seed=7, checkpoint=kept[0])
    assert torch.equal(weights(fitted), weights(expected)), "nor does it matter who goes on"


def test_the_metric_is_logged_under_its_name_for_whoever_monitors_it(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    best = ModelCheckpoint(
        tmp_path / "best", "{step}", monitor="psnr_y", mode="max", save_top_k=-1
    )
    logger = CSVLogger(tmp_path, name="", version="logs")
    net = TinyNet()
    trainer = own_trainer(callbacks=[best], logger=logger, log_every_n_steps=10)
    trainer.fit(Learner(net, task, replace(budget, judge_every=10), seed=0))
    assert {path.name for path in (tmp_path / "best").iterdir()} == {
        "step=10.ckpt", "step=20.ckpt", "step=30.ckpt"
    }
    assert float(trainer.callback_metrics["psnr_y"]) == pytest.approx(judge(net, task), rel=1e-6)
    told = (tmp_path / "logs" / "metrics.csv").read_text().splitlines()
    assert set(told[0].split(",")) == {"epoch", "step", "train_loss", "psnr_y"}


def test_early_stopping_stops(task: SuperResolution, budget: Budget) -> None:
    stop = EarlyStopping("psnr_y", mode="max", min_delta=1000.0, patience=1)
    trainer = own_trainer(callbacks=[stop], enable_checkpointing=False)
    trainer.fit(Learner(TinyNet(), task, replace(budget, judge_every=5), seed=0))
    assert trainer.global_step == 10


def test_the_network_is_trained_even_where_it_was_judged_before(
    task: SuperResolution, budget: Budget
) -> None:
    expected, net = TinyNet(dropout=0.2), TinyNet(dropout=0.2)
    fit(expected, task, budget, seed=0)
    judge(net, task)
    own_trainer(enable_checkpointing=False).fit(Learner(net, task, budget, seed=0))
    assert torch.equal(weights(net), weights(expected))


@pytest.mark.parametrize(
    ("there", "words"),
    [({"precision": "bf16-mixed"}, "give Trainer.precision='32-true'"),
     ({"world_size": 2}, "give Trainer.devices=1"),
     ({"accumulate_grad_batches": 2}, "give budget.batch_size")],
)  # fmt: skip
def test_a_trainer_that_would_train_otherwise_is_refused(
    task: SuperResolution, budget: Budget, there: dict[str, Any], words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    learner = Learner(TinyNet(), task, budget, seed=0)
    fine = {"precision": "32-true", "world_size": 1, "accumulate_grad_batches": 1}
    monkeypatch.setattr(Learner, "trainer", SimpleNamespace(**fine))
    learner.setup("fit")
    monkeypatch.setattr(Learner, "trainer", SimpleNamespace(**{**fine, **there}))
    with pytest.raises(ValueError, match=words):
        learner.setup("fit")


def test_so_is_one_that_clips_otherwise(task: SuperResolution, budget: Budget) -> None:
    clipping = own_trainer(gradient_clip_val=0.5, enable_checkpointing=False)
    with pytest.raises(MisconfigurationException, match="gradient_clip_val=0.5"):
        clipping.fit(Learner(TinyNet(), task, budget, seed=0))

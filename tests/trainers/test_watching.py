"""What a user has beside a training: it may look on, stop it, and is blamed for what it breaks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from tests.trainers.conftest import TinyNet
from trainers.base import Batch, Diverged
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import fit
from trainers.tasks.super_resolution import SuperResolution
from trainers.watching import Extras


def weights(net: TinyNet) -> Tensor:
    return torch.cat([value.double().flatten() for value in net.state_dict().values()])


class Drawing(lightning.Callback):
    """Looks at every batch, and draws random numbers as it pleases."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        assert batch.inputs["input"].shape[0] == 4
        self.steps += int(torch.rand(()) >= 0)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.steps = state_dict["steps"]


def test_who_looks_on_changes_nothing_and_is_resumed_too(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    asked = replace(budget, judge_every=10)
    plain, watched = TinyNet(dropout=0.2), TinyNet(dropout=0.2)
    fit(plain, task, asked, seed=7)
    made: list[Drawing] = []

    def extras() -> Extras:
        made.append(Drawing())
        best = ModelCheckpoint(
            tmp_path / "best", "{step}", monitor="psnr_y", mode="max", save_top_k=-1,
            save_on_train_epoch_end=False,
        )
        return Extras([made[-1], best], CSVLogger(tmp_path, name="", version=f"{len(made)}"),
                      tmp_path)

    for until_step in (13, None):
        report = fit(watched, task, asked, seed=7, until_step=until_step, extras=extras,
                     checkpoint=tmp_path / "c.ckpt", judged=lambda step, metric: None)
    assert torch.equal(weights(plain), weights(watched))
    assert report.stopped is None
    assert [one.steps for one in made] == [13, 30]
    found = {path.name for path in (tmp_path / "best").iterdir()}
    assert found == {"step=10.ckpt", "step=20.ckpt", "step=30.ckpt"}
    told = (tmp_path / "2" / "metrics.csv").read_text()
    assert "psnr_y" in told and "train_loss" in told


def test_a_training_that_a_callback_ended_says_so(
    task: SuperResolution, budget: Budget
) -> None:
    stop = EarlyStopping("psnr_y", mode="max", min_delta=1000.0, patience=1)
    report = fit(TinyNet(), task, replace(budget, judge_every=5), seed=0,
                 judged=lambda step, metric: None, extras=lambda: Extras([stop]))
    assert (report.steps, report.stopped) == (10, "a callback ended it")


class Mine(lightning.Callback):
    def on_train_batch_end(self, *arguments: Any) -> None:
        raise KeyError("mine")


def test_whoever_failed_is_blamed_and_nobody_else(task: SuperResolution, budget: Budget) -> None:
    failing = Extras([Mine()])
    with pytest.raises(KeyError) as found:
        fit(TinyNet(), task, budget, seed=0, extras=lambda: failing)
    assert failing.blamed(found.value) == "Mine"
    assert Extras([Mine()]).blamed(found.value) == ""
    unfit = Extras([TQDMProgressBar()])
    with pytest.raises(Exception, match="enable_progress_bar") as refused:
        fit(TinyNet(), task, budget, seed=0, extras=lambda: unfit)
    assert unfit.blamed(refused.value) == "Trainer"
    innocent, broken = Extras([Drawing()]), TinyNet()
    torch.nn.init.constant_(broken.last.weight, math.nan)
    with pytest.raises(Diverged) as diverged:
        fit(broken, task, budget, seed=0, extras=lambda: innocent)
    assert innocent.blamed(diverged.value) == ""


def test_what_lightning_would_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="callbacks has builtins.dict, no Callback of pytorch_l"):
        Extras([{}])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="logger has .*Drawing, no Logger of pytorch_lightning"):
        Extras((), Drawing())  # type: ignore[arg-type]


class Deadly(SuperResolution):
    """Ends the process, as it were, when it is asked for the batch of a step."""

    last = 0

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        if step == self.last:
            raise RuntimeError("killed")
        return super().batch(step, seed=seed, size=size, device=device)


def test_wherever_it_was_killed_no_look_is_missed(
    photos: Path, budget: Budget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.watching._SAVE_EVERY_S", -1.0)
    asked = replace(budget, max_steps=9, judge_every=3)
    task = Deadly(data=Sources(str(photos)), crop=12)
    task.last = -1
    expected, whole = [], TinyNet(dropout=0.2)
    fit(whole, task, asked, seed=7, judged=lambda *look: expected.append(look))
    assert [step for step, _ in expected] == [3, 6, 9]
    for last in range(1, 9):
        seen: dict[int, float] = {}
        net, path = TinyNet(dropout=0.2), tmp_path / f"{last}.ckpt"
        task.last = last
        with pytest.raises(RuntimeError, match="killed"):
            fit(net, task, asked, seed=7, checkpoint=path, judged=seen.__setitem__)
        task.last = -1
        fit(net, task, asked, seed=7, checkpoint=path, judged=seen.__setitem__)
        assert sorted(seen.items()) == expected
        assert torch.equal(weights(net), weights(whole)), last
        assert math.isfinite(seen[9])

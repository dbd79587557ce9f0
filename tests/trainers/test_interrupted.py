"""A training that is asked to end writes its checkpoint, and goes on as if it had not ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.base import Interrupted
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import fit
from trainers.tasks.super_resolution import SuperResolution

BUDGET = Budget(max_steps=60, batch_size=2, learning_rate=2e-3, ema_decay=0.9)


class Net(nn.Sequential):
    """A x2 upscaler with randomness inside."""

    def __init__(self, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(
                nn.Conv2d(3, 12, 3, padding=1), nn.Dropout(0.1), nn.PixelShuffle(2)
            )


def test_a_training_that_was_asked_to_end_goes_on_at_the_same_step(
    photos: Path, tmp_path: Path
) -> None:
    task = SuperResolution(data=Sources(str(photos)), crop=12)
    path, told = tmp_path / "c.ckpt", []

    def end(done: int, total: int, loss: float) -> None:
        told.append(done)
        raise Interrupted("SIGUSR2 received")

    with pytest.raises(Interrupted):
        fit(Net(0), task, BUDGET, seed=7, checkpoint=path, progress=end)
    assert torch.load(path, weights_only=True)["global_step"] == told[0] == 50
    resumed, whole = Net(99), Net(0)
    report = fit(resumed, task, BUDGET, seed=7, checkpoint=path)
    expected = fit(whole, task, BUDGET, seed=7)
    assert replace(report, train_s=0.0) == replace(expected, train_s=0.0)
    assert all(
        torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True)
    )

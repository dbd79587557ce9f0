"""A training that was interrupted, killed or made in rungs ends as if it had not been."""
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainers.conftest import TinyNet
from trainers.base import Batch, Damaged
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import _sound, fit
from trainers.tasks.super_resolution import SuperResolution


def weights(net: TinyNet) -> Tensor:
    return torch.cat([value.double().flatten() for value in net.state_dict().values()])


def test_a_training_in_rungs_equals_an_uninterrupted_one(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    whole = TinyNet(dropout=0.2)
    expected = fit(whole, task, budget, seed=7)
    for until_step in (10, 17, None):
        # Other weights each time: all that counts is in the checkpoint after the first rung.
        net = TinyNet(dropout=0.2, seed=0 if until_step == 10 else 99)
        report = fit(
            net, task, budget, seed=7, until_step=until_step, checkpoint=tmp_path / "c.ckpt"
        )
    assert torch.equal(weights(net), weights(whole))
    assert report.metric == expected.metric
    assert report.steps == 30
    assert [path.name for path in tmp_path.iterdir()] == ["c.ckpt"]


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "adamw"},
        {"optimizer": "lion", "learning_rate": 1e-3},
        {"schedule": "one_cycle", "warmup_share": 0.3},
        {"memory_format": "channels_last"},
        {"judge_every": 3},
    ],
    ids=lambda recipe: next(iter(recipe)),
)
def test_every_recipe_resumes_exactly(
    task: SuperResolution, budget: Budget, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    asked = replace(budget, **recipe)
    whole, net = TinyNet(dropout=0.2), TinyNet(dropout=0.2)
    fit(whole, task, asked, seed=7, judged=lambda step, metric: None)
    for until_step in (2, 8, None):
        fit(net, task, asked, seed=7, until_step=until_step, checkpoint=tmp_path / "c.ckpt",
            judged=lambda step, metric: None)  # fmt: skip
    assert torch.equal(weights(net), weights(whole))


def test_a_checkpoint_may_be_given_more_time_and_other_looks(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    path = tmp_path / "c.ckpt"
    fit(TinyNet(), task, replace(budget, max_minutes=5.0), seed=0, until_step=5, checkpoint=path)
    report = fit(TinyNet(), task, replace(budget, judge_every=7), seed=0, checkpoint=path)
    assert report.steps == 30


_RUNG = """
import sys
from pathlib import Path
from tests.trainers.conftest import TinyNet
from trainers.base import Batch, Damaged
from trainers.budget import Budget
from trainers.fit import _sound, fit
from trainers.data.sources import Sources
from trainers.tasks.super_resolution import SuperResolution
task = SuperResolution(data=Sources(sys.argv[1]), crop=12)
budget = Budget(max_steps=30, batch_size=4, learning_rate=5e-3, quant_steps=10)
fit(TinyNet(), task, budget, seed=7, until_step=12, checkpoint=Path(sys.argv[2]))
"""


def test_another_process_goes_on_where_one_stopped_and_prints_nothing(
    task: SuperResolution, budget: Budget, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "c.ckpt"
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", _RUNG, str(photos), str(path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]),
             "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    net, whole = TinyNet(seed=99), TinyNet()
    fit(net, task, budget, seed=7, checkpoint=path)
    fit(whole, task, budget, seed=7)
    torch.testing.assert_close(weights(net), weights(whole), rtol=0, atol=1e-6)


class Deadly(SuperResolution):
    """Ends the process, as it were, when it is asked for the batch of step 15."""

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        if step == 15:
            raise RuntimeError("killed")
        return super().batch(step, seed=seed, size=size, device=device)


def test_a_killed_training_goes_on_from_the_last_timed_checkpoint(
    photos: Path, task: SuperResolution, budget: Budget, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("trainers.watching._SAVE_EVERY_S", -1.0)
    path = tmp_path / "deep" / "c.ckpt"
    with pytest.raises(RuntimeError, match="killed"):
        fit(TinyNet(dropout=0.2), Deadly(data=Sources(str(photos)), crop=12), budget, seed=7,
            checkpoint=path)  # fmt: skip
    assert torch.load(path, weights_only=True)["global_step"] == 15
    net, whole = TinyNet(dropout=0.2, seed=99), TinyNet(dropout=0.2)
    fit(net, task, budget, seed=7, checkpoint=path)
    fit(whole, task, budget, seed=7)
    assert torch.equal(weights(net), weights(whole))


def test_a_rung_that_is_done_already_is_only_judged(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    path = tmp_path / "c.ckpt"
    first = fit(TinyNet(), task, budget, seed=0, until_step=10, checkpoint=path)
    again = fit(TinyNet(seed=99), task, budget, seed=0, until_step=10, checkpoint=path)
    assert (again.steps, again.metric) == (10, first.metric)


def test_a_checkpoint_of_another_training_is_refused(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    path = tmp_path / "c.ckpt"
    fit(TinyNet(), task, budget, seed=0, until_step=5, checkpoint=path)
    with pytest.raises(ValueError, match="name another checkpoint"):
        fit(TinyNet(), task, budget, seed=1, checkpoint=path)
    with pytest.raises(ValueError, match="name another checkpoint"):
        fit(TinyNet(), task, replace(budget, learning_rate=1.0), seed=0, checkpoint=path)


def test_a_checkpoint_with_a_flipped_bit_is_refused_by_name(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    path = tmp_path / "c.ckpt"
    fit(TinyNet(), task, budget, seed=0, until_step=5, checkpoint=path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    loaded = 0
    for place in random.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            with pytest.raises(Damaged, match=r"c\.ckpt .*remove it"):
                _sound(path)
        except pytest.fail.Exception:
            # Padding and dates between the parts belong to nobody.
            loaded += 1
    assert loaded < 12
    path.write_bytes(whole[:-30])
    with pytest.raises(Damaged, match="remove it"):
        fit(TinyNet(), task, budget, seed=0, checkpoint=path)


def test_the_checkpoint_is_safe_to_load(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    path = tmp_path / "c.ckpt"
    fit(TinyNet(), task, budget, seed=0, until_step=5, checkpoint=path)
    assert torch.load(path, weights_only=True)["training"]["seed"] == 0


def test_the_time_limit_counts_earlier_rungs(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    limited = replace(budget, max_minutes=0.5)
    path = tmp_path / "c.ckpt"
    fit(TinyNet(), task, limited, seed=0, until_step=5, checkpoint=path)
    saved = torch.load(path, weights_only=True)
    (state,) = (s for s in saved["callbacks"].values() if "train_s" in s)
    state["train_s"] = 31.0
    torch.save(saved, path)
    report = fit(TinyNet(), task, limited, seed=0, checkpoint=path)
    assert (report.steps, report.stopped) == (6, "out of time")
    assert report.train_s >= 31.0

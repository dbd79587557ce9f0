import math
import os
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainers.conftest import TinyNet
from trainers.base import Batch, Diverged, Tensors
from trainers.budget import Budget
from trainers.calls import outputs_of
from trainers.data.sources import Sources
from trainers.fit import fit, judge
from trainers.losses.adversarial import Adversarial
from trainers.losses.pixel import SquaredError
from trainers.losses.terms import Terms
from trainers.tasks.super_resolution import SuperResolution


def weights(net: TinyNet) -> Tensor:
    return torch.cat([value.double().flatten() for value in net.state_dict().values()])


class OneBatch(SuperResolution):
    """Shows the same batch at every step."""

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        return super().batch(0, seed=seed, size=size, device=device)


class Poisoned(SuperResolution):
    """Its loss becomes NaN, or grows without end, from step 25 on."""

    factor = math.nan

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        self.step = step
        return super().batch(step, seed=seed, size=size, device=device)

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        loss = super().loss(outputs, batch)
        return loss * self.factor if self.step >= 25 else loss


def test_the_loss_falls_on_one_overfit_batch(photos: Path, budget: Budget) -> None:
    task, net = OneBatch(data=Sources(str(photos)), crop=12), TinyNet()
    batch = task.batch(0, seed=0, size=4)

    def loss() -> Tensor:
        return task.loss(outputs_of(net, task.signature, batch), batch)

    net.eval()
    before = loss()
    fit(net, task, replace(budget, max_steps=100, ema_decay=0.9), seed=0)
    assert loss() < 0.5 * before


def test_the_report_is_the_metric_of_the_weights_the_network_holds(
    task: SuperResolution, budget: Budget
) -> None:
    net = TinyNet()
    report = fit(net, task, budget, seed=0)
    assert (report.steps, report.metric_name, report.stopped) == (30, "psnr_y", None)
    assert report.metric == judge(net, task)
    assert report.train_s > 0
    assert report.device == "cpu fp32"


def test_looking_at_the_metric_changes_nothing_and_ends_with_the_report(
    task: SuperResolution, budget: Budget
) -> None:
    seen: list[tuple[int, float]] = []
    plain, watched = TinyNet(), TinyNet()
    fit(plain, task, budget, seed=0)
    report = fit(watched, task, replace(budget, judge_every=10), seed=0,
                 judged=lambda step, metric: seen.append((step, metric)))  # fmt: skip
    assert torch.equal(weights(plain), weights(watched))
    assert [step for step, _ in seen] == [10, 20, 30]
    assert seen[-1][1] == report.metric
    assert all(math.isfinite(metric) for _, metric in seen)


class Pull(nn.Module):
    """Pulls every output towards a level that it learns itself."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))
        self.attached: list[nn.Module] = []

    def attach(self, network: nn.Module) -> None:
        self.attached.append(network)

    def detach(self) -> None:
        self.attached.append(self)

    def loss(self, inputs: Tensors, outputs: Tensors) -> Tensor:
        return (outputs["output"] - self.level).square().mean()


def test_a_companion_adds_to_the_loss_and_is_trained_and_resumed_with_the_network(
    task: SuperResolution, budget: Budget, tmp_path: Path
) -> None:
    alone, whole, net = TinyNet(), TinyNet(), TinyNet()
    fit(alone, task, budget, seed=7)
    expected = Pull()
    fit(whole, task, budget, seed=7, teacher=expected)
    assert expected.attached == [whole, expected]
    assert expected.level.item() != 0
    assert not torch.equal(weights(alone), weights(whole))
    for until_step in (11, None):
        again = Pull()
        fit(net, task, budget, seed=7, until_step=until_step, checkpoint=tmp_path / "c.ckpt",
            teacher=again)  # fmt: skip
    assert torch.equal(weights(net), weights(whole))
    assert torch.equal(again.level, expected.level)


def test_an_adversary_learns_beside_the_network_and_is_resumed_with_it(
    photos: Path, budget: Budget, tmp_path: Path
) -> None:
    adversary = Adversarial(weight=0.005, width=4, halvings=2)
    terms = Terms({"pixels": SquaredError(weight=1.0), "adversary": adversary})
    task = SuperResolution(data=Sources(str(photos)), crop=12, loss=terms)
    whole, net = TinyNet(), TinyNet()
    fit(whole, task, budget, seed=7)
    assert not adversary.optimizer.state, "a training must learn on a copy of its own"
    for until_step in (9, None):
        fit(net, task, budget, seed=7, until_step=until_step, checkpoint=tmp_path / "c.ckpt")
    assert torch.equal(weights(net), weights(whole))
    with pytest.raises(ValueError, match="cannot be compiled"):
        fit(TinyNet(), task, replace(budget, compile="default"), seed=7)


def test_a_compiled_training_takes_the_same_steps(
    task: SuperResolution, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    def tracing(function: Any, mode: str) -> Any:
        compiled.append(mode)
        return torch.compile(function, backend="eager")  # the tracer without a C++ compiler

    monkeypatch.setattr("trainers.module._compiled", tracing)
    plain, traced = TinyNet(), TinyNet()
    fit(plain, task, budget, seed=0)
    fit(traced, task, replace(budget, compile="default"), seed=0)
    assert compiled == ["default"]
    torch.testing.assert_close(weights(traced), weights(plain), rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_touches_no_global_randomness(
    task: SuperResolution, budget: Budget
) -> None:
    nets = [TinyNet(dropout=0.5) for _ in range(2)]
    for net in nets:
        torch.manual_seed(torch.seed())
        before = torch.get_rng_state()
        fit(net, task, budget, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(nets[0]), weights(nets[1]))


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e5])
def test_a_loss_that_breaks_down_raises_diverged(
    photos: Path, budget: Budget, factor: float
) -> None:
    task = Poisoned(data=Sources(str(photos)), crop=12)
    task.factor = factor
    with pytest.raises(Diverged, match="step (2[6-9]|30) of 30"):
        fit(TinyNet(), task, budget, seed=0)


def test_outputs_that_are_not_finite_raise_diverged(task: SuperResolution) -> None:
    net = TinyNet()
    torch.nn.init.constant_(net.last.weight, math.nan)
    with pytest.raises(Diverged, match="not finite"):
        judge(net, task)


def test_the_time_limit_ends_training_early_and_is_reported(
    task: SuperResolution, budget: Budget
) -> None:
    report = fit(TinyNet(), task, replace(budget, max_minutes=1e-6), seed=0)
    assert report.stopped == "out of time"
    assert report.steps < 30
    assert math.isfinite(report.metric)


def test_the_time_for_which_a_training_was_suspended_is_not_counted(
    task: SuperResolution, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, slept = time.monotonic, [0.0]
    monkeypatch.setattr("trainers.watching.time.monotonic", lambda: clock() + slept[0])

    class Suspended(TinyNet):
        def forward(self, x: Tensor) -> Tensor:
            slept[0] += 3600.0
            return super().forward(x)

    report = fit(Suspended(), task, replace(budget, max_minutes=31.0), seed=0)
    assert (report.stopped, report.steps) == (None, 30)
    assert report.train_s < 31 * 60.0


def test_a_wait_for_the_device_between_two_steps_is_not_training(
    task: SuperResolution, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waited = time.monotonic, [0.0]
    monkeypatch.setattr("trainers.watching.time.monotonic", lambda: clock() + waited[0])
    monkeypatch.setattr("trainers.watching._TELL_EVERY", 10)

    def wait(done: int, total: int, loss: float) -> None:
        waited[0] += 3600.0

    report = fit(TinyNet(), task, budget, seed=0, progress=wait)
    assert waited[0] == 3 * 3600.0
    assert report.train_s < 60.0


def test_progress_is_told_at_the_last_step(task: SuperResolution, budget: Budget) -> None:
    told: list[tuple[int, int, float]] = []
    fit(TinyNet(), task, budget, seed=0, progress=lambda *now: told.append(now))
    assert [(step, steps) for step, steps, _ in told] == [(30, 30)]


_SIGNALS = """
import os, signal, sys
from tests.trainers.conftest import TinyNet
from trainers.budget import Budget
from trainers.data.sources import Sources
from trainers.fit import fit
from trainers.base import Batch, Tensors
from trainers.calls import outputs_of
from trainers.tasks.super_resolution import SuperResolution
task = SuperResolution(data=Sources(sys.argv[1]), crop=12)
budget = Budget(max_steps=30, batch_size=4, learning_rate=3e-3)
received = []
before = signal.getsignal(signal.SIGINT)
signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
def terminate(*now):
    os.kill(os.getpid(), signal.SIGTERM)
def interrupt(*now):
    raise KeyboardInterrupt
assert fit(TinyNet(), task, budget, seed=0, progress=terminate).steps == 30
assert received and set(received) == {signal.SIGTERM}
try:
    fit(TinyNet(), task, budget, seed=0, progress=interrupt)
except KeyboardInterrupt:
    print("interrupted")
assert signal.getsignal(signal.SIGINT) == before
"""


def test_an_interrupt_passes_and_the_process_keeps_its_signal_handlers(photos: Path) -> None:
    """In a process of its own: other libraries' stacks for signals do not outlive their tests."""
    run = subprocess.run(
        [sys.executable, "-c", _SIGNALS, str(photos)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, "interrupted\n"), run.stderr


def test_a_slurm_job_is_not_taken_over(
    task: SuperResolution, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0",
                        "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
                        "SLURM_JOB_NAME": "search"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert fit(TinyNet(), task, budget, seed=0).steps == 30


def test_fit_warns_of_nothing(task: SuperResolution, budget: Budget) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(TinyNet(), task, budget, seed=0)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_metric_that_is_not_finite_ranks_no_network(
    task: SuperResolution, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "scores", lambda run: (30.0, value))
    with pytest.raises(Diverged, match="the psnr_y of a picture is"):
        judge(TinyNet(), task)

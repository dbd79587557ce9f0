import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.trainers.conftest import TinyNet
from trainers.base import Interrupted, Quantizer
from trainers.budget import Budget
from trainers.fit import fit, judge
from trainers.qat import calibrate, fine_tune
from trainers.tasks.super_resolution import SuperResolution


def rounded(x: Tensor, step: Tensor) -> Tensor:
    """Four bits, so that rounding is felt; its gradient is the identity."""
    clamped = torch.clamp(x / step, -8, 7)
    return (clamped + (clamped.round() - clamped).detach()) * step


class PeakQuantizer(nn.Module):
    """The least that is a quantizer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))
        self.peak, self.observing, self.seen = 0.0, False, 0

    def start_calibration(self) -> None:
        self.observing, self.peak = True, 0.0

    def finish_calibration(self) -> None:
        self.observing = False
        with torch.no_grad():
            self.scale.fill_(self.peak / 7).log_()

    def forward(self, x: Tensor) -> Tensor:
        if self.observing:
            self.seen += len(x)
            self.peak = max(self.peak, x.abs().max().item())
            return x
        return rounded(x, self.scale.exp())


class QuantizedNet(nn.Module):
    """A TinyNet whose last convolution reads and holds four-bit values."""

    def __init__(self, net: TinyNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        self.quantizer = PeakQuantizer()
        peak = net.last.weight.detach().abs().amax()
        self.weight_scales = nn.ParameterDict({"last": nn.Parameter((peak / 7).log())})

    def forward(self, x: Tensor) -> Tensor:
        net = self.net
        features = self.quantizer(torch.relu(net.norm(net.first(x))))
        residual = nn.functional.conv2d(features, self.weight(), net.last.bias, padding=1)
        enlarged = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        return nn.functional.pixel_shuffle(residual, 2) + enlarged

    def weight(self) -> Tensor:
        return rounded(self.net.last.weight, self.weight_scales["last"].exp())


class TensorsFirstNet(QuantizedNet):
    """One whose weights are float until it is told to round them."""

    def __init__(self, net: TinyNet) -> None:
        super().__init__(net)
        self.weights_rounded = False
        self.scale_before, self.float_before = float("nan"), torch.zeros(())

    def round_weights(self, inputs: Sequence[NDArray[np.float32]]) -> None:
        assert len(inputs) == 16 and not self.quantizer.observing
        self.weights_rounded = True
        self.scale_before = self.quantizer.scale.item()
        self.float_before = self.net.last.weight.detach().clone()
        with torch.no_grad():
            peak = self.float_before.abs().amax()
            self.weight_scales["last"].copy_((peak / 7).log())

    def weight(self) -> Tensor:
        return super().weight() if self.weights_rounded else self.net.last.weight


@pytest.fixture(scope="module")
def trained(task: SuperResolution) -> TinyNet:
    net = TinyNet()
    fit(net, task, Budget(max_steps=60, batch_size=4, learning_rate=5e-3), seed=0)
    return net


def test_the_small_quantizer_keeps_the_protocol() -> None:
    assert isinstance(PeakQuantizer(), Quantizer)
    assert not isinstance(nn.ReLU(), Quantizer)


def test_calibration_shows_every_input_once_and_sets_the_scale(
    task: SuperResolution, trained: TinyNet
) -> None:
    prepared = QuantizedNet(trained)
    calibrate(prepared, task, 37)
    assert prepared.quantizer.seen == 37
    assert prepared.quantizer.scale.item() == pytest.approx(
        torch.tensor(prepared.quantizer.peak / 7).log().item()
    )


def test_without_steps_the_network_is_calibrated_and_judged(
    task: SuperResolution, trained: TinyNet, budget: Budget
) -> None:
    prepared = QuantizedNet(trained)
    report = fine_tune(prepared, task, replace(budget, quant_steps=0), seed=0)
    assert report.steps == 0
    assert prepared.quantizer.peak > 0
    assert torch.equal(prepared.net.last.weight, trained.last.weight)


def test_fine_tuning_wins_back_quality_and_learns_every_scale(
    task: SuperResolution, trained: TinyNet, budget: Budget
) -> None:
    untuned = fine_tune(QuantizedNet(trained), task, replace(budget, quant_steps=0), seed=0)
    prepared = QuantizedNet(trained)
    weight_scale = prepared.weight_scales["last"].item()
    tuned = fine_tune(
        prepared, task, replace(budget, quant_steps=60, quant_learning_rate=3e-3), seed=0
    )
    assert tuned.steps == 60
    assert tuned.metric > untuned.metric
    assert prepared.weight_scales["last"].item() != weight_scale
    assert prepared.quantizer.scale.item() != pytest.approx(
        torch.tensor(prepared.quantizer.peak / 7).log().item(), abs=1e-6
    )


def test_fine_tuning_has_an_optimizer_of_its_own(
    task: SuperResolution, trained: TinyNet, budget: Budget
) -> None:
    def tuned(**changes: Any) -> Tensor:
        prepared = QuantizedNet(trained)
        fine_tune(prepared, task, replace(budget, quant_steps=5, **changes), seed=0)
        return prepared.net.last.weight

    assert torch.equal(tuned(optimizer="soap"), tuned(optimizer="lion"))
    assert not torch.equal(tuned(), tuned(quant_optimizer="lion"))


def test_a_killed_fine_tuning_goes_on_from_its_checkpoint(
    task: SuperResolution, trained: TinyNet, budget: Budget, tmp_path: Path
) -> None:
    def die(*now: object) -> None:
        raise RuntimeError("killed")

    whole, again = QuantizedNet(trained), QuantizedNet(trained)
    expected = fine_tune(whole, task, budget, seed=0)
    path = tmp_path / "q.ckpt"
    first = QuantizedNet(trained)
    calibrate(first, task, budget.quant_calibration)
    course = replace(
        budget,
        max_steps=10,
        optimizer=budget.quant_optimizer,
        learning_rate=budget.quant_learning_rate,
    )
    fit(first, task, course, seed=0, until_step=4, checkpoint=path)
    report = fine_tune(again, task, budget, seed=0, checkpoint=path)
    assert report.metric == expected.metric
    assert torch.equal(again.net.last.weight, whole.net.last.weight)


def test_tensors_are_rounded_for_a_while_before_weights_are(
    task: SuperResolution, trained: TinyNet, budget: Budget
) -> None:
    course = replace(
        budget, quant_steps=60, quant_tensor_share=0.5, quant_calibration=16, judge_every=20
    )
    prepared = TensorsFirstNet(trained)
    told: list[tuple[int, int]] = []
    judged: list[int] = []
    report = fine_tune(
        prepared,
        task,
        course,
        seed=0,
        progress=lambda step, steps, loss: told.append((step, steps)),
        judged=lambda step, metric: judged.append(step),
    )
    assert report.steps == 60 and report.train_s > 0
    assert told == [(30, 60), (60, 60)]
    assert judged == [20, 30, 50, 60]
    calibrated = TensorsFirstNet(trained)
    calibrate(calibrated, task, 16)
    assert prepared.scale_before != calibrated.quantizer.scale.item()
    assert not torch.equal(prepared.float_before, trained.last.weight)
    assert not torch.equal(prepared.float_before, prepared.net.last.weight)


@pytest.mark.parametrize("changes", [{"quant_steps": 0}, {"quant_tensor_share": 0.0}])
def test_weights_are_rounded_at_once_where_tensors_get_no_steps(
    task: SuperResolution, trained: TinyNet, budget: Budget, changes: dict[str, Any]
) -> None:
    prepared = TensorsFirstNet(trained)
    fine_tune(prepared, task, replace(budget, quant_calibration=16, **changes), seed=0)
    assert prepared.weights_rounded and prepared.quantizer.seen == 16
    assert torch.equal(prepared.float_before, trained.last.weight)


def test_weights_are_rounded_last_where_tensors_get_every_step(
    task: SuperResolution, trained: TinyNet, budget: Budget
) -> None:
    prepared = TensorsFirstNet(trained)
    course = replace(budget, quant_tensor_share=1.0, quant_calibration=16)
    report = fine_tune(prepared, task, course, seed=0)
    assert prepared.weights_rounded and report.steps == budget.quant_steps
    assert not torch.equal(prepared.float_before, trained.last.weight)
    assert torch.equal(prepared.float_before, prepared.net.last.weight)
    assert report.metric == judge(prepared, task)


@pytest.mark.parametrize("killed_at", [2, 7])
def test_a_fine_tuning_killed_in_either_part_goes_on_there(
    task: SuperResolution, trained: TinyNet, budget: Budget, tmp_path: Path, killed_at: int
) -> None:
    def interrupt(step: int, metric: float) -> None:
        if step == killed_at:
            raise Interrupted

    course = replace(budget, quant_steps=10, quant_tensor_share=0.5, quant_calibration=16)
    whole, path = TensorsFirstNet(trained), tmp_path / "q.ckpt"
    expected = fine_tune(whole, task, course, seed=0)
    with pytest.raises(Interrupted):
        fine_tune(
            TensorsFirstNet(trained),
            task,
            replace(course, judge_every=1),
            seed=0,
            checkpoint=path,
            judged=interrupt,
        )
    assert path.exists() == (killed_at > 5)
    again, judged = TensorsFirstNet(trained), []
    report = fine_tune(
        again,
        task,
        replace(course, judge_every=1),
        seed=0,
        checkpoint=path,
        judged=lambda step, metric: judged.append(step),
    )
    assert report.metric == expected.metric and report.steps == 10
    assert torch.equal(again.net.last.weight, whole.net.last.weight)
    assert min(judged) > min(killed_at, 4)


def test_a_network_without_quantizers_is_refused(task: SuperResolution, budget: Budget) -> None:
    with pytest.raises(ValueError, match="prepare it for int8 first"):
        fine_tune(TinyNet(), task, budget, seed=0)

"""What every task keeps: its batches, its scores and its signature speak of the same networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from found import made, options
from torch import Tensor, nn
from torch.nn import functional

from runtime.signature import Port, Signature
from trainers.base import Arrays, Batch, Metric, Run, Shows, Task, Tensors
from trainers.calls import outputs_of, run_of

TASKS = options("task")
WIDTH, GRID = 16, 4
STEPS, SIZE, RATE = 50, 4, 5e-3


class Tiny(nn.Module):
    """A few features of all inputs, for any signature; a picture is kept beside them."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.signature = signature
        channels = sum(port.channels for port in signature.inputs)
        self.body = nn.Conv2d(channels, WIDTH, 3, padding=1)
        self.heads = nn.ModuleDict({port.name: _head(port) for port in signature.outputs})
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.0, 0.05, generator=generator)

    def forward(self, given: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        inputs = {self.signature.inputs[0].name: given} if isinstance(given, Tensor) else given
        size = self.signature.size(inputs)
        maps = [_sized(inputs[port.name], size) for port in self.signature.inputs]
        features = torch.relu(self.body(torch.cat(maps, dim=1)))
        outputs = {port.name: self._made(port, features, maps) for port in self.signature.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _made(self, port: Port, features: Tensor, maps: Sequence[Tensor]) -> Tensor:
        head = self.heads[port.name]
        if port.scale is None:
            # Where things are matters a little.
            result: Tensor = head(functional.adaptive_avg_pool2d(features, GRID).flatten(1))
            return result
        sides = [int(side * port.scale) for side in features.shape[2:]]
        result = head(_sized(features, sides))
        picture = self.signature.inputs[0]
        if port.kind == picture.kind == "image" and port.channels == picture.channels:
            return result + _sized(maps[0], sides)
        return result.tanh()


def _head(port: Port) -> nn.Module:
    if port.scale is None:
        return nn.Linear(WIDTH * GRID**2, port.channels)
    return nn.Conv2d(WIDTH, port.channels, 3, padding=1)


def _sized(x: Tensor, size: Sequence[int]) -> Tensor:
    x = x if x.ndim == 4 else x[:, :, None, None]
    return functional.interpolate(x, size=tuple(size), mode="nearest")


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Any:
    return made("task", request.param)


@cache
def trained(name: str) -> tuple[Tiny, float, float]:
    """A network after a few steps of a task, and its loss on one batch before and after."""
    task: Task = made("task", name)
    network, judge = Tiny(task.signature), task.batch(STEPS, seed=1, size=SIZE)
    before = _loss(network, task, judge).item()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for step in range(STEPS):
        optimizer.zero_grad()
        _loss(network, task, task.batch(step, seed=0, size=SIZE)).backward()
        optimizer.step()
    return network.eval(), before, _loss(network, task, judge).item()


def _loss(network: nn.Module, task: Task, batch: Batch) -> Tensor:
    return task.loss(outputs_of(network, task.signature, batch), batch)


def check_inputs(task: Task, batch: Batch, size: int) -> None:
    """Hold what comes from outside against the ports."""
    frames = (batch.frames,) if batch.frames > 1 else ()
    assert set(batch.inputs) == {port.name for port in task.signature.given}
    for port in task.signature.given:
        values = batch.inputs[port.name]
        assert values.dtype == torch.float32 and values.isfinite().all()
        assert values.shape == (size, *frames, *port.shape(task.crop, task.crop)), port.name
        if port.kind == "image":
            assert 0 <= values.min() and values.max() <= 1


def equal(one: Any, other: Any) -> bool:
    """Whether two truths, of whatever kind, are the same."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, Sequence):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def same(one: Batch, other: Batch) -> bool:
    return equal(dict(one.inputs), dict(other.inputs)) and equal(one.truth, other.truth)


def test_batches_fit_the_signature(task: Task) -> None:
    check_inputs(task, task.batch(3, seed=0, size=5), 5)


def test_a_batch_follows_from_its_step_and_its_seed(task: Task) -> None:
    one = task.batch(3, seed=0, size=4)
    task.batch(9, seed=5, size=2)
    assert same(one, task.batch(3, seed=0, size=4))
    assert not same(one, task.batch(4, seed=0, size=4))
    assert not same(one, task.batch(3, seed=1, size=4))


def test_drawing_a_batch_leaves_the_random_state_of_a_training_alone(task: Task) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    task.batch(3, seed=0, size=4)
    after = torch.get_rng_state(), np.random.get_state()[1]  # type: ignore[index]
    assert torch.equal(before[0], after[0]) and np.array_equal(before[1], after[1])


def test_calibration_gives_as_many_samples_as_it_says_and_the_same_ones(task: Task) -> None:
    one = task.calibration(5)
    check_inputs(task, one, 5)
    assert same(one, task.calibration(5))


def test_a_network_of_its_signature_has_a_gradient_for_every_output_that_counts(
    task: Task,
) -> None:
    network = Tiny(task.signature)
    batch = task.batch(0, seed=0, size=2)
    made = outputs_of(network, task.signature, batch)
    frames = (batch.frames,) if batch.frames > 1 else ()
    for port in task.signature.outputs:
        assert made[port.name].shape == (2, *frames, *port.shape(task.crop, task.crop))
    loss = task.loss(made, batch)
    assert loss.shape == () and loss.isfinite()
    loss.backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(found is not None and found.isfinite().all() for found in gradients)
    assert network.body.weight.grad is not None and network.body.weight.grad.any()


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_falls_in_a_few_steps(name: str) -> None:
    _, before, after = trained(name)
    assert after < 0.9 * before


@pytest.mark.parametrize("name", TASKS)
def test_a_network_that_has_learned_scores_better_than_one_that_has_not(name: str) -> None:
    task: Task = made("task", name)
    run = run_of(trained(name)[0], task.signature)
    scores = task.scores(run)
    fresh = task.scores(run_of(Tiny(task.signature).eval(), task.signature))
    assert len(scores) == len(fresh) > 0 and np.isfinite(scores).all()
    assert scores == task.scores(run)
    assert task.metric.better(float(np.mean(scores)), float(np.mean(fresh)))


def test_it_is_judged_by_a_metric_and_a_finite_baseline_with_a_name(task: Task) -> None:
    assert isinstance(task.metric, Metric) and task.metric.mode in ("min", "max")
    assert task.metric.name and task.baseline_name
    assert np.isfinite(task.baseline()) and task.baseline() == task.baseline()


def test_nothing_scores_better_than_the_truth(task: Any) -> None:
    """Where its pictures can be looked at, so that the truth is known."""
    if not isinstance(task, Shows):
        pytest.skip("it shows no pictures, so the truth of its samples is not known")
    examples = task.examples()
    unaided = [task.judge(task.unaided(example), example) for example in examples]
    assert task.baseline() == pytest.approx(np.mean(unaided))
    for example, other in zip(examples, unaided, strict=True):
        truth = task.judge(example.high, example)
        off = np.clip(example.high.astype(int) + 3, 0, 255).astype(np.uint8)
        assert task.metric.better(truth, other)
        assert task.metric.better(truth, task.judge(off, example))


def test_its_pictures_are_judged_as_they_are_scored(task: Any) -> None:
    if not isinstance(task, Shows):
        pytest.skip("it shows no pictures")
    run = run_of(Tiny(task.signature).eval(), task.signature)
    judged = [task.judge(task.picture(run, one), one) for one in task.examples()]
    assert task.scores(run) == pytest.approx(judged)


def test_what_a_network_carries_reaches_the_next_frame(task: Task) -> None:
    signature = task.signature
    if not signature.carried:
        pytest.skip("its networks carry nothing")
    batch = task.batch(0, seed=0, size=1)
    assert batch.frames > 1, "one frame teaches nothing about what is carried"
    run = run_of(Tiny(signature).eval(), signature)
    frames = frames_of(batch)
    followed, alone = run(frames)[-1], run(frames[-1:])[-1]
    assert any(np.abs(followed[name] - alone[name]).max() > 1e-6 for name in followed)
    assert all(np.array_equal(one[name], other[name]) for one, other in
               zip(run(frames), run(frames), strict=True) for name in one)


def frames_of(batch: Batch) -> list[Arrays]:
    every = range(batch.frames)
    return [{name: x[:, t].numpy() for name, x in batch.inputs.items()} for t in every]


def test_samples_to_judge_by_fit_the_signature(task: Task) -> None:
    """Whatever a task hands to the network that is judged, is of its ports."""
    seen: list[Tensors] = []
    inner: Run = run_of(Tiny(task.signature).eval(), task.signature)

    def watched(frames: Sequence[Arrays]) -> Sequence[Arrays]:
        seen.extend(frames)
        return inner(frames)

    task.scores(watched)
    assert seen
    for frame in seen:
        assert set(frame) == {port.name for port in task.signature.given}
        height, width = task.signature.size(frame)
        for port in task.signature.given:
            found = frame[port.name]
            assert found.dtype == np.float32 and np.isfinite(found).all()
            assert found.shape[1:] == port.shape(height, width), port.name

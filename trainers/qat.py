"""Quantization-aware fine-tuning: between preparing a network and converting it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from trainers.base import (
    Judged,
    Progress,
    Quantizer,
    Task,
    Teacher,
    TensorsFirst,
    TrainReport,
)
from trainers.budget import Budget
from trainers.calls import all_inputs, moved, outputs_of, parts
from trainers.fit import fit, scores_of

if TYPE_CHECKING:
    from trainers.watching import Extras

_BATCH = 16
_TENSORS_RATE = 0.5
"""Of the learning rate in float, while only tensors are rounded."""


def calibrate(prepared: nn.Module, task: Task, count: int) -> None:
    """Show a prepared network `count` calibration inputs, from which its scales are set.

    Raises:
        ValueError: the network holds no quantizer.
    """
    quantizers = [part for part in prepared.modules() if isinstance(part, Quantizer)]
    if not quantizers:
        raise ValueError(
            f"{type(prepared).__name__} holds nothing to calibrate: prepare it for int8 first"
        )
    device = next(prepared.parameters()).device
    shown = moved(task.calibration(count), device)
    prepared.eval()
    for quantizer in quantizers:
        quantizer.start_calibration()
    with torch.no_grad():
        for part in parts(shown, _BATCH):
            outputs_of(prepared, task.signature, part)
    for quantizer in quantizers:
        quantizer.finish_calibration()


def fine_tune(
    prepared: nn.Module,
    task: Task,
    budget: Budget,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    judged: Judged | None = None,
    teacher: Teacher | None = None,
    extras: Callable[[], Extras] | None = None,
) -> TrainReport:
    """Calibrate a prepared network, then train its weights and scales for `budget.quant_steps`.

    A network that can (`base.TensorsFirst`) has only its tensors rounded for the first
    `budget.quant_tensor_share` of the steps, and learns as fast as it did in float what rounding
    asks of it; then its weights are rounded too. With no steps a network is calibrated and judged
    only (post-training quantization). The metric is that of the fake-quantized network; the
    engine's own may differ in the last digits.

    Args:
        prepared: a network whose quantizers follow `base.Quantizer`; trained in place.
        task: what the network was trained for.
        budget: its `quant_*` fields, and the rest of the recipe.
        seed: of the batches.
        checkpoint: file to resume from if it exists, and to write; beside it the steps with
            weights in float have one with `tensors-` before its name.
        progress: called every 50 steps.
        judged: called with the metric every `budget.judge_every` steps and at the end of each
            part.
        teacher: adds to the loss at every step, as a teacher does.
        extras: makes callbacks and a logger of Lightning's for each part.

    Raises:
        Diverged: the loss or the outputs are not finite, or the loss has exploded.
        ValueError: the network holds no quantizer, or the checkpoint is of another training.
    """

    def train(course: Budget, before: int, file: Path | None) -> TrainReport:
        return fit(
            prepared,
            task,
            course,
            seed=seed,
            checkpoint=file,
            progress=_after(before, budget.quant_steps, progress),
            judged=None if judged is None else lambda step, value: judged(before + step, value),
            teacher=teacher,
            extras=extras,
        )

    in_float = isinstance(prepared, TensorsFirst) and not prepared.weights_rounded
    first = int(budget.quant_steps * budget.quant_tensor_share) if in_float else 0
    before = TrainReport(float("nan"), task.metric.name, 0, 0.0)
    if first:
        calibrate(prepared, task, budget.quant_calibration)
        rate = budget.learning_rate * _TENSORS_RATE
        file = checkpoint and checkpoint.with_name(f"tensors-{checkpoint.name}")
        before = train(replace(budget, max_steps=first, learning_rate=rate), 0, file)
    if isinstance(prepared, TensorsFirst) and not prepared.weights_rounded:
        shown = task.calibration(budget.quant_calibration)
        prepared.cpu().round_weights(all_inputs(prepared, task.signature, shown))
    if not first:
        calibrate(prepared, task, budget.quant_calibration)
    if budget.quant_steps == first:
        scores = scores_of(prepared, task)
        return replace(before, metric=float(np.mean(scores)), scores=scores)
    course = replace(
        budget,
        max_steps=budget.quant_steps - first,
        optimizer=budget.quant_optimizer,
        learning_rate=budget.quant_learning_rate,
    )
    after = train(course, first, checkpoint)
    return replace(
        after, steps=before.steps + after.steps, train_s=before.train_s + after.train_s
    )


def _after(before: int, steps: int, progress: Progress | None) -> Progress | None:
    """Progress of a part that other steps came before."""
    if progress is None:
        return None
    return lambda step, _, loss: progress(before + step, steps, loss)

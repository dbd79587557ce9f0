"""Quantization-aware fine-tuning: between preparing a network and converting it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trainers.base import Companion, Judged, Progress, Quantizer, Task, TrainReport
from trainers.budget import Budget
from trainers.fit import fit, judge

_BATCH = 16


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
    inputs = task.calibration(count)
    prepared.eval()
    for quantizer in quantizers:
        quantizer.start_calibration()
    with torch.no_grad():
        for start in range(0, count, _BATCH):
            batch = np.concatenate(inputs[start : start + _BATCH])
            prepared(torch.from_numpy(batch).to(device))
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
    companion: Companion | None = None,
) -> TrainReport:
    """Calibrate a prepared network, then train its weights and scales for `budget.quant_steps`.

    With no steps it is calibrated and judged only (post-training quantization). The metric is
    that of the fake-quantized network; the engine's own may differ in the last digits.

    Args:
        prepared: a network whose quantizers follow `base.Quantizer`; trained in place.
        task: what the network was trained for.
        budget: its `quant_*` fields, and the rest of the recipe.
        seed: of the batches.
        checkpoint: file to resume from if it exists, and to write.
        progress: called every 50 steps.
        judged: called with the metric every `budget.judge_every` steps and at the end.
        companion: adds to the loss at every step, as a teacher does.

    Raises:
        Diverged: the loss or the outputs are not finite, or the loss has exploded.
        ValueError: the network holds no quantizer, or the checkpoint is of another training.
    """
    calibrate(prepared, task, budget.quant_calibration)
    if budget.quant_steps == 0:
        return TrainReport(judge(prepared, task), task.metric.name, 0, 0.0)
    course = replace(
        budget,
        max_steps=budget.quant_steps,
        optimizer=budget.quant_optimizer,
        learning_rate=budget.quant_learning_rate,
    )
    return fit(
        prepared,
        task,
        course,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        judged=judged,
        companion=companion,
    )

"""Training steps per second of one small network and of several at once, by how they compile.

Each network has a process of its own, as in a search, and trains by `trainers.fit` with SOAP on
batches that lie ready on the device: drawing and judging pictures are left out. When all have
compiled and taken 50 steps, their steps are counted for a few seconds.
"""

from __future__ import annotations

import multiprocessing
import signal
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from typing import Any, cast

import torch
from torch import Tensor

from gpu_parts.base import Form, Pace, Row, Tell, left_out, one_line
from runtime.signature import INPUT, OUTPUT, one_to_one
from search_spaces.modules import build
from search_spaces.references import reference
from search_spaces.skeletons import lower
from trainers.base import Batch, Interrupted, Task, Tensors
from trainers.budget import Budget, Compiling
from trainers.fit import fit

PART = "training"
_SCALE, _BATCHES = 2, 8
_NEVER = 10**6
_TOLD = {"none": "eager", "default": "torch.compile", "cuda_graphs": "CUDA graphs"}


@dataclass(frozen=True)
class Rate:
    """What one process found for one way to compile.

    Attributes:
        broken: why there are no steps; empty where there are.
    """

    compiling: Compiling
    steps_per_s: float
    broken: str = ""


class ReadyBatches:
    """As much of a task as training without judging asks for."""

    def __init__(self, form: Form, channels: int) -> None:
        """Draw a few batches of noise; they lie on the device from now on."""
        random = torch.Generator().manual_seed(0)
        shape = (_BATCHES, form.batch, channels, form.crop, form.crop)
        self._inputs = torch.rand(shape, generator=random).to(form.device)
        large = (*shape[:3], form.crop * _SCALE, form.crop * _SCALE)
        self._targets = torch.rand(large, generator=random).to(form.device)

        self.signature = one_to_one(channels, channels, _SCALE)

    def batch(self, step: int, **_asked: object) -> Batch:
        """One after the other."""
        number = step % _BATCHES
        return Batch({INPUT: self._inputs[number]}, self._targets[number])

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        """L1."""
        return cast(Tensor, (outputs[OUTPUT] - batch.truth).abs().mean())


def run(form: Form, pace: Pace, tell: Tell) -> None:
    """One network alone first, then several."""
    for place, count in enumerate(form.at_once):
        if not pace.allows():
            tell(left_out(PART, [_named(form, other) for other in form.at_once[place:]]))
            return
        with pace.turn():
            rates = _at_once(form, count, pace)
        for compiling in form.compiling:
            tell(_row(form, count, compiling, rates[compiling]))


def _named(form: Form, count: int) -> str:
    return f"{form.few[0]} x {count}"


def _row(form: Form, count: int, compiling: Compiling, rates: list[Rate]) -> Row:
    what = f"{_named(form, count)}, {_TOLD[compiling]}"
    broken = [rate.broken for rate in rates if rate.broken]
    if broken:
        # Who waited for the broken one has nothing of its own to say.
        return Row(PART, what, "failed", words=max(broken, key=len))
    if len(rates) < count:
        words = f"{len(rates)} of {count} processes answered in time"
        return Row(PART, what, "failed", words=words)
    each = [rate.steps_per_s for rate in rates]
    words = f"{statistics.median(each):.4g} each, {form.batch} crops of {form.crop}"
    facts = {"steps_per_s_each": each}
    return Row(PART, what, "measured", sum(each), "steps/s", words, facts)


def _at_once(form: Form, count: int, pace: Pace) -> dict[Compiling, list[Rate]]:
    """What so many processes told, by how they compiled."""
    context = multiprocessing.get_context("spawn")
    barriers = [context.Barrier(count) for _ in form.compiling]
    answers: Any = context.Queue()
    limit_s = max(1.0, pace.left_s)
    processes = [
        context.Process(target=train, args=(form, seed, barriers, answers, limit_s), daemon=True)
        for seed in range(count)
    ]
    rates: dict[Compiling, list[Rate]] = defaultdict(list)
    try:
        for process in processes:
            process.start()
        for _ in range(count * len(form.compiling)):
            rate = _next(answers, processes, pace)
            if rate is None:
                break
            rates[rate.compiling].append(rate)
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()
    return rates


def _next(answers: Any, processes: list[Any], pace: Pace) -> Rate | None:
    """The next answer; None when the time is over or nobody is there to answer."""
    while pace.left_s > 0:
        alive = any(process.is_alive() for process in processes)
        with suppress(Empty):
            found: Rate = answers.get(timeout=0.5)
            return found
        if not alive:
            return None
    return None


def train(form: Form, seed: int, barriers: list[Any], answers: Any, limit_s: float) -> None:
    """The work of one process: one training for each way to compile."""
    signal.alarm(int(limit_s) + 1)
    torch.set_num_threads(1)
    for compiling, barrier in zip(form.compiling, barriers, strict=True):
        try:
            answers.put(Rate(compiling, _steps_per_s(form, seed, compiling, barrier, limit_s)))
        except Exception as error:
            barrier.abort()
            answers.put(Rate(compiling, 0.0, one_line(error)))


def _steps_per_s(
    form: Form, seed: int, compiling: Compiling, barrier: Any, limit_s: float
) -> float:
    seen: list[tuple[float, int]] = []

    def progress(step: int, steps: int, loss: float) -> None:
        if not seen:
            barrier.wait(timeout=limit_s)
        seen.append((time.perf_counter(), step))
        if seen[-1][0] - seen[0][0] > form.window_s:
            raise Interrupted("counted for long enough")

    budget = Budget(
        max_steps=_NEVER, batch_size=form.batch, learning_rate=1e-4, compile=compiling,
        accelerator="gpu" if form.device == "cuda" else "cpu",
    )  # fmt: skip
    architecture = reference(form.few[0], _SCALE)
    network = build(lower(architecture), seed=seed)
    task = cast(Task, ReadyBatches(form, architecture.in_channels))
    with suppress(Interrupted):
        fit(network, task, budget, seed=seed, progress=progress)
    (began, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - began)

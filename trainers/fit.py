"""Train one network on one task within a budget, in one go or in rungs."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from trainers.base import Damaged, Diverged, Judged, Progress, Run, Task, Teacher, TrainReport
from trainers.budget import Budget
from trainers.calls import run_of

if TYPE_CHECKING:
    import pytorch_lightning as lightning

    from trainers.devices import Settled
    from trainers.module import Learner
    from trainers.watching import Extras, Telling

_LOG_EVERY = 50
_LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
_EXPECTED = (
    # A teacher is meant to be in eval mode.
    r"Found \d+ module\(s\) in eval mode",
    # Lightning 2.6 on torch 2.13, about its own code.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # One process trains one network, under Slurm too.
    r"The `srun` command is available on your system but is not used",
    # A training that goes on finds what it has left before.
    r"Checkpoint directory .* exists and is not empty",
)


def fit(
    module: nn.Module,
    task: Task,
    budget: Budget,
    *,
    seed: int,
    until_step: int | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    judged: Judged | None = None,
    teacher: Teacher | None = None,
    extras: Callable[[], Extras] | None = None,
) -> TrainReport:
    """Train a network in place and judge it by its averaged weights, which it then holds.

    A training may be cut into rungs: `until_step=200`, later `until_step=1200` with the same
    checkpoint, seed and budget, in any process, gives the weights of an uninterrupted training.
    The checkpoint is also written every minute, so that a killed process loses little.

    Args:
        module: the network, of the task's signature; see `calls.step_of` for how it is called.
        task: what it is trained for.
        budget: its cost; the learning-rate schedule ends at `budget.max_steps` for every rung.
        seed: of the batches and of anything random inside the network.
        until_step: where this rung ends; the end of the budget when None.
        checkpoint: file to resume from if it exists, and to write.
        progress: called every 50 steps.
        judged: called with the metric every `budget.judge_every` steps and at the end.
        teacher: adds to the loss at every step (`distill.Distillation`).
        extras: makes callbacks and a logger of Lightning's for this training.

    Raises:
        Diverged: the loss or the outputs are not finite, or the loss has exploded.
        ValueError: the checkpoint belongs to another training, or this machine cannot train as
            the budget asks.
        Damaged: the checkpoint has changed since it was written.
    """
    from trainers.devices import settle
    from trainers.module import Learner
    from trainers.watching import Extras, Telling

    device = settle(budget)
    last = budget.max_steps if until_step is None else min(until_step, budget.max_steps)
    learner = Learner(module, task, budget, seed=seed, teacher=teacher)
    watch = Telling(learner, budget, checkpoint, progress, judged)
    beside = Extras() if extras is None else extras()
    with _quiet():
        try:
            trainer = _train(learner, watch, beside, last, checkpoint, device)
        finally:
            if teacher is not None:
                teacher.detach()
    scores = scores_of(module, task)
    metric = float(np.mean(scores))
    if judged is not None:
        judged(trainer.global_step, metric)
    stopped = watch.stopped
    if stopped is None and trainer.global_step < last:
        stopped = "a callback ended it"
    return TrainReport(
        metric, task.metric.name, trainer.global_step, watch.train_s, stopped, device.name, scores
    )


def judge(module: nn.Module, task: Task) -> float:
    """The task's metric of a network as it is: the mean of `scores_of`.

    Raises:
        Diverged: the outputs are not finite.
    """
    return float(np.mean(scores_of(module, task)))


def scores_of(module: nn.Module, task: Task) -> tuple[float, ...]:
    """The metric on each validation picture, in eval mode, where the parameters are.

    Raises:
        Diverged: the outputs are not finite, or their metric is not.
    """
    module.eval()
    return finite_scores(run_of(module, task.signature), task)


def finite_scores(run: Run, task: Task) -> tuple[float, ...]:
    """The metric on each validation picture of whatever runs a network.

    Raises:
        Diverged: the outputs are not finite, or their metric is not.
    """
    try:
        scores = task.scores(run)
    except FloatingPointError as error:
        raise Diverged(f"the network is broken: {error}") from error
    broken = [score for score in scores if not np.isfinite(score)]
    if broken:
        raise Diverged(f"the {task.metric.name} of a picture is {broken[0]}")
    return scores


def _train(
    learner: Learner,
    watch: Telling,
    extras: Extras,
    last: int,
    checkpoint: Path | None,
    device: Settled,
) -> lightning.Trainer:
    import pytorch_lightning as lightning
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    from trainers.watching import OwnSignals

    trainer = lightning.Trainer(
        accelerator=device.accelerator,
        devices=1,
        precision=device.precision,
        max_steps=last,
        max_epochs=-1,
        limit_val_batches=1 if watch.looks else 0,
        # What the others know of a step is in the checkpoint that the last ones write.
        callbacks=[*extras.callbacks, watch, OwnSignals()],
        logger=extras.logger or False,
        log_every_n_steps=min(_LOG_EVERY, len(learner.train_dataloader())),
        default_root_dir=extras.folder,
        enable_checkpointing=extras.checkpoints,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        # Inside a Slurm job Lightning would otherwise requeue the job and swallow its signals.
        plugins=[LightningEnvironment()],
    )
    resumed = None
    if checkpoint is not None and checkpoint.exists():
        resumed = _sound(checkpoint)
    with _own_signals():
        trainer.fit(learner, ckpt_path=resumed)
    return trainer


def _sound(checkpoint: Path) -> Path:
    """The checkpoint, every part of which was held against its checksum.

    Raises:
        Damaged: a part has changed since it was written; torch itself would load it.
    """
    remedy = "remove it, and the training begins again"
    try:
        with zipfile.ZipFile(checkpoint) as parts:
            broken = parts.testzip()
    # A flipped bit in a header may ask for a compression that zipfile does not have.
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise Damaged(f"{checkpoint} is no checkpoint any more ({error}): {remedy}") from error
    if broken is not None:
        raise Damaged(f"{checkpoint} is damaged (in {broken}): {remedy}")
    return checkpoint


@contextmanager
def _own_signals() -> Iterator[None]:
    """Let an interrupt leave Lightning as KeyboardInterrupt, and SIGINT work afterwards.

    Lightning answers an interrupt by ignoring SIGINT for good and exiting.
    """
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from leaving
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes on hardware, tips and stopping off the terminal; errors pass."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            for message in _EXPECTED:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

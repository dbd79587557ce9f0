"""The LightningModule around any network, and the callback that watches over its training."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from trainers.base import (
    Batch,
    Diverged,
    Interrupted,
    LearningLoss,
    Progress,
    Task,
    TaskWhoseLossLearns,
    Teacher,
)
from trainers.budget import Budget
from trainers.calls import outputs_of
from trainers.optimizers import optimizer_for, parameter_groups, schedule_for

_SMOOTHING = 0.98
_EXPLODED = 20.0
_SETTLED = 20
_SAVE_EVERY_S = 60.0
_LONGEST_STEP_S = 60.0
"""A step that seems to take longer was slept through, so its time does not count."""
_TELL_EVERY = 50
_LOOK_EVERY = 10
_IMAGES = 4
_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Learner(lightning.LightningModule):
    """A network, the running average of its weights, and one training step.

    Batches are drawn by step number, so nothing about data has to be remembered to resume.
    """

    def __init__(
        self,
        module: nn.Module,
        task: Task,
        budget: Budget,
        *,
        seed: int,
        teacher: Teacher | None = None,
    ) -> None:
        """Take the network over; it is trained in place."""
        super().__init__()
        self.module = module
        self.average = deepcopy(module).eval().requires_grad_(False)
        # A teacher that is a module becomes a child here: it moves, trains and is saved too.
        self.teacher = teacher
        if teacher is not None:
            teacher.attach(module)
        self._task, self._budget, self._seed = task, budget, seed
        self._signature = task.signature
        self._rival: LearningLoss | None = None
        if isinstance(task, TaskWhoseLossLearns):
            self._rival = task.loss_for_training(seed)
        self._format = _FORMATS[budget.memory_format]
        self._compute: Callable[[Batch], Tensor] = self._loss
        if budget.compile != "none":
            if self._rival is not None or teacher is not None:
                raise ValueError(
                    "a loss that learns and a teacher cannot be compiled: budget.compile=none"
                )
            mode = "reduce-overhead" if budget.compile == "cuda_graphs" else "default"
            self._compute = _compiled(self._loss, mode)
        # Optimizers move a parameter in place, so these lists stay valid.
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        averaged = dict(self.average.named_parameters())
        self._live: list[Tensor] = list(trained.values())
        self._averaged: list[Tensor] = [averaged[name] for name in trained]

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """The loss of the batch that belongs to the present step."""
        drawn = self._task.batch(
            self.global_step, seed=self._seed, size=self._budget.batch_size, device=self.device
        )
        inputs = {name: self._laid_out(x) for name, x in drawn.inputs.items()}
        return self._compute(drawn._replace(inputs=inputs))

    def _laid_out(self, x: Tensor) -> Tensor:
        """channels_last is about images; anything else keeps its layout."""
        layout = self._format if x.ndim == _IMAGES else torch.contiguous_format
        return x.contiguous(memory_format=layout)

    def _loss(self, batch: Batch) -> Tensor:
        outputs = outputs_of(self.module, self._signature, batch)
        if self._rival is None:
            loss = self._task.loss(outputs, batch)
        else:
            prediction = next(iter(outputs.values()))
            self._rival.learn(prediction.detach(), batch.truth)
            loss = self._rival(prediction, batch.truth)
        if self.teacher is not None:
            loss = loss + self.teacher.loss(batch.inputs, outputs)
        return loss

    def configure_optimizers(self) -> Any:
        """The budget's optimizer under its schedule, stepped at every batch."""
        groups = parameter_groups(self.module, self._budget)
        if isinstance(self.teacher, nn.Module):
            groups += parameter_groups(self.teacher, self._budget)
        optimizer = optimizer_for(groups, self._budget)
        schedule = schedule_for(optimizer, self._budget)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the weights; early on faster, to forget the random start."""
        step = self.global_step
        decay = min(self._budget.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._live, 1 - decay)

    @torch.no_grad()
    def averaged_network(self) -> nn.Module:
        """The averaged copy with the network's present buffers (batch norm's statistics)."""
        present = dict(self.module.named_buffers())
        for name, value in self.average.named_buffers():
            value.copy_(present[name])
        return self.average

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the random state, and what this training is."""
        checkpoint["random_state"] = torch.get_rng_state()
        if self.device.type == "cuda":
            checkpoint["device_random_state"] = torch.cuda.get_rng_state(self.device)
        if self._rival is not None:
            checkpoint["loss"] = self._rival.state_dict()
        checkpoint["training"] = self._identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the random state back.

        Raises:
            ValueError: the checkpoint belongs to a training with another seed or budget.
        """
        here, there = self._identity(), checkpoint.get("training")
        if there != here:
            raise ValueError(
                f"the checkpoint was written by {there}, this training is {here}: name another "
                "checkpoint file, or the same seed and budget"
            )
        if self._rival is not None:
            self._rival.load_state_dict(checkpoint["loss"])
        torch.set_rng_state(checkpoint["random_state"])
        if "device_random_state" in checkpoint:
            torch.cuda.set_rng_state(checkpoint["device_random_state"].cpu())

    def _identity(self) -> dict[str, Any]:
        return {"seed": self._seed, "budget": self._budget.course()}


def lay_out(module: nn.Module, budget: Budget) -> None:
    """Put the weights of image layers into the budget's memory format."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == _IMAGES:
            tensor.data = tensor.data.contiguous(memory_format=_FORMATS[budget.memory_format])


def _compiled(function: Callable[[Batch], Tensor], mode: str) -> Callable[[Batch], Tensor]:
    return torch.compile(function, mode=mode, dynamic=False)


class Steps(Iterable[int]):
    """An endless loader of nothing: batches are drawn by step inside the training step."""

    def __iter__(self) -> Iterator[int]:
        """Zeros for ever."""
        while True:
            yield 0


class OwnSignals(lightning.Callback):
    """Puts the process's SIGTERM handler back, over which Lightning has put one that exits."""

    def __init__(self) -> None:
        """Remember the handler of now."""
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Lightning has just set its own."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


class Telling(lightning.Callback):
    """Averages the weights, saves, and stops a training that diverges or runs out of time.

    Attributes:
        train_s: seconds of training steps, those before the last resumption included.
        stopped: why it ended early, or None.
    """

    def __init__(
        self,
        learner: Learner,
        budget: Budget,
        checkpoint: Path | None,
        progress: Progress | None = None,
        judge: Callable[[int, nn.Module], None] | None = None,
    ) -> None:
        """Start with nothing seen; `load_state_dict` puts the past of a resumed training back."""
        self._learner, self._budget = learner, budget
        self._checkpoint, self._progress, self._judge = checkpoint, progress, judge
        self._unseen: list[Tensor] = []
        self._loss, self._best = math.nan, math.inf
        self.train_s = 0.0
        self._step_began = self._saved = time.monotonic()
        self.stopped: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint keeps of it."""
        return {"loss": self._loss, "best": self._best, "train_s": self.train_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint was written."""
        self._loss, self._best = state_dict["loss"], state_dict["best"]
        self.train_s = state_dict["train_s"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Time counts from the first step on."""
        self._step_began = self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss and the clock.

        Raises:
            Diverged: the loss is not finite, or its average exceeds 20 times its best.
        """
        step = trainer.global_step
        self._learner.update_average()
        self._unseen.append(outputs["loss"])
        last = step == trainer.max_steps
        # Reading a loss waits for a GPU to be done with the step; a processor is done anyway.
        if outputs["loss"].device.type == "cpu" or step % _LOOK_EVERY == 0 or last:
            self._look(step)
        # Whoever was suspended did not train meanwhile.
        self.train_s += min(time.monotonic() - self._step_began, _LONGEST_STEP_S)
        if self._progress is not None and (step % _TELL_EVERY == 0 or last):
            self._progress(step, trainer.max_steps, self._loss)
        every = self._budget.judge_every
        if self._judge is not None and every and step % every == 0 and not last:
            self._judge(step, self._learner.averaged_network())
        if self._checkpoint is not None and time.monotonic() - self._saved > _SAVE_EVERY_S:
            self.save(trainer, self._checkpoint)
        # Nor is judging, saving or waiting for a device that another process times on training.
        self._step_began = time.monotonic()
        limit = self._budget.max_minutes
        if limit is not None and self.train_s > 60 * limit and step < trainer.max_steps:
            self.stopped = "out of time"
            trainer.should_stop = True

    def _look(self, step: int) -> None:
        """Look at every loss since the last look, in one transfer."""
        if not self._unseen:
            return
        losses = torch.stack(self._unseen).tolist()
        self._unseen.clear()
        for back, loss in zip(range(len(losses) - 1, -1, -1), losses, strict=True):
            self._see(loss, step - back)

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException
    ) -> None:
        """Save when the training was asked to end; other exceptions come between two states."""
        if isinstance(exception, Interrupted) and self._checkpoint is not None:
            self.save(trainer, self._checkpoint)

    def _see(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {step} of {self._budget.max_steps}")
        smoothing = min(_SMOOTHING, step / (step + 10))
        seen = loss if math.isnan(self._loss) else self._loss
        self._loss = smoothing * seen + (1 - smoothing) * loss
        if step < _SETTLED:
            # The first few batches may all be sky.
            return
        self._best = min(self._best, self._loss)
        if self._loss > _EXPLODED * self._best:
            raise Diverged(
                f"the loss has grown from {self._best:.3g} to {self._loss:.3g} "
                f"at step {step} of {self._budget.max_steps}"
            )

    def save(self, trainer: lightning.Trainer, path: Path) -> None:
        """Write the checkpoint aside, then rename it into place."""
        self._look(trainer.global_step)
        aside = path.with_name(path.name + ".part")
        try:
            trainer.save_checkpoint(aside)
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError as error:
            # Lightning writes elsewhere first, and the error would name that file.
            error.filename = str(aside)
            aside.unlink(missing_ok=True)
            raise
        self._saved = time.monotonic()

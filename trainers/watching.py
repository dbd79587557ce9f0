"""The callbacks that `fit` watches a training with, and those that a user has beside them."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor

from trainers.base import Diverged, Interrupted, Judged, Progress
from trainers.budget import Budget
from trainers.module import Learner

_SMOOTHING = 0.98
_EXPLODED = 20.0
_SETTLED = 20
_SAVE_EVERY_S = 60.0
_LONGEST_STEP_S = 60.0
"""A step that seems to take longer was slept through, so its time does not count."""
_TELL_EVERY = 50
_LOOK_EVERY = 10


@dataclass(frozen=True)
class Extras:
    """What one training has beside Freeway's own.

    Attributes:
        callbacks: Lightning's or a user's, called before Freeway's.
        logger: one of Lightning's, or None.
        folder: where callbacks write that name no folder; None for the present one.
    """

    callbacks: Sequence[lightning.Callback] = ()
    logger: Logger | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what Lightning would not take.

        Raises:
            ValueError: says what was given, and what is wanted.
        """
        for callback in self.callbacks:
            _require(callback, lightning.Callback, "callbacks")
        if self.logger is not None:
            _require(self.logger, Logger, "logger")

    @property
    def parts(self) -> list[Any]:
        """All of them."""
        return [*self.callbacks, *([self.logger] if self.logger is not None else [])]

    def blamed(self, error: BaseException) -> str:
        """The name of whichever of them an exception came out of; empty for none."""
        for frame, _ in traceback.walk_tb(error.__traceback__):
            running = frame.f_locals.get("self")
            if any(running is part for part in self.parts):
                return type(running).__name__
        return "Trainer" if isinstance(error, MisconfigurationException) else ""

    @property
    def checkpoints(self) -> bool:
        """Whether one of them writes checkpoints of its own."""
        return any(isinstance(one, Checkpoint) for one in self.callbacks)


def _require(given: Any, kind: type, where: str) -> None:
    if not isinstance(given, kind):
        name = f"{type(given).__module__}.{type(given).__qualname__}"
        raise ValueError(f"trainer.{where} has {name}, no {kind.__name__} of pytorch_lightning")


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
    """Tells how far a training is, saves it, and stops one that diverges or runs out of time.

    Lightning's Timer would count what is no training: judging, waiting for a device, a suspended
    process. Its ModelCheckpoint neither waits for the disk before it renames nor writes when a
    training is asked to end.

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
        judged: Judged | None = None,
    ) -> None:
        """Start with nothing seen; `load_state_dict` puts the past of a resumed training back."""
        self._learner, self._budget = learner, budget
        self._checkpoint, self._progress, self._judged = checkpoint, progress, judged
        self._unseen: list[Tensor] = []
        self._loss, self._best = math.nan, math.inf
        self.train_s = 0.0
        self._step_began = self._saved = time.monotonic()
        self.stopped: str | None = None

    @property
    def looks(self) -> bool:
        """Whether anybody wants the metric while it trains."""
        return self._judged is not None and self._budget.judge_every > 0

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
        self._unseen.append(outputs["loss"])
        last = step == trainer.max_steps
        # Reading a loss waits for a GPU to be done with the step; a processor is done anyway.
        if outputs["loss"].device.type == "cpu" or step % _LOOK_EVERY == 0 or last:
            self._look(step)
        # Whoever was suspended did not train meanwhile.
        self.train_s += min(time.monotonic() - self._step_began, _LONGEST_STEP_S)
        if self._progress is not None and (step % _TELL_EVERY == 0 or last):
            self._progress(step, trainer.max_steps, self._loss)
        # A look that follows belongs to this step: who goes on after it would miss it.
        if not (self.looks and step % self._budget.judge_every == 0):
            self._save_in_time(trainer)
        # Nor is saving or waiting for a device that another process times on training.
        self._step_began = time.monotonic()
        limit = self._budget.max_minutes
        if limit is not None and self.train_s > 60 * limit and step < trainer.max_steps:
            self.stopped = "out of time"
            trainer.should_stop = True

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Tell the metric; at the end that is done for the network as it is left."""
        ends = trainer.should_stop or trainer.global_step == trainer.max_steps
        if self._judged is not None and not ends:
            self._judged(trainer.global_step, float(np.mean(self._learner.scores)))
        self._save_in_time(trainer)
        # Nor is judging.
        self._step_began = time.monotonic()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Save the end, before the network is left with its averaged weights."""
        if self._checkpoint is not None:
            self.save(trainer, self._checkpoint)

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

    def _save_in_time(self, trainer: lightning.Trainer) -> None:
        if self._checkpoint is not None and time.monotonic() - self._saved > _SAVE_EVERY_S:
            self.save(trainer, self._checkpoint)

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

"""The LightningModule around any network, and the callback that watches over its training."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from trainers.base import Budget, Diverged, Progress, Quantizer, Task

_BETA1 = 0.9
_SMOOTHING = 0.98
_EXPLODED = 20.0
_SETTLED = 20
_SAVE_EVERY_S = 60.0
_TELL_EVERY = 50


def learning_rate_share(step: int, budget: Budget) -> float:
    """Learning rate of a step over its peak: a linear rise, then a cosine to zero."""
    warmup = max(1, round(budget.warmup_share * budget.max_steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, budget.max_steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def parameter_groups(module: nn.Module, budget: Budget) -> list[dict[str, Any]]:
    """Parameters by how they are stepped: kernels decay, biases and other vectors do not.

    The scales of a quantized network (`base.Quantizer` says which they are) have a rate of their
    own: being logarithms, it is a relative one, the same for large and small scales.
    """
    quantized = any(isinstance(part, Quantizer) for part in module.modules())
    kernels: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    scales: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if quantized and _is_scale(name):
            scales.append(parameter)
        else:
            (kernels if parameter.ndim > 1 else vectors).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": budget.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
        {"params": scales, "weight_decay": 0.0, "lr": budget.quant_scale_rate},
    ]
    return [group for group in groups if group["params"]]


def _is_scale(name: str) -> bool:
    *parents, own = name.split(".")
    return own.endswith("scale") or any(parent.endswith("scales") for parent in parents)


class Learner(lightning.LightningModule):
    """A network, the running average of its weights, and one training step.

    Batches are drawn by step number, so nothing about data has to be remembered to resume.
    """

    def __init__(self, module: nn.Module, task: Task, budget: Budget, *, seed: int) -> None:
        """Take the network over; it is trained in place."""
        super().__init__()
        self.module = module
        self.average = deepcopy(module).eval().requires_grad_(False)
        self._task, self._budget, self._seed = task, budget, seed
        # AdamW moves a parameter in place, so these lists stay valid.
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        averaged = dict(self.average.named_parameters())
        self._live: list[Tensor] = list(trained.values())
        self._averaged: list[Tensor] = [averaged[name] for name in trained]

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """The loss of the batch that belongs to the present step."""
        inputs, targets = self._task.batch(
            self.global_step, seed=self._seed, size=self._budget.batch_size
        )
        prediction = self.module(inputs.to(self.device))
        return self._task.loss(prediction, targets.to(self.device))

    def configure_optimizers(self) -> Any:
        """AdamW under the budget's schedule, stepped at every batch."""
        optimizer = torch.optim.AdamW(
            parameter_groups(self.module, self._budget),
            lr=self._budget.learning_rate,
            betas=(_BETA1, self._budget.beta2),
        )
        schedule = LambdaLR(optimizer, lambda step: learning_rate_share(step, self._budget))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards the weights; early on faster, to forget the random start."""
        step = self.global_step
        decay = min(self._budget.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._live, 1 - decay)

    @torch.no_grad()
    def averaged_state(self) -> dict[str, Tensor]:
        """Averaged parameters with the network's present buffers (batch norm's statistics)."""
        state = {name: value.clone() for name, value in self.module.state_dict().items()}
        for name, value in self.average.named_parameters(remove_duplicate=False):
            state[name] = value.clone()
        return state

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the random state, and what this training is."""
        checkpoint["random_state"] = torch.get_rng_state()
        checkpoint["training"] = {"seed": self._seed, "budget": asdict(self._budget)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the random state back.

        Raises:
            ValueError: the checkpoint belongs to a training with another seed or budget.
        """
        here = {"seed": self._seed, "budget": asdict(self._budget)}
        if checkpoint.get("training") != here:
            raise ValueError(
                f"the checkpoint was written by {checkpoint.get('training')}, this training is "
                f"{here}: name another checkpoint file, or the same seed and budget"
            )
        torch.set_rng_state(checkpoint["random_state"])


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


class Watch(lightning.Callback):
    """Averages the weights, saves, and stops a training that diverges or runs out of time."""

    def __init__(
        self, learner: Learner, budget: Budget, checkpoint: Path | None, progress: Progress | None
    ) -> None:
        """Start with nothing seen; `load_state_dict` puts the past of a resumed training back."""
        self._learner, self._budget = learner, budget
        self._checkpoint, self._progress = checkpoint, progress
        self._loss, self._best = math.nan, math.inf
        self._earlier_s = 0.0
        self._started = self._saved = time.monotonic()
        self.stopped: str | None = None

    @property
    def train_s(self) -> float:
        """Seconds of training, those before the last resumption included."""
        return self._earlier_s + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint keeps of it."""
        return {"loss": self._loss, "best": self._best, "train_s": self.train_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint was written."""
        self._loss, self._best = state_dict["loss"], state_dict["best"]
        self._earlier_s = state_dict["train_s"]

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Time counts from the first step on."""
        self._started = self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss and the clock.

        Raises:
            Diverged: the loss is not finite, or its average exceeds 20 times its best.
        """
        step = trainer.global_step
        self._see(float(outputs["loss"]), step)
        self._learner.update_average()
        if self._progress is not None and (step % _TELL_EVERY == 0 or step == trainer.max_steps):
            self._progress(step, self._budget.max_steps, self._loss)
        if self._checkpoint is not None and time.monotonic() - self._saved > _SAVE_EVERY_S:
            self.save(trainer, self._checkpoint)
        limit = self._budget.max_minutes
        if limit is not None and self.train_s > 60 * limit and step < trainer.max_steps:
            self.stopped = "out of time"
            trainer.should_stop = True

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
        aside = path.with_name(path.name + ".part")
        trainer.save_checkpoint(aside)
        aside.replace(path)
        self._saved = time.monotonic()

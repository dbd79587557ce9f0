"""The LightningModule around any network: how it is trained, under whichever Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainers.base import Batch, LearningLoss, Task, TaskWhoseLossLearns, Teacher
from trainers.budget import Budget
from trainers.calls import outputs_of
from trainers.devices import PRECISIONS
from trainers.fit import scores_of
from trainers.optimizers import optimizer_for, parameter_groups, schedule_for

_IMAGES = 4
_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Learner(lightning.LightningModule):
    """A network that learns a task within a budget, as any LightningModule is trained.

    `Trainer(max_steps=budget.max_steps).fit(Learner(network, task, budget, seed=0))` leaves the
    network with its averaged weights, which are those of `fit`, bit for bit. An epoch is
    `budget.judge_every` steps; after each the task's metric is logged under its name.

    Batches and what a network draws at random follow from the step's number, so nothing about
    them has to be remembered to resume, and whatever else draws changes nothing.

    Attributes:
        module: the network, as it is trained.
        average: the running average of its weights.
        scores: the last look at the metric, on each validation picture.
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
        """Take the network over; it is trained in place.

        Raises:
            ValueError: the budget asks to compile what cannot be.
        """
        super().__init__()
        self.module = module.train()
        self.average = deepcopy(module).requires_grad_(False)
        # A teacher that is a module becomes a child here: it moves, trains and is saved too.
        self.teacher = teacher
        if teacher is not None:
            teacher.attach(module)
        self.scores: tuple[float, ...] = ()
        self._task, self._budget, self._seed = task, budget, seed
        self._signature = task.signature
        self._rival: LearningLoss | None = None
        if isinstance(task, TaskWhoseLossLearns):
            self._rival = task.loss_for_training(seed)
        self._compute: Callable[[Batch], Tensor] = self._loss
        if budget.compile != "none":
            if self._rival is not None or teacher is not None:
                raise ValueError(
                    "a loss that learns and a teacher cannot be compiled: budget.compile=none"
                )
            mode = "reduce-overhead" if budget.compile == "cuda_graphs" else "default"
            self._compute = _compiled(self._loss, mode)
        lay_out(self, budget.memory_format)
        # Optimizers move a parameter in place, so these lists stay valid.
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        averaged = dict(self.average.named_parameters())
        self._live: list[Tensor] = list(trained.values())
        self._averaged: list[Tensor] = [averaged[name] for name in trained]

    def setup(self, stage: str) -> None:
        """Refuse a Trainer that would train otherwise than the budget says.

        Raises:
            ValueError: says which of its arguments, and what to give instead.
        """
        asked = PRECISIONS[self._budget.precision]
        if self.trainer.precision != asked:
            raise ValueError(
                f"Trainer(precision={self.trainer.precision!r}) and budget.precision="
                f"{self._budget.precision} differ: give Trainer(precision={asked!r})"
            )
        if self.trainer.world_size > 1:
            raise ValueError("every device would draw the same batches: give Trainer(devices=1)")
        if self.trainer.accumulate_grad_batches > 1:
            raise ValueError(
                "a step has one batch: give budget.batch_size, not accumulate_grad_batches"
            )

    def train_dataloader(self) -> Steps:
        """The numbers of the steps, from where the training stands."""
        return Steps(self, self._budget.judge_every or self._budget.max_steps)

    def val_dataloader(self) -> list[int]:
        """One look at the whole validation set, which the task holds."""
        return [0]

    def on_after_batch_transfer(self, batch: int, dataloader_idx: int) -> Batch | int:
        """Make a step's batch on the device where it is needed."""
        if not self.trainer.training:
            return batch
        drawn = self._task.batch(
            batch, seed=self._seed, size=self._budget.batch_size, device=self.device
        )
        inputs = {name: self._laid_out(x) for name, x in drawn.inputs.items()}
        return drawn._replace(inputs=inputs)

    def _laid_out(self, x: Tensor) -> Tensor:
        """channels_last is about images; anything else keeps its layout."""
        layout = _FORMATS[self._budget.memory_format if x.ndim == _IMAGES else "contiguous"]
        return x.contiguous(memory_format=layout)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        with _drawing(self._seed, self.global_step, self.device):
            loss = self._compute(batch)
        if self.trainer.loggers:
            self.log("train_loss", loss, batch_size=self._budget.batch_size)
        return loss

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

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Log the task's metric of the averaged weights under its name.

        Raises:
            Diverged: the outputs are not finite.
        """
        self.scores = scores_of(self.averaged_network(), self._task)
        self.log(self._task.metric.name, float(np.mean(self.scores)), batch_size=1)

    def configure_optimizers(self) -> Any:
        """The budget's optimizer under its schedule, stepped at every batch."""
        groups = parameter_groups(self.module, self._budget)
        if isinstance(self.teacher, nn.Module):
            groups += parameter_groups(self.teacher, self._budget)
        optimizer = optimizer_for(groups, self._budget)
        schedule = schedule_for(optimizer, self._budget)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """The budget's clipping; Lightning refuses a Trainer that has another."""
        self.clip_gradients(optimizer, self._budget.clip_norm, "norm")

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """A step, and the average after it: before any callback can write a checkpoint."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.update_average(self.global_step + 1)

    # Not Lightning's WeightAveraging: that copies the teacher too, and asks a GPU at each step how
    # many it has averaged, which waits for it.
    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Move the average towards the weights; early on faster, to forget the random start."""
        decay = min(self._budget.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._live, 1 - decay)

    @torch.no_grad()
    def averaged_network(self) -> nn.Module:
        """The averaged copy with the network's present buffers (batch norm's statistics)."""
        present = dict(self.module.named_buffers())
        for name, value in self.average.named_buffers():
            value.copy_(present[name])
        return self.average

    def on_fit_end(self) -> None:
        """Leave the network with its averaged weights, as `fit` does."""
        self.module.load_state_dict(self.averaged_network().state_dict())
        lay_out(self.module, "contiguous")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the loss has learned, and what this training is."""
        if self._rival is not None:
            checkpoint["loss"] = self._rival.state_dict()
        checkpoint["training"] = self._identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put back what the loss has learned.

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

    def _identity(self) -> dict[str, Any]:
        return {"seed": self._seed, "budget": self._budget.course()}


def lay_out(module: nn.Module, memory_format: str) -> None:
    """Put the weights of image layers into a memory format."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == _IMAGES:
            tensor.data = tensor.data.contiguous(memory_format=_FORMATS[memory_format])


def _compiled(function: Callable[[Batch], Tensor], mode: str) -> Callable[[Batch], Tensor]:
    return torch.compile(function, mode=mode, dynamic=False)


@contextmanager
def _drawing(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Let what is drawn at random follow from a step's number; the process's own draws go on."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    before = [generator.get_state() for generator in generators]
    drawn = int(np.random.SeedSequence((seed, step)).generate_state(1)[0])
    try:
        for generator in generators:
            generator.manual_seed(drawn)
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


class Steps(Iterable[int]):
    """The numbers of the steps, in epochs of a few.

    It can be resumed in the middle of an epoch, as Lightning asks by the two `state_dict`
    methods: where it goes on follows from the training's own step.
    """

    def __init__(self, learner: Learner, epoch: int) -> None:
        """Count on from where the learner is.

        Args:
            epoch: steps in it.
        """
        self._learner, self._epoch = learner, epoch

    def __len__(self) -> int:
        """How many an epoch has."""
        return self._epoch

    def __iter__(self) -> Iterator[int]:
        """Numbers without end: Lightning takes as many as the epoch still lacks."""
        yield from count(self._learner.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing."""

"""A task whose training batches come round again, for whom each batch is dear to prepare."""

from __future__ import annotations

import torch
from torch import Tensor

from runtime.signature import Signature
from trainers.base import Batch, Metric, Run, Task, Tensors


class FixedBatches:
    """A task whose training batches come round again, so that a teacher is asked once for each.

    It costs variety: `count` batches of crops are all that is ever seen.
    """

    def __init__(self, task: Task, count: int) -> None:
        """Wrap a task.

        Args:
            task: everything but its batches stays as it is.
            count: batches until the first one comes again.

        Raises:
            ValueError: there would be none.
        """
        if count < 1:
            raise ValueError(f"{count} batches: at least one is needed")
        self._task, self._count = task, count

    @property
    def metric(self) -> Metric:
        """The task's."""
        return self._task.metric

    @property
    def signature(self) -> Signature:
        """The task's."""
        return self._task.signature

    @property
    def crop(self) -> int:
        """The task's."""
        return self._task.crop

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """The task's batch of `step` modulo the count."""
        return self._task.batch(step % self._count, seed=seed, size=size, device=device)

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        """The task's."""
        return self._task.loss(outputs, batch)

    def scores(self, run: Run) -> tuple[float, ...]:
        """The task's."""
        return self._task.scores(run)

    def calibration(self, count: int) -> Batch:
        """The task's."""
        return self._task.calibration(count)

    def baseline(self) -> float:
        """The task's."""
        return self._task.baseline()

    @property
    def baseline_name(self) -> str:
        """The task's."""
        return self._task.baseline_name

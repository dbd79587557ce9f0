"""The types of the training room: what is learned, how much it may cost, what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    Protocol,
    Self,
    get_args,
    runtime_checkable,
)

import numpy as np
from numpy.typing import NDArray

from runtime.signature import Signature

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Pixels = NDArray[np.uint8]
Tensors = Mapping[str, "Tensor"]
Arrays = Mapping[str, NDArray[np.float32]]
"""By port: (N, C, h, w), a vector (N, C)."""
Run = Callable[[Sequence[Arrays]], Sequence[Arrays]]
"""Frames that follow each other, the inputs of each -> its outputs: a torch module or a compiled
engine. What a network carries from frame to frame it carries itself; a picture is one frame."""
PictureRun = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""The same where one picture comes in and one goes out: (N, C, h, w) -> (N, C', H, W)."""
Progress = Callable[[int, int, float], None]
"""Called now and then while training with (step, steps in all, smoothed loss).

It may raise `Interrupted`."""
Judged = Callable[[int, float], None]
"""Called with (step, the metric of the averaged weights then), where the budget asks for it."""


Criterion = Literal["l1", "random", "mean_activation", "apoz"]
CRITERIA: tuple[str, ...] = get_args(Criterion)
"""By which the channels of a layer are ranked (`trainers.prune`)."""
Digests = tuple[tuple[str, str], ...]
"""Names of pictures, each with a digest of its pixels."""


class DataError(Exception):
    """The data that was asked for is missing or unusable; the message says what to do."""


class Damaged(Exception):
    """A file is not what it was when it was written; the message says what to do."""


class Diverged(Exception):
    """Training broke down: the loss is not finite any more or has grown far beyond its best."""


class Interrupted(Exception):
    """Raised by a `Progress` to end a training there; its checkpoint is written first."""


@dataclass(frozen=True)
class Metric:
    """What a task is judged by.

    Attributes:
        mode: whether more (`max`) or less (`min`) is better.
    """

    name: str
    unit: str
    mode: Literal["max", "min"]

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`."""
        return one > other if self.mode == "max" else one < other


@dataclass(frozen=True)
class TrainReport:
    """What training left: the metric of the averaged weights and what it cost.

    Attributes:
        steps: optimizer steps taken so far, those of earlier rungs included.
        train_s: wall time of these steps, evaluation left out.
        stopped: why training ended before the step it was asked for (`out of time`), else None.
        device: what it was trained on, and in which arithmetic, as `cpu fp32`.
        scores: the metric on each validation picture, in the task's order; the metric is their
            mean. Empty in reports that were written before they were kept.
        weights_sha256: of the file of weights that the report speaks of; empty where none was
            written.
    """

    metric: float
    metric_name: str
    steps: int
    train_s: float
    stopped: str | None = None
    device: str = ""
    scores: tuple[float, ...] = ()
    weights_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        scores = tuple(map(float, data.get("scores", ())))
        return cls(**{**data, "metric": float(data["metric"]), "scores": scores})


@dataclass(frozen=True)
class QuantReport:
    """What quantization left.

    Attributes:
        metric: of the quantized network, as the engine that ships computes it.
        metric_drop: how much worse that is than before quantization; negative when it is better.
        steps: optimizer steps of fine-tuning.
        float_layers: how many layers were left in float because int8 hurt them too much.
        scores: as in `TrainReport`, of the quantized network.
        weights_sha256: of its file of weights and scales.
    """

    metric: float
    metric_drop: float
    precision: str
    steps: int
    train_s: float
    float_layers: int = 0
    scores: tuple[float, ...] = ()
    weights_sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        scores = tuple(map(float, data.get("scores", ())))
        numbers = {key: float(data[key]) for key in ("metric", "metric_drop")}
        return cls(**{**data, **numbers, "scores": scores})


@dataclass(frozen=True, eq=False)
class Example:
    """One validation sample, to be looked at.

    Attributes:
        low: the network's input, (h, w, C).
        high: what it should become, (h * scale, w * scale, C).
    """

    name: str
    low: Pixels
    high: Pixels


class Loss(Protocol):
    """One comparison of two images, least where they are equal."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) twice -> a scalar."""


@runtime_checkable
class LearningLoss(Loss, Protocol):
    """A loss with parameters of its own, which learn while the network does."""

    @property
    def learns(self) -> bool:
        """Whether there are any."""

    def for_training(self, seed: int) -> LearningLoss:
        """A fresh copy for one training; the same seed gives the same one."""

    def learn(self, prediction: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """One step on what the network has just made, before its own loss is computed."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put it back."""


@runtime_checkable
class TaskWhoseLossLearns(Protocol):
    """A task that can be minimised with a `LearningLoss`."""

    def loss_for_training(self, seed: int) -> LearningLoss | None:
        """The loss for one training, its learning parts fresh; None where nothing learns."""


class Batch(NamedTuple):
    """What a network is trained on in one step.

    Attributes:
        inputs: by port, what comes from outside: (N, C, h, w), a vector (N, C); with several
            frames (N, T, C, h, w) and (N, T, C).
        truth: what the task's loss compares the outputs with.
        frames: T; the network runs over them one after the other.
    """

    inputs: Tensors
    truth: Any
    frames: int = 1


class Task(Protocol):
    """What a network is trained for: where its data comes from and how it is judged."""

    @property
    def metric(self) -> Metric:
        """What `scores` are of."""

    @property
    def signature(self) -> Signature:
        """The inputs and outputs of its networks."""

    @property
    def crop(self) -> int:
        """Height and width of the deployment in training."""

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """One training batch of `size`, the same whenever it is asked for with these arguments."""

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        """What a network has made of a batch -> the scalar that is minimised.

        With several frames outputs are (N, T, C, H, W).
        """

    def scores(self, run: Run) -> tuple[float, ...]:
        """The metric of `run` on each validation sample, always in the same order.

        Their mean is what a network is judged by.

        Raises:
            FloatingPointError: an output is not finite.
        """

    def calibration(self, count: int) -> Batch:
        """`count` training samples, the same ones at every call."""

    @property
    def baseline_name(self) -> str:
        """What there is without any network, such as `bicubic`."""

    def baseline(self) -> float:
        """The metric without any network, to be read beside every other value of it."""


@runtime_checkable
class Shows(Protocol):
    """A task whose outputs can be looked at."""

    def examples(self) -> Sequence[Example]:
        """The validation samples as pictures, in the order of the scores."""

    def picture(self, run: Run, example: Example) -> Pixels:
        """What a network makes of one of them."""

    def unaided(self, example: Example) -> Pixels:
        """The picture without any network."""

    def judge(self, output: Pixels, example: Example) -> float:
        """The metric of one output picture."""


@runtime_checkable
class ComparesFurther(Protocol):
    """A task that tells more of a network than its metric, and has rivals that nobody trains."""

    def further(self, run: Run) -> Mapping[Metric, float]:
        """What is told beside the metric and ranks nothing."""

    def rivals(self) -> Mapping[str, Run]:
        """What there is without training, by name, run as a network is."""


@runtime_checkable
class KnowsItsPictures(Protocol):
    """A task that can say which pictures it is made of, so that others are noticed."""

    @property
    def judged_by(self) -> Digests:
        """The pictures to judge by, in the order in which they were read."""

    @property
    def trained_on(self) -> Digests:
        """The pictures to train on."""


class Teacher(Protocol):
    """Something that is consulted at every training step and adds to the task's loss: a teacher.

    One that is an `nn.Module` is trained, saved and resumed together with the network.
    """

    def attach(self, network: nn.Module) -> None:
        """Called once before training, with the network that will be trained."""

    def detach(self) -> None:
        """Called once after training, however it ended."""

    def loss(self, inputs: Tensors, outputs: Tensors) -> Tensor:
        """The inputs and what the network has just made of them -> a scalar to be added."""


@runtime_checkable
class Quantizer(Protocol):
    """A part that rounds to a few levels, as far as training has to know it.

    A network that holds one keeps the step sizes that it learns, the quantizer's own and those of
    its weights, as logarithms, in parameters with a name that ends in `scale`, or in a
    `ParameterDict` or module with a name that ends in `scales`.
    """

    def start_calibration(self) -> None:
        """From now on watch what passes, and let it pass unchanged."""

    def finish_calibration(self) -> None:
        """Set what was to be set from what was seen, and round from now on."""


@runtime_checkable
class TensorsFirst(Protocol):
    """A network with quantizers that can round its tensors while its weights are still float.

    Attributes:
        weights_rounded: whether its weights are rounded too.
    """

    weights_rounded: bool

    def round_weights(self, inputs: Sequence[Arrays]) -> None:
        """From now on round weights too, so that sums over these inputs fit."""

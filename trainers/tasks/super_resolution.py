"""Single-image super-resolution: undo a bicubic reduction, judged by PSNR of the luma."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from runtime import as_input
from runtime.signature import INPUT, OUTPUT, Signature, one_to_one
from trainers.base import (
    Batch,
    DataError,
    Example,
    LearningLoss,
    Loss,
    Metric,
    Pixels,
    Run,
    Tensors,
)
from trainers.calls import on_pictures
from trainers.data.crops import Crops, DegradedCrops
from trainers.data.degradations.base import Degradation, degrade_whole
from trainers.data.degradations.mixed import Chain
from trainers.data.degradations.resize import Bicubic
from trainers.data.degradations.rounding import Rounded
from trainers.data.detail import has_detail
from trainers.data.draws import Draws
from trainers.data.imresize import crop_to_multiple, shrink
from trainers.data.pairs import Pair
from trainers.data.photo import Photo
from trainers.data.planes import Planes, enlarge_planes
from trainers.data.sources import Photos, Sources, read_sources
from trainers.losses.pixel import SquaredError
from trainers.metrics import credited, psnr_y, to_pixels

_CALIBRATION_STEP = 2**31
"""A step that no training reaches, so that calibration has crops of its own."""
_VALIDATION_STEP = 2**31 + 1
_NAMED = 5
_SEEDS = 2**32
"""As many as every generator of random numbers takes."""


class SuperResolution:
    """Enlarge photographs by `scale`, in RGB, their luma alone or a video decoder's planes.

    Inputs are made by the papers' bicubic reduction, or by another degradation, and rounded to 8
    bits; or they are given as a folder of their own. Photographs to judge by are cut so that both
    sides of an input are a multiple of `multiple`; with 1 the numbers of the papers come out.
    """

    metric = Metric("psnr_y", "dB", "max")
    baseline_name = "bicubic"

    def __init__(
        self,
        *,
        scale: int = 2,
        data: Sources | None = None,
        crop: int = 32,
        multiple: int = 4,
        seed: int = 0,
        loss: Loss | None = None,
        degradation: Degradation | None = None,
        planes: str = "rgb",
    ) -> None:
        """Read the pictures.

        Args:
            scale: output over input size.
            data: where the photographs are; the bundled ones when None.
            crop: height and width of a training input.
            multiple: both sides of every validation input are a multiple of it.
            seed: of the split and the calibration crops.
            loss: what is minimised; the squared error when None. In trainings this short it is
                worth 0.2 dB over Charbonnier at 500 steps, a few hundredths at 1000.
            degradation: what makes an input of a photograph, its rounding to 8 bits left out; the
                bicubic reduction when None.
            planes: what a network sees and makes, taken from both pictures: `rgb`, `luma`, or
                `ycbcr420`, where sizes of inputs are those of the planes: half the picture's.

        Raises:
            DataError: a folder is missing, empty, without a usable image or too large; an image
                is broken; no picture to judge by has any detail; the degradation has another
                scale; no such planes.
        """
        self._planes = Planes(planes)
        for name, value in (("scale", scale), ("multiple", multiple), ("crop", crop)):
            if value < 1:
                raise DataError(f"task.{name} is {value}: it must be at least 1")
        if not 0 <= seed < _SEEDS:
            raise DataError(f"task.seed is {seed}: use 0 to {_SEEDS - 1}")
        if degradation is not None and degradation.scale != scale:
            raise DataError(
                f"the degradation divides the size by {degradation.scale}, the task's scale is "
                f"{scale}: give the degradation a reduction by {scale}, such as Bicubic"
            )
        self.scale, self.crop, self._seed = scale, crop, seed
        self._loss = SquaredError() if loss is None else loss
        # The papers' own reduction is told apart, for pictures to judge by are made exactly.
        self._degradation = None if degradation == Bicubic(scale) else degradation
        smallest = scale * max(crop, multiple) * self._planes.cell
        photos = read_sources(data or Sources(), smallest=smallest, scale=scale, seed=seed)
        self._crops = self._training_crops(photos)
        if photos.val_pairs:
            found = [self._given(pair, multiple) for pair in photos.val_pairs]
        else:
            found = [self._made(k, p, multiple) for k, p in enumerate(photos.val)]
        self._examples = [example for example in found if isinstance(example, Example)]
        flat = [name for name in found if isinstance(name, str)]
        self.notices = (*photos.notices, *_left_out(flat, self._examples))
        """What the reader of the pictures should know, a line each."""
        self.judged_by, self.trained_on = photos.judged_by, photos.trained_on
        self._baseline: float | None = None

    def _training_crops(self, photos: Photos) -> Crops | DegradedCrops:
        crop = self.crop * self._planes.cell
        if photos.train_pairs:
            pairs = [(pair.low, pair.high) for pair in photos.train_pairs]
            return Crops(pairs, crop=crop, scale=self.scale)
        reduction = self._degradation or Bicubic(self.scale)
        return DegradedCrops(photos.train, Chain([reduction, Rounded()]), crop=crop)

    def _made(self, number: int, photo: Photo, multiple: int) -> Example | str:
        """A validation picture whose input is made from the target, always the same way.

        Only the name of one without detail.
        """
        high = crop_to_multiple(photo.pixels, multiple * self.scale * self._planes.cell)
        if not self._judges(high):
            return photo.name
        if self._degradation is None:
            return self._example(photo.name, shrink(high, self.scale), high)
        made = degrade_whole(
            torch.from_numpy(as_input(high)),
            Chain([self._degradation, Rounded()]),
            Draws.of(self._seed, _VALIDATION_STEP, number),
        )
        return self._example(photo.name, to_pixels(made.numpy()), high)

    def _given(self, pair: Pair, multiple: int) -> Example | str:
        """A validation picture whose input was given; only the name of one without detail."""
        low = crop_to_multiple(pair.low.pixels, multiple * self._planes.cell)
        high = pair.high.pixels[: len(low) * self.scale, : low.shape[1] * self.scale]
        return self._example(pair.high.name, low, high) if self._judges(high) else pair.high.name

    def _judges(self, high: Pixels) -> bool:
        """Whether there is something in a picture that tells one network from another."""
        times = max(2, self.scale)
        return has_detail(crop_to_multiple(high, times), times)

    def _example(self, name: str, low: Pixels, high: Pixels) -> Example:
        return Example(name, self._planes.of_pixels(low), self._planes.of_pixels(high))

    @property
    def planes(self) -> str:
        """What a network sees of a picture, by its name in `trainers.data.planes`."""
        return self._planes.name

    @property
    def signature(self) -> Signature:
        """One picture in, one out: 3 channels of RGB, 1 of luma, 6 of a decoder's planes."""
        return one_to_one(self._planes.channels, self._planes.channels, self.scale)

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """Low crops (size, C, crop, crop); the truth is (size, C, crop * scale, crop * scale).

        They are cut and degraded on `device`.
        """
        low, high = self._crops.batch(step, seed=seed, size=size, device=device)
        return Batch({INPUT: self._planes.of_images(low)}, self._planes.of_images(high))

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        """The task's loss of the picture and its truth, a scalar."""
        return self._loss(outputs[OUTPUT], batch.truth)

    def loss_for_training(self, seed: int) -> LearningLoss | None:
        """The loss for one training, where a part of it learns."""
        loss = self._loss
        return loss.for_training(seed) if isinstance(loss, LearningLoss) and loss.learns else None

    def scores(self, run: Run) -> tuple[float, ...]:
        """The metric on each validation picture; PSNR counts 58.92 dB at most.

        Raises:
            FloatingPointError: an output is not finite.
        """
        return tuple(self._counted(self.picture(run, e), e) for e in self._examples)

    def picture(self, run: Run, example: Example) -> Pixels:
        """What a network makes of one picture."""
        return to_pixels(on_pictures(run)(as_input(example.low)))

    def _counted(self, output: Pixels, example: Example) -> float:
        value = self.judge(output, example)
        return credited(value) if self.metric.unit == "dB" else value

    def judge(self, output: Pixels, example: Example) -> float:
        """PSNR of the luma of one output, dB; `scale` border pixels left out."""
        return psnr_y(output, example.high, border=self.scale)

    def unaided(self, example: Example) -> Pixels:
        """What there is without a network: bicubic enlargement, as the papers compute it."""
        return enlarge_planes(example.low, self.scale)

    def calibration(self, count: int) -> Batch:
        """Training crops that no step of a training has."""
        return self.batch(_CALIBRATION_STEP, seed=self._seed, size=count)

    def examples(self) -> Sequence[Example]:
        """The validation pictures."""
        return tuple(self._examples)

    def baseline(self) -> float:
        """The metric of `unaided`."""
        if self._baseline is None:
            found = [self._counted(self.unaided(e), e) for e in self._examples]
            self._baseline = float(np.mean(found))
        return self._baseline


def _left_out(flat: Sequence[str], judged_by: Sequence[Example]) -> list[str]:
    """The line that names pictures without detail; none where there are none.

    Raises:
        DataError: there are no others.
    """
    if not flat:
        return []
    more = f" and {len(flat) - _NAMED} more" if len(flat) > _NAMED else ""
    named = f"{', '.join(flat[:_NAMED])}{more}"
    if not judged_by:
        raise DataError(
            f"no picture to judge by has any detail ({named}): each is of one colour or nearly "
            "so, and tells no network from another: name others with task.data.val"
        )
    return [
        f"not judged by {named}: of one colour or nearly so, without detail that tells one "
        "network from another"
    ]

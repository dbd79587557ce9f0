"""Single-image super-resolution: undo a bicubic reduction, judged by PSNR of the luma."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainers.base import DataError, Example, Loss, Metric, Pixels, Run
from trainers.data import bundled
from trainers.data.crops import Crops
from trainers.data.folder import read_folder, split
from trainers.data.imresize import crop_to_multiple, enlarge, shrink
from trainers.data.photo import Photo
from trainers.data.sources import BUNDLED, Sources
from trainers.losses.pixel import SquaredError
from trainers.metrics import psnr_y, to_pixels

_CALIBRATION_STEP = 2**31
"""A step that no training reaches, so that calibration has crops of its own."""


class SuperResolution:
    """Enlarge RGB photographs by `scale`.

    Low-resolution pictures are made once from the whole photograph by the papers' bicubic
    reduction and rounded to 8 bits. Photographs are cut so that both low-resolution sides are a
    multiple of `multiple`; with 1 the numbers of the papers come out.
    """

    metric = Metric("psnr_y", "dB", "max")
    in_channels = 3
    out_channels = 3

    def __init__(
        self,
        *,
        scale: int = 2,
        data: Sources | None = None,
        crop: int = 32,
        multiple: int = 4,
        seed: int = 0,
        loss: Loss | None = None,
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

        Raises:
            DataError: a folder is missing, empty, without a usable image or too large.
        """
        self.scale, self.crop, self._seed = scale, crop, seed
        self._loss = SquaredError() if loss is None else loss
        notices: list[str] = []
        smallest = scale * max(crop, multiple)
        photos, held_out = _read(data or Sources(), smallest, seed, notices)
        self.notices = tuple(notices)
        """What the reader of the pictures should know, a line each."""
        self._crops = Crops([self._pair(p, multiple) for p in photos], crop=crop, scale=scale)
        self._examples = [Example(p.name, *self._pair(p, multiple)) for p in held_out]
        self._baseline: float | None = None

    def _pair(self, photo: Photo, multiple: int) -> tuple[Pixels, Pixels]:
        high = crop_to_multiple(photo.pixels, multiple * self.scale)
        return shrink(high, self.scale), high

    def batch(self, step: int, *, seed: int, size: int) -> tuple[Tensor, Tensor]:
        """Low (size, 3, crop, crop) and high (size, 3, crop * scale, crop * scale) crops."""
        return self._crops.batch(step, seed=seed, size=size)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(N, 3, H, W) twice -> a scalar."""
        return self._loss(prediction, target)

    def evaluate(self, run: Run) -> float:
        """Mean PSNR of the luma over the validation pictures, dB; `scale` border pixels left out.

        Raises:
            FloatingPointError: an output is not finite.
        """
        return float(np.mean([self.evaluate_one(run, example) for example in self._examples]))

    def evaluate_one(self, run: Run, example: Example) -> float:
        """PSNR of the luma of one picture, dB."""
        output = to_pixels(run(as_input(example.low)))
        return psnr_y(output, example.high, border=self.scale)

    def calibration(self, count: int) -> list[NDArray[np.float32]]:
        """Training inputs, each (1, 3, crop, crop)."""
        low, _ = self._crops.batch(_CALIBRATION_STEP, seed=self._seed, size=count)
        pixels: NDArray[np.float32] = low.numpy()
        return [pixels[k : k + 1] for k in range(count)]

    def examples(self) -> Sequence[Example]:
        """The validation pictures."""
        return tuple(self._examples)

    def baseline(self) -> float:
        """The metric of bicubic enlargement, as the papers compute it."""
        if self._baseline is None:
            psnrs = [
                psnr_y(enlarge(e.low, self.scale), e.high, border=self.scale)
                for e in self._examples
            ]
            self._baseline = float(np.mean(psnrs))
        return self._baseline


def as_input(pixels: Pixels) -> NDArray[np.float32]:
    """(h, w, 3) -> (1, 3, h, w) in [0, 1]."""
    channels = pixels.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(channels)


def _read(
    sources: Sources, smallest: int, seed: int, notices: list[str]
) -> tuple[list[Photo], list[Photo]]:
    """Training and validation photographs, none in both; lines worth telling go to `notices`."""
    train, val = sources.train, sources.val

    def read(folder: str) -> list[Photo]:
        path = Path(folder).expanduser()
        found = read_folder(path, smallest=smallest, max_gib=sources.max_gib)
        notice = found.notice()
        if notice is not None:
            notices.append(notice)
        return list(found.photos)

    photos = bundled.training_photos() if train == BUNDLED else read(train)
    if val is not None:
        held_out = bundled.validation_photos() if val == BUNDLED else read(val)
    elif train == BUNDLED:
        return photos, bundled.validation_photos()
    else:
        photos, held_out = split(photos, seed=seed)
    seen = {_fingerprint(photo) for photo in held_out}
    kept = [photo for photo in photos if _fingerprint(photo) not in seen]
    if len(kept) < len(photos):
        notices.append(
            f"{len(photos) - len(kept)} training images are also validation images "
            "and were left out of training"
        )
    if not kept:
        raise DataError(f"every image in {train} is also a validation image: name other folders")
    return kept, held_out


def _fingerprint(photo: Photo) -> tuple[tuple[int, ...], bytes]:
    return photo.pixels.shape, hashlib.sha256(photo.pixels.tobytes()).digest()

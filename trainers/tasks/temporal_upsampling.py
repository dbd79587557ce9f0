"""Temporal upsampling: a renderer's frames of one sample a pixel, enlarged with their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from runtime.moving import COLOUR, PICTURE, moving
from runtime.signature import OUTPUT, Signature
from trainers.base import Arrays, Batch, DataError, Example, Metric, Pixels, Run, Tensors
from trainers.data.rendered.accumulation import Accumulation
from trainers.data.rendered.clips import RenderedClip
from trainers.data.rendered.sources import Renders, digests
from trainers.data.rendered.standing import require_calm
from trainers.data.rendered.stretches import Stretches, whole_frames
from trainers.losses.pixel import L1
from trainers.losses.temporal import TemporalConsistency
from trainers.losses.terms import Terms
from trainers.metrics import credited, psnr_rgb
from trainers.metrics.temporal import FLICKER, flicker

_CALIBRATION_STEP = 2**31
"""A step that no training reaches, so that calibration has stretches of its own."""
_SEEDS = 2**32


class TemporalUpsampling:
    """Enlarge what a renderer gives, by PSNR over whole clips; flicker is told beside it.

    A network sees each frame's colour, depth, motion and jitter, and what it remembered itself
    (`runtime.moving`). What it should give is the mean of many samples in every pixel.
    """

    metric = Metric("psnr", "dB", "max")
    baseline_name = "bicubic"
    accumulated_name = "accumulation"
    """What games do without a network (`Accumulation`)."""
    scales: Sequence[int] = (2, 3, 4)

    def __init__(
        self,
        *,
        scale: int = 2,
        data: Renders | None = None,
        crop: int = 48,
        frames: int = 6,
        memory: str = PICTURE,
        hidden: int = 8,
        seed: int = 0,
        loss: Terms | None = None,
    ) -> None:
        """Render the clips that are not there yet, or read the user's own.

        Args:
            scale: size of the picture over that of the colour.
            data: where the clips are; rendered ones when None.
            crop: height and width of a training input.
            frames: that a network is unrolled over in training.
            memory: what it carries: `none`, the last `picture`, or `features`.
            hidden: how many of the latter.
            seed: of the scenes to train on and of the calibration.
            loss: what is minimised; L1 and as much of the temporal consistency when None.

        Raises:
            DataError: the clips are missing, broken, too short or too small, or cannot be kept.
            InvalidSignature: no such memory.
        """
        data = data or Renders()
        if scale not in self.scales:
            known = " or ".join(map(str, self.scales))
            raise DataError(f"task.scale is {scale}: {type(self).__name__} needs {known}")
        for name, value in (("crop", crop), ("frames", frames)):
            if value < 2:
                raise DataError(f"task.{name} is {value}: it must be at least 2")
        if not 0 <= seed < _SEEDS:
            raise DataError(f"task.seed is {seed}: use 0 to {_SEEDS - 1}")
        self.signature: Signature = moving(scale, memory=memory, hidden=hidden)
        self.scale, self.crop, self._frames, self._seed = scale, crop, frames, seed
        self._loss = loss or Terms({"l1": L1(), "temporal": TemporalConsistency()})
        train, judged = data.to_train(scale=scale, seed=seed), data.to_judge(scale=scale)
        _check(train, frames=frames, crop=crop, field="task.data.frames")
        _check(judged, frames=2, crop=2, field="task.data.val_frames")
        self._stretches, self._judged = Stretches(train, crop=crop, frames=frames), judged
        self.trained_on, self.judged_by = digests(train), digests(judged)
        self._unaided: dict[str, Pixels] = {}
        self.notices = (self._compared(),)
        """What the reader of the pictures should know, a line each."""

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Batch:
        """Stretches of clips; the truth is the picture and its flow, a pair."""
        drawn = self._stretches.batch(step, seed=seed, size=size, device=device)
        return Batch(drawn.inputs, (drawn.picture, drawn.flow), self._frames)

    def loss(self, outputs: Tensors, batch: Batch) -> Tensor:
        """Of the pictures, and of how they change from frame to frame, a scalar."""
        picture, flow = batch.truth
        return self._loss(outputs[OUTPUT], picture, flow=flow)

    def calibration(self, count: int) -> Batch:
        """Training stretches that no step of a training has."""
        return self.batch(_CALIBRATION_STEP, seed=self._seed, size=count)

    def scores(self, run: Run) -> tuple[float, ...]:
        """PSNR of each clip, of all its frames together.

        Raises:
            FloatingPointError: an output is not finite, or runs away where nothing moves.
        """
        if self.signature.carried:
            require_calm(run, self._judged[0])
        return tuple(credited(self.judge(self.picture(run, e), e)) for e in self.examples())

    def examples(self) -> Sequence[Example]:
        """Clips as pictures, their frames one below the other."""
        return tuple(
            Example(clip.name, _strip(clip.colour), _strip(clip.reference))
            for clip in self._judged
        )

    def picture(self, run: Run, example: Example) -> Pixels:
        """All frames that a network makes of a clip, one below the other."""
        made = run(whole_frames(self._clip(example)))
        return _strip(np.concatenate([_pixels(one[OUTPUT]) for one in made]))

    def judge(self, output: Pixels, example: Example) -> float:
        """PSNR over all frames and channels, dB; `scale` pixels at the sides are left out."""
        sides = (slice(None), slice(self.scale, -self.scale))
        return psnr_rgb(output[sides], example.high[sides], border=0)

    def unaided(self, example: Example) -> Pixels:
        """What there is without a network and without a history."""
        if example.name not in self._unaided:
            self._unaided[example.name] = self.picture(self._still, example)
        return self._unaided[example.name]

    def baseline(self) -> float:
        """The metric of `unaided`."""
        every = self.examples()
        return float(np.mean([credited(self.judge(self.unaided(e), e)) for e in every]))

    def further(self, run: Run) -> Mapping[Metric, float]:
        """What is told of a network beside the metric: its flicker."""
        found = []
        for clip, example in zip(self._judged, self.examples(), strict=True):
            made = self.picture(run, example)
            found.append(self._flicker(made, clip))
        return {FLICKER: float(np.mean(found))}

    def rivals(self) -> Mapping[str, Run]:
        """Each frame by itself, and what games do."""
        return {self.baseline_name: self._still, self.accumulated_name: self._accumulated}

    def _accumulated(self, frames: Sequence[Arrays]) -> list[Arrays]:
        return [{OUTPUT: made} for made in Accumulation(self.scale).over(frames)]

    def _still(self, frames: Sequence[Arrays]) -> list[Arrays]:
        return [{OUTPUT: self._enlarged(frame[COLOUR])} for frame in frames]

    def _enlarged(self, colour: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is made of one frame without a history, (1, 3, h, w) -> (1, 3, H, W)."""
        made: NDArray[np.float32] = functional.interpolate(
            torch.from_numpy(colour), scale_factor=self.scale, mode="bicubic", align_corners=False
        ).numpy()
        return made

    def _flicker(self, strip: Pixels, clip: RenderedClip) -> float:
        height = clip.reference.shape[2]
        made = [strip[t * height : (t + 1) * height] for t in range(clip.frames)]
        truth = [frame.transpose(1, 2, 0) for frame in clip.reference]
        return flicker(made, truth, flow=clip.reference_motion[1:])

    def _clip(self, example: Example) -> RenderedClip:
        return next(clip for clip in self._judged if clip.name == example.name)

    def _compared(self) -> str:
        """One line on what there is without a network."""
        told = [
            f"{name} {np.mean(self.scores(run)):.2f} dB and a flicker of "
            f"{self.further(run)[FLICKER]:.2f} levels"
            for name, run in self.rivals().items()
        ]
        return f"without a network, over {len(self._judged)} clips: {', '.join(told)}"


def _check(clips: Sequence[RenderedClip], *, frames: int, crop: int, field: str) -> None:
    """Refuse clips that no stretch fits into.

    Raises:
        DataError: names one.
    """
    for clip in clips:
        if clip.frames < frames:
            raise DataError(
                f"{clip.name} has {clip.frames} frames and task.frames is {frames}: give fewer, "
                f"or longer clips ({field})"
            )
        smallest = min(clip.colour.shape[2:])
        if smallest < crop:
            raise DataError(
                f"{clip.name} is {smallest} pixels wide or high and task.crop is {crop}: give a "
                "smaller crop, or larger clips"
            )


def _strip(frames: NDArray[np.uint8]) -> Pixels:
    """(T, 3, H, W) -> (T * H, W, 3)."""
    count, _, height, width = frames.shape
    return np.ascontiguousarray(frames.transpose(0, 2, 3, 1)).reshape(count * height, width, 3)


def _pixels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(1, 3, H, W) in [0, 1] -> levels.

    Raises:
        FloatingPointError: it is not finite.
    """
    if not np.isfinite(picture).all():
        raise FloatingPointError("the output is not finite")
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)

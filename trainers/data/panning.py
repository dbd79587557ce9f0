"""Clips with a motion that is known exactly: a camera that moves over a still photograph.

Temporal losses need to know where each pixel was in the frame before. Between real frames that
has to be estimated; here it follows from the camera's path, for every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.degradations.base import Degradation, check_range, degrade_crops
from trainers.data.draws import Draws, Range
from trainers.data.imresize import cubic
from trainers.data.photo import Photo
from trainers.data.pictures import Pictures

_TAPS = 2


@dataclass(frozen=True)
class CameraPath:
    """How the camera moves from one frame to the next, drawn anew for each clip.

    Attributes:
        pan: speed in pixels of the clean picture per frame, in any direction.
        shake: standard deviation of what is added to each step, in pixels, cut off at twice it.
        zoom: speed in percent per frame, in or out.
    """

    pan: Range = (0.0, 4.0)
    shake: float = 0.3
    zoom: float = 0.0

    def __post_init__(self) -> None:
        """Refuse senseless speeds.

        Raises:
            ValueError: says what is possible.
        """
        check_range("pan", self.pan, least=0.0, most=64.0)
        for name, most in (("shake", 16.0), ("zoom", 10.0)):
            check_range(name, (0.0, getattr(self, name)), least=0.0, most=most)

    def reach(self, frames: int, side: int) -> int:
        """Pixels beyond a crop of `side` that a clip of so many frames may show."""
        half = (frames - 1) / 2
        # A whole path is centred, but shaking may take all its steps in one direction.
        shift = half * self.pan[1] + (frames - 1) * 2 * self.shake
        grown = math.pow(1 + self.zoom / 100, half)
        return math.ceil(shift + side / 2 * (grown - 1)) + _TAPS


@dataclass(frozen=True, eq=False)
class MovingBatch:
    """Clips and their motion.

    Attributes:
        low: inputs, (N, T, 3, crop, crop).
        high: clean frames, (N, T, 3, crop * scale, crop * scale).
        flow: (N, T - 1, 2, H, W) in pixels of the clean frames, x (to the right) first: the pixel
            at (x, y) of frame t + 1 was at (x + flow[:, t, 0], y + flow[:, t, 1]) in frame t.
    """

    low: Tensor
    high: Tensor
    flow: Tensor


class PannedCrops:
    """Clips made of still photographs; the same step and seed give the same batch."""

    def __init__(
        self,
        photos: Sequence[Photo],
        degradation: Degradation,
        *,
        crop: int,
        frames: int,
        path: CameraPath | None = None,
    ) -> None:
        """Take the photographs over.

        Args:
            photos: stills; both sides are at least `crop` times the degradation's scale. Beyond
                their edges they are mirrored.
            degradation: what makes the inputs, frame by frame.
            crop: height and width of an input.
            frames: of a clip.
            path: how the camera moves.

        Raises:
            ValueError: a clip of one frame does not move.
        """
        if frames < 2:
            raise ValueError(f"{frames} frames: two or more make a clip")
        self._pictures, self._degradation = Pictures.of(photos), degradation
        self._side, self._frames = crop * degradation.scale, frames
        self._path = path or CameraPath()

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> MovingBatch:
        """Clips of `size` photographs and their motion."""
        draws = Draws.of(seed, step, device=device, repeat=self._frames)
        side, frames = self._side, self._frames
        picks = self._pictures.draw(draws.host, size=size, side=side)
        poses = camera_poses(self._path, draws.host, clips=size, frames=frames)

        def cut(margin: int) -> Tensor:
            reach = self._path.reach(frames, side + 2 * margin) + margin
            wide = self._pictures.cut(picks, side=side, margin=reach, device=device)
            return film(wide, poses, side=side + 2 * margin).flatten(0, 1)

        low, high = degrade_crops(cut, self._degradation, draws)
        flow = known_flow(poses, side=side).to(high.device)
        return MovingBatch(
            low.view(size, frames, *low.shape[1:]), high.view(size, frames, *high.shape[1:]), flow
        )


@dataclass(frozen=True, eq=False)
class Poses:
    """Where the pixels of each frame lie in the still: zoom * place + shift, from its middle.

    Attributes:
        zoom: (clips, frames).
        shift: (clips, frames, 2), pixels, x first.
    """

    zoom: NDArray[np.float64]
    shift: NDArray[np.float64]


def camera_poses(
    path: CameraPath, random: np.random.Generator, *, clips: int, frames: int
) -> Poses:
    """Draw paths, centred in time."""
    middle = np.arange(frames) - (frames - 1) / 2
    direction, speed = random.uniform(0, 2 * np.pi, clips), random.uniform(*path.pan, clips)
    steps = np.stack([np.cos(direction) * speed, np.sin(direction) * speed], axis=-1)[:, None]
    shakes = np.clip(random.standard_normal((clips, frames, 2)), -2, 2) * path.shake
    shakes = np.cumsum(shakes, axis=1)
    shift = steps * middle[:, None] + shakes - shakes[:, frames // 2, None]
    zoom = (1 + random.uniform(-path.zoom, path.zoom, (clips, 1)) / 100) ** middle
    return Poses(zoom, shift)


def film(stills: Tensor, poses: Poses, *, side: int) -> Tensor:
    """What the camera sees, by Keys' cubic convolution between the pixels of the still.

    Args:
        stills: (N, C, L, L).
        poses: of N clips of T frames.
        side: height and width of a frame.

    Returns:
        (N, T, C, side, side), clipped to [0, 1].
    """
    length = stills.shape[-1]
    across, down = (
        torch.from_numpy(_sampling(poses.zoom, poses.shift[..., axis], side, length))
        .to(stills.device, stills.dtype)
        .unsqueeze(2)
        for axis in (0, 1)
    )
    return (down @ stills[:, None] @ across.transpose(-1, -2)).clamp(0.0, 1.0)


def _sampling(
    zoom: NDArray[np.float64], shift: NDArray[np.float64], side: int, length: int
) -> NDArray[np.float64]:
    """(N, T, side, length): which pixels of the still make each pixel along one axis."""
    place = zoom[..., None] * _frame(side) + shift[..., None] + (length - 1) / 2
    index = np.floor(place)[..., None].astype(np.int64) + np.arange(-1, 3)
    weight = cubic(place[..., None] - index)
    matrix: NDArray[np.float64] = np.zeros((*place.shape, length))
    np.put_along_axis(matrix, np.clip(index, 0, length - 1), weight, axis=-1)
    return matrix


def known_flow(poses: Poses, *, side: int) -> Tensor:
    """The motion that follows from the poses, (N, T - 1, 2, side, side), see `MovingBatch`."""
    before, ratio = poses.zoom[:, :-1, None], poses.zoom[:, 1:] / poses.zoom[:, :-1]
    moved = (poses.shift[:, 1:] - poses.shift[:, :-1]) / before
    along = (ratio[..., None] - 1) * _frame(side)
    x = along[:, :, None, :] + moved[..., 0, None, None]
    y = along[:, :, :, None] + moved[..., 1, None, None]
    flow = np.stack(np.broadcast_arrays(x, y), axis=2)
    return torch.from_numpy(flow.astype(np.float32))


def _frame(side: int) -> NDArray[np.float64]:
    """(side,): the pixels along one axis, seen from the middle."""
    return np.arange(side, dtype=np.float64) - (side - 1) / 2

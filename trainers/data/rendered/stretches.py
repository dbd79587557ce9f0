"""Stretches of rendered clips for training, and frames of whole ones as a network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.moving import COLOUR, DEPTH, JITTER, MOTION
from trainers.base import Arrays
from trainers.data.rendered.clips import RenderedClip

_WHITE = np.float32(255)


@dataclass(frozen=True, eq=False)
class Stretch:
    """A batch of stretches.

    Attributes:
        inputs: by port, (N, T, C, crop, crop).
        picture: (N, T, 3, crop * scale, crop * scale), in [0, 1].
        flow: (N, T - 1, 2, H, W) in pixels of the picture, as `losses.motion.warp` reads it; far
            outside where something was hidden in the frame before.
    """

    inputs: dict[str, Tensor]
    picture: Tensor
    flow: Tensor


class Stretches:
    """Pieces of clips, cut at one place through some frames that follow each other.

    All places and moments are equally likely, and so are the four ways to mirror a piece.
    """

    def __init__(self, clips: Sequence[RenderedClip], *, crop: int, frames: int) -> None:
        """Take the clips over.

        Args:
            clips: with `frames` frames or more, as large as a crop or larger.
            crop: height and width of an input.
            frames: of a stretch.
        """
        self._clips, self._crop, self._frames = clips, crop, frames

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> Stretch:
        """The stretches of a step; the same step and seed give the same ones."""
        random = np.random.default_rng((seed, step))
        cuts = [self._cut(random) for _ in range(size)]

        def stacked(name: str) -> Tensor:
            return torch.from_numpy(np.stack([cut[name] for cut in cuts])).to(device)

        inputs = {name: stacked(name) for name in (COLOUR, DEPTH, MOTION, JITTER)}
        return Stretch(inputs, stacked("picture"), stacked("flow"))

    def _cut(self, random: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        clip = self._clips[int(random.integers(len(self._clips)))]
        first = int(random.integers(clip.frames - self._frames + 1))
        height, width = clip.colour.shape[2:]
        top, left = (int(random.integers(side - self._crop + 1)) for side in (height, width))
        mirrored = random.integers(2, size=2) > 0
        times = slice(first, first + self._frames)
        arrays = frames_of(clip, times, (top, left), self._crop)
        return {name: _mirrored(name, values, mirrored) for name, values in arrays.items()}


def frames_of(
    clip: RenderedClip, times: slice, corner: tuple[int, int], crop: int
) -> dict[str, NDArray[np.float32]]:
    """Some frames of a clip, cut at a place, by name: (T, C, h, w) each."""
    top, left = corner
    low = (times, slice(None), slice(top, top + crop), slice(left, left + crop))
    scale = clip.scale
    high = (
        times, slice(None), slice(top * scale, (top + crop) * scale),
        slice(left * scale, (left + crop) * scale),
    )
    inputs = _inputs(clip.colour[low], clip.depth[low], clip.motion[low], clip.jitter[times])
    picture = clip.reference[high].astype(np.float32) / _WHITE
    return {**inputs, "picture": picture, "flow": clip.reference_motion[high][1:].astype("f4")}


def whole_frames(clip: RenderedClip) -> list[Arrays]:
    """All frames of a clip as a network takes them, (1, C, h, w) by port."""
    inputs = _inputs(clip.colour, clip.depth, clip.motion, clip.jitter)
    return [{name: x[t : t + 1] for name, x in inputs.items()} for t in range(clip.frames)]


def _inputs(
    colour: NDArray[np.uint8],
    depth: NDArray[np.float16],
    motion: NDArray[np.float16],
    jitter: NDArray[np.float32],
) -> dict[str, NDArray[np.float32]]:
    height, width = colour.shape[2:]
    away = depth.astype(np.float32)
    offsets = np.broadcast_to(jitter[:, :, None, None], (*jitter.shape, height, width))
    return {
        COLOUR: colour.astype(np.float32) / _WHITE,
        DEPTH: 1 / (1 + away),
        MOTION: _of_the_nearest(motion.astype(np.float32), away),
        JITTER: np.ascontiguousarray(offsets, np.float32),
    }


def _of_the_nearest(
    motion: NDArray[np.float32], depth: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The motion of the nearest surface among 3 x 3 pixels, so that outlines move with what is
    before them and not with what is behind.
    """
    height, width = depth.shape[2:]
    around = np.pad(depth, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge")
    moved = np.pad(motion, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge")
    nearest, found = depth, motion
    for top in range(3):
        for left in range(3):
            window = (..., slice(top, top + height), slice(left, left + width))
            nearer = around[window] < nearest
            nearest = np.where(nearer, around[window], nearest)
            found = np.where(nearer, moved[window], found)
    return found


def _mirrored(
    name: str, values: NDArray[np.float32], mirrored: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Turned left to right and upside down as asked; so are what points along x and y."""
    across, down = mirrored
    if across:
        values = values[..., ::-1]
    if down:
        values = values[..., ::-1, :]
    if name in (MOTION, JITTER, "flow"):
        signs = np.where(mirrored, -1, 1).astype(np.float32)
        values = values * signs[:, None, None]
    return np.ascontiguousarray(values)

"""Rendered clips on disk: each is made once, and a process that is killed loses one at most.

A clip is a folder of arrays, written aside and renamed. Where it lies follows from how it was
made, so whoever asks for the same finds it, and asking for more clips only adds some.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.base import DataError
from trainers.data.decoded_cache import default_home, only_one
from trainers.data.rendered.renderer import (
    Film,
    jitter_at,
    motion_where_seen,
    reference,
    shown,
    surfaces,
)
from trainers.data.rendered.scene import drawn_scene

VERSION = 1
"""Of the renderer: another one makes other pictures of the same seeds."""
ARRAYS = ("colour", "depth", "motion", "jitter", "reference", "reference_motion")
EXTRAS = ("albedo", "normal")
_PERIOD = 16
_RANGES = {"frames": (2, 1000), "size": (8, 4096), "scale": (1, 4), "samples": (1, 64)}


@dataclass(frozen=True)
class Making:
    """How clips are rendered.

    Attributes:
        frames: of a clip.
        size: height and width of what a network takes, in pixels.
        scale: by how much the reference is larger.
        samples: the reference has so many squared in each of its pixels, where there is detail.
    """

    frames: int = 8
    size: int = 128
    scale: int = 2
    samples: int = 4

    def __post_init__(self) -> None:
        """Refuse what cannot be rendered.

        Raises:
            DataError: a field is out of its range.
        """
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise DataError(
                    f"rendered clips have {name}={getattr(self, name)}: use {least} to {most}"
                )


@dataclass(frozen=True, eq=False)
class RenderedClip:
    """Frames that follow each other; T of them, h x w pixels in and H x W out.

    Attributes:
        colour: one sample a pixel, (T, 3, h, w), uint8.
        depth: (T, 1, h, w), along the camera's axis.
        motion: (T, 2, h, w) in pixels, x first: what is at x was at x + motion in the frame before
            (as `Warp` reads it); the camera's jitter left out.
        jitter: (T, 2), where in its pixel each sample was taken, x and y in [-0.5, 0.5).
        reference: the mean of many samples, (T, 3, H, W), uint8.
        reference_motion: (T, 2, H, W) in its own pixels, without jitter; far outside of the
            picture where something was hidden in the frame before.
        albedo, normal: (T, 3, h, w), colours of surfaces as uint8 and directions as int8, 127
            for 1; None where they are not known.
    """

    name: str
    colour: NDArray[np.uint8]
    depth: NDArray[np.float16]
    motion: NDArray[np.float16]
    jitter: NDArray[np.float32]
    reference: NDArray[np.uint8]
    reference_motion: NDArray[np.float16]
    albedo: NDArray[np.uint8] | None = None
    normal: NDArray[np.int8] | None = None

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.colour)

    @property
    def scale(self) -> int:
        """Size of the reference over that of the colour."""
        return int(self.reference.shape[-1] // self.colour.shape[-1])


def rendered_clips(
    seeds: Sequence[int], making: Making, *, home: Path | None = None
) -> tuple[RenderedClip, ...]:
    """The clips of these seeds; those that are missing are rendered first, on all cores.

    Args:
        home: where they are kept; `rendered` in the user's cache when None.

    Raises:
        DataError: they cannot be written.
    """
    key = hashlib.sha256(json.dumps([VERSION, asdict(making)]).encode()).hexdigest()[:16]
    place = (default_home().with_name("rendered") if home is None else home) / key
    try:
        place.mkdir(parents=True, exist_ok=True)
        found = {seed: _opened(place / _name(seed)) for seed in seeds}
        missing = [seed for seed, clip in found.items() if clip is None]
        if missing:
            with only_one(place):
                _make(place, missing, making)
            found |= {seed: _opened(place / _name(seed)) for seed in missing}
    except OSError as error:
        raise DataError(
            f"rendered clips cannot be kept in {place} ({error}): make room, or set "
            "XDG_CACHE_HOME to a folder with more"
        ) from error
    clips = [found[seed] for seed in seeds]
    if any(clip is None for clip in clips):
        raise DataError(f"rendered clips in {place} were removed meanwhile: run it again")
    return tuple(clip for clip in clips if clip is not None)


def render(seed: int, making: Making) -> dict[str, NDArray[np.generic]]:
    """The arrays of one clip, by name; the same seed gives the same bytes."""
    scene, scale = drawn_scene(seed), making.scale
    small = Film(making.size, making.size * scale)
    large = Film(making.size * scale, making.size * scale)
    random = torch.Generator().manual_seed(seed)
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in (*ARRAYS, *EXTRAS)}
    for frame in range(making.frames):
        jitter = jitter_at(frame + seed, period=_PERIOD)
        seen = surfaces(scene, frame, small, jitter=jitter, random=random)
        light = reference(scene, frame, large, samples=making.samples, random=random)
        moved = motion_where_seen(scene, frame, large)
        made = {
            "colour": shown(seen.colour), "depth": seen.depth.half(),
            "motion": seen.motion.half(), "jitter": torch.tensor(jitter),
            "reference": shown(light), "reference_motion": moved.half(),
            "albedo": (seen.albedo.clamp(0, 1) * 255).round().to(torch.uint8),
            "normal": (seen.normal * 127).round().to(torch.int8),
        }
        for name, values in made.items():
            found[name].append(values.numpy())
    return {name: np.stack(frames) for name, frames in found.items()}


def _name(seed: int) -> str:
    return f"clip-{seed:010d}"


def _make(place: Path, seeds: Sequence[int], making: Making) -> None:
    """Render what is still missing and tell how far it is; nobody else writes here meanwhile."""
    for left_over in place.glob("*.part"):
        shutil.rmtree(left_over)
    seeds = [seed for seed in seeds if _opened(place / _name(seed)) is None]
    for seed in seeds:
        shutil.rmtree(place / _name(seed), ignore_errors=True)

    def write(seed: int) -> None:
        aside = place / f"{_name(seed)}.part"
        aside.mkdir()
        for name, values in render(seed, making).items():
            np.save(aside / f"{name}.npy", values)
        aside.rename(place / _name(seed))

    workers = max(1, min(os.cpu_count() or 1, len(seeds)))
    # Tensors of a few thousand rays: threads inside of one operation would only wait.
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        jobs = [pool.submit(write, seed) for seed in seeds]
        try:
            for done, job in enumerate(jobs, start=1):
                job.result()
                _tell(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _tell(done: int, total: int) -> None:
    """One line that is written over on a terminal, every tenth otherwise."""
    terminal = sys.stderr.isatty()
    if terminal or done == total or done % max(1, total // 10) == 0:
        end = "\r" if terminal and done < total else "\n"
        print(f"rendering clips, once: {done} of {total}", end=end, file=sys.stderr, flush=True)


def _opened(folder: Path) -> RenderedClip | None:
    """Map a clip; None where there is none, or it is torn."""
    try:
        return clip_of(folder.name, {
            # Copy on write: nothing writes, and torch warns about arrays that are read-only.
            name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in (*ARRAYS, *EXTRAS)
        })
    except (FileNotFoundError, ValueError, EOFError):
        return None


def clip_of(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> RenderedClip:
    """A clip of its arrays."""
    return RenderedClip(name, **dict(arrays))  # type: ignore[arg-type]


def stretches(clips: Sequence[RenderedClip], frames: int) -> Iterator[tuple[int, int]]:
    """Every clip's number with each frame where a stretch of so many begins."""
    for number, clip in enumerate(clips):
        for first in range(clip.frames - frames + 1):
            yield number, first

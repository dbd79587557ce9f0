"""Moving pictures: folders of frames and video files, decoded once, for temporal tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainers.base import DataError
from trainers.data.decode import SUFFIXES, BrokenImage, is_image
from trainers.data.decoded_cache import MAX_GIB, Decoded, DecodedCache, decoded_once, state_of
from trainers.data.degradations.base import Degradation, degrade_crops
from trainers.data.draws import Draws
from trainers.data.files import Skipped, files_under, name_in, printable
from trainers.data.folder import any_deep, decoded, refuse_broken
from trainers.data.photo import Photo
from trainers.data.pictures import Pictures
from trainers.data.video import VIDEO_SUFFIXES, is_video, read_frames

MOST_FRAMES = 1000
_NUMBER = re.compile(r"(\d+)")
_FRAME = "#"


@dataclass(frozen=True)
class Clip:
    """Pictures that follow each other, all of one size.

    Attributes:
        name: the folder or video file, inside the folder that was read.
    """

    name: str
    frames: tuple[Photo, ...]


@dataclass(frozen=True)
class Clips:
    """What a folder held.

    Attributes:
        skipped: files and clips that were left out.
    """

    root: Path
    clips: tuple[Clip, ...]
    skipped: tuple[Skipped, ...]

    def notice(self) -> str | None:
        """One line on what was left out, or None."""
        if not self.skipped:
            return None
        named = ", ".join(f"{s.name} ({s.reason})" for s in self.skipped[:5])
        more = f", and {len(self.skipped) - 5} more" if len(self.skipped) > 5 else ""
        return f"{printable(self.root)}: skipped {named}{more}"


def read_clips(
    root: Path,
    *,
    frames: int,
    smallest: int,
    most_frames: int = MOST_FRAMES,
    max_gib: float = MAX_GIB,
    skip_broken: bool = False,
    home: Path | None = None,
) -> Clips:
    """Every clip under a folder: each folder with images is one, and each video file is one.

    Frames of a folder follow each other by the numbers in their names (frame2 before frame10).

    Args:
        root: the folder.
        frames: that a clip must have at least.
        smallest: pixels that both sides of a frame must have.
        most_frames: of each video file that are decoded, from its beginning.
        max_gib: disk space that the decoded frames may take.
        skip_broken: leave out clips with a frame that cannot be decoded; otherwise refused.
        home: where decoded frames are kept; in the user's cache when None.

    Raises:
        DataError: the folder is missing or empty, holds no usable clip or a broken one, or its
            frames take too much disk; or PyAV is missing where there is a video.
    """
    known = ", ".join((*SUFFIXES, *VIDEO_SUFFIXES))
    files = files_under(root, f"folders of frames, or videos ({known})")
    usable = [path for path in files.paths if is_image(path) or is_video(path)]
    usable.sort(key=lambda path: natural(name_in(root, path)))
    cache = decoded_once(
        lambda: _decoded(usable, root, most_frames),
        root=root,
        kind="clips",
        state=state_of(usable, root, str(most_frames)),
        deep=lambda: any_deep([path for path in usable if is_image(path)]),
        max_gib=max_gib,
        home=home,
    )
    broken = (*cache.broken, *files.lost)
    refuse_broken(root, broken, skip_broken=skip_broken)
    found = _grouped(cache, root, frames, smallest, broken)
    if not found.clips:
        why = found.notice() or f"put {known} into it"
        raise DataError(f"no usable clip in {printable(root)}: {why}")
    return found


def _grouped(
    cache: DecodedCache, root: Path, frames: int, smallest: int, left_out: Sequence[Skipped]
) -> Clips:
    """The clips that the frames of a cache make."""
    grouped: dict[str, list[Photo]] = {}
    for photo in cache.photos:
        grouped.setdefault(_clip_of(photo.name), []).append(photo)
    broken = {_clip_of(s.name) for s in left_out}
    clips, skipped = [], list(left_out)
    for name, photos in grouped.items():
        reason = _reason(photos, frames, smallest)
        if name in broken:
            continue
        if reason is None:
            clips.append(Clip(name, tuple(photos)))
        else:
            skipped.append(Skipped(name, reason))
    return Clips(root, tuple(clips), tuple(skipped))


def _decoded(files: Sequence[Path], root: Path, most: int) -> Iterator[Decoded | Skipped]:
    yield from decoded([path for path in files if is_image(path)], root)
    for path in files:
        if not is_video(path):
            continue
        name = name_in(root, path)
        try:
            for number, frame in enumerate(read_frames(path, most=most)):
                yield Decoded(f"{name}{_FRAME}{number}", frame)
        except BrokenImage as error:
            yield Skipped(name, str(error))


def _clip_of(name: str) -> str:
    """The clip that a frame belongs to: its video file, or its folder."""
    path = Path(name)
    if is_video(path):
        return name
    video, _, number = name.rpartition(_FRAME)
    return video if number.isdigit() and is_video(Path(video)) else str(path.parent)


def _reason(photos: Sequence[Photo], frames: int, smallest: int) -> str | None:
    """Why a clip cannot be used, or None."""
    sizes = {photo.stored.shape[:2] for photo in photos}
    if len(sizes) > 1:
        (one, other) = sorted(sizes)[:2]
        return f"frames of {one[1]}x{one[0]} and of {other[1]}x{other[0]}: all must be alike"
    ((height, width),) = sizes
    if min(height, width) < smallest:
        return f"{width}x{height} is smaller than {smallest}x{smallest}"
    if len(photos) < frames:
        return f"{len(photos)} frames, {frames} are needed"
    return None


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers inside names by their value."""
    parts = _NUMBER.split(name)
    return [(int(part), "") if k % 2 else (0, part) for k, part in enumerate(parts)]


class ClipCrops:
    """Stretches of clips, cut at one place through all their frames.

    All places and moments of all clips are equally likely, and so are the eight ways to flip and
    turn a crop and the two directions of time.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        degradation: Degradation,
        *,
        crop: int,
        frames: int,
        every: int = 1,
    ) -> None:
        """Take the clips over.

        Args:
            clips: each of (frames - 1) * every + 1 frames or more.
            degradation: what makes the inputs. What it draws per image holds for a whole stretch;
                noise is new in every frame.
            crop: height and width of an input, after the degradation.
            frames: of a stretch.
            every: so many frames further is the next one of a stretch.

        Raises:
            ValueError: a clip is too short, or its frames are smaller than a crop.
        """
        span = (frames - 1) * every
        self._degradation, self._frames, self._every = degradation, frames, every
        self._side = crop * degradation.scale
        photos: list[Photo] = []
        starts: list[int] = []
        for clip in clips:
            if len(clip.frames) <= span:
                raise ValueError(f"{clip.name} has {len(clip.frames)} frames, {span + 1} needed")
            starts += range(len(photos), len(photos) + len(clip.frames) - span)
            photos += clip.frames
        self._pictures = Pictures.of(photos)
        self._starts = np.array(starts, np.int64)
        self._first = Pictures.of([photos[k] for k in starts])

    def batch(
        self, step: int, *, seed: int, size: int, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Inputs (size, T, 3, crop, crop) and clean (size, T, 3, crop * scale, crop * scale)."""
        draws = Draws.of(seed, step, device=device, repeat=self._frames)
        picks = self._first.draw(
            draws.host, size=size, side=self._side, step=self._degradation.scale
        )
        backwards = draws.host.integers(2, size=size)[:, None] > 0
        moments = np.arange(self._frames)
        moments = np.where(backwards, moments[::-1], moments) * self._every
        frame = (self._starts[picks.picture][:, None] + moments).ravel()
        every = replace(picks.repeated(self._frames), picture=frame)

        def cut(margin: int) -> Tensor:
            return self._pictures.cut(every, side=self._side, margin=margin, device=device)

        low, high = degrade_crops(cut, self._degradation, draws)
        shape = (size, self._frames)
        return low.view(*shape, *low.shape[1:]), high.view(*shape, *high.shape[1:])

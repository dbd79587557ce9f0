"""Which clips a task learns from and is judged by: rendered here, or of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from trainers.base import DataError, Digests
from trainers.data.rendered.clips import Making, RenderedClip, rendered_clips
from trainers.data.rendered.own import read_renders

RENDERED = "rendered"
_JUDGED = 2**31
"""Seeds of clips to judge by begin here, those of others far below; the same for every study."""
_MOST_CLIPS = 10_000


@dataclass(frozen=True)
class Renders:
    """Where clips come from.

    Attributes:
        train: `rendered`, or a folder of the user's own renders.
        val: the same to judge by; a part of `train` is never taken for it.
        clips: how many are rendered to train on.
        val_clips: how many to judge by, from seeds that none to train on has.
        frames: of each clip to train on.
        val_frames: of each clip to judge by.
        size: height and width of a rendered input.
        samples: squared in each pixel of a rendered reference.
        home: where rendered clips are kept; in the user's cache when None.
    """

    train: str = RENDERED
    val: str = RENDERED
    clips: int = 16
    val_clips: int = 5
    frames: int = 8
    val_frames: int = 12
    size: int = 128
    samples: int = 4
    home: str | None = None

    def __post_init__(self) -> None:
        """Refuse senseless numbers.

        Raises:
            DataError: there is no clip, or more than anybody renders.
        """
        for name in ("clips", "val_clips"):
            if not 1 <= getattr(self, name) <= _MOST_CLIPS:
                raise DataError(
                    f"task.data.{name} is {getattr(self, name)}: use 1 to {_MOST_CLIPS}"
                )

    def to_train(self, *, scale: int, seed: int) -> tuple[RenderedClip, ...]:
        """The clips to train on.

        Args:
            scale: size of the reference over that of the colour.
            seed: of the study; another one has other scenes.

        Raises:
            DataError: they cannot be made, kept or read.
        """
        first = (seed % (_JUDGED // _MOST_CLIPS)) * _MOST_CLIPS
        seeds = range(first, first + self.clips)
        return self._read(self.train, list(seeds), frames=self.frames, scale=scale)

    def to_judge(self, *, scale: int) -> tuple[RenderedClip, ...]:
        """The clips to judge by, the same for every seed.

        Raises:
            DataError: they cannot be made, kept or read.
        """
        seeds = range(_JUDGED, _JUDGED + self.val_clips)
        return self._read(self.val, list(seeds), frames=self.val_frames, scale=scale)

    def _read(
        self, source: str, seeds: list[int], *, frames: int, scale: int
    ) -> tuple[RenderedClip, ...]:
        if source != RENDERED:
            return read_renders(Path(source).expanduser(), frames=frames, scale=scale)
        making = Making(frames, self.size, scale, self.samples)
        return rendered_clips(seeds, making, home=Path(self.home) if self.home else None)


def digests(clips: tuple[RenderedClip, ...]) -> Digests:
    """The name of each clip, and a digest of its first and last frame."""
    found = []
    for clip in clips:
        ends = blake2b(digest_size=8)
        for frame in (0, -1):
            ends.update(clip.colour[frame].tobytes() + clip.reference[frame].tobytes())
        found.append((clip.name, ends.hexdigest()))
    return tuple(found)

"""A decoded frame as the network takes it, and the frame that its output becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.play.pictures import compared
from nas.play.video import Facts, pyav
from runtime.bicubic import enlarge
from runtime.bundle import Loaded
from runtime.pictures import Levels, as_input, as_levels
from runtime.planes import CHANNELS, cell_of, packed, unpacked

_GREY = 128
"""Of chroma: no colour."""
_PLAIN = "yuv420p"
"""The decoder's planes in 8 bits, as networks of `luma` and `ycbcr420` are trained on them."""


@dataclass(frozen=True)
class Passage:
    """The way of frames into a network and out of it; arrays are the network's own planes.

    Attributes:
        planes: `luma` or `ycbcr420` where decoded planes go in as they are; else `rgb`.
        deep: whether they have more than 8 bits.
        pixels: FFmpeg's pixel format of what is written.
    """

    planes: str
    deep: bool
    pixels: str

    @classmethod
    def between(cls, network: Loaded, facts: Facts, pixels: str) -> Passage:
        """The way for this video: without a change of colours where the network needs none."""
        even = facts.width % 2 == facts.height % 2 == 0
        plain = facts.pixels == _PLAIN == pixels and even and not facts.full_range
        direct = plain and network.reach.planes in ("luma", "ycbcr420")
        planes = network.reach.planes if direct else "rgb"
        return cls(planes, any(part in facts.pixels for part in ("10", "12", "16")), pixels)

    def blank(self, facts: Facts) -> Levels:
        """A black frame as the network is given it."""
        sides, channels = (facts.height, facts.width), CHANNELS[self.planes]
        cell = cell_of(self.planes)
        shape = (*(side // cell for side in sides), channels)
        return np.zeros(shape, np.uint16 if self.deep and self.planes == "rgb" else np.uint8)

    def entering(self, frame: Any) -> Levels:
        """(h, w, C) of what a network is given."""
        if self.planes == "rgb":
            rgb = "rgb48le" if self.deep else "rgb24"
            return np.asarray(frame.to_ndarray(format=rgb, interpolation=_exact()))
        y, chroma = _planes_of(frame)
        return y if self.planes == "luma" else _one(packed(_several(y), _several(chroma)))

    def leaving(self, made: Levels, frame: Any, *, compare: bool, given: Levels) -> Any:
        """The frame that is written, at the time of `frame`.

        Args:
            made: what the network gave.
            frame: what was decoded.
            compare: whether the left half is to be the plain bicubic enlargement.
            given: what the network was given.
        """
        if self.planes == "ycbcr420":
            made = _halves(made, given) if compare else made
            y, chroma = (_one(part) for part in unpacked(_several(made)))
            written = _of_planes(y, chroma)
        else:
            made = compared(given, made) if compare else made
            if self.planes == "luma":
                _, chroma = _planes_of(frame)
                factor = made.shape[0] // given.shape[0]
                large = as_levels(enlarge(as_input(chroma), factor), np.uint8)[0]
                written = _of_planes(made, large)
            else:
                written = self._of_rgb(made, frame)
        written.pts, written.time_base = frame.pts, frame.time_base
        return written

    def _of_rgb(self, made: Levels, frame: Any) -> Any:
        rgb = pyav().VideoFrame.from_ndarray(made, format="rgb48le" if self.deep else "rgb24")
        return rgb.reformat(
            format=self.pixels, interpolation=_exact(),
            dst_colorspace=frame.colorspace, dst_color_range=frame.color_range,
        )  # fmt: skip


def _exact() -> int:
    """How colours are changed: without these, frames come out a level darker or two."""
    flags = pyav().video.reformatter.Interpolation
    full = flags.FULL_CHR_H_INT | flags.FULL_CHR_H_INP
    return int(flags.BICUBIC | flags.ACCURATE_RND | full)


def _planes_of(frame: Any) -> tuple[Levels, Levels]:
    """Luma (h, w, 1) and chroma (h / 2, w / 2, 2) of a decoded frame."""
    height, width = frame.height, frame.width
    whole = np.asarray(frame.to_ndarray(), np.uint8)
    chroma = whole[height:].reshape(2, height // 2, width // 2)
    return whole[:height, :, None], chroma.transpose(1, 2, 0)


def _of_planes(y: Levels, chroma: Levels) -> Any:
    height, width = y.shape[:2]
    below = chroma.transpose(2, 0, 1).reshape(height // 2, width)
    whole = np.ascontiguousarray(np.concatenate([y[..., 0], below]), np.uint8)
    return pyav().VideoFrame.from_ndarray(whole, format=_PLAIN)


def _halves(made: Levels, given: Levels) -> Levels:
    """A comparison of decoder's planes: luma and chroma each by themselves."""
    parts = zip(unpacked(_several(given)), unpacked(_several(made)), (None, _GREY), strict=True)
    y, chroma = (compared(_one(before), _one(after), line=line) for before, after, line in parts)
    return _one(packed(_several(y), _several(chroma)))


def _several(levels: Levels) -> Levels:
    """(h, w, C) -> (1, C, h, w)."""
    return levels.transpose(2, 0, 1)[None]


def _one(planes: Levels) -> Levels:
    """(1, C, h, w) -> (h, w, C)."""
    return np.ascontiguousarray(planes[0].transpose(1, 2, 0))

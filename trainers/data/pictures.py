"""Pictures of any sizes end to end, from which crops are cut all at once on any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.photo import Levels, Photo, to_sixteen_bits

Counts = NDArray[np.int64]
SYMMETRIES = 8
MIRROR_ROWS, MIRROR_COLUMNS, TRANSPOSE = 1, 2, 4
"""The bits of a turn, applied in this order: together the eight symmetries of the square."""
_GPU_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Picks:
    """Where crops are cut, one entry per crop.

    Attributes:
        picture: which picture.
        top, left: row and column of the crop's first pixel.
        turn: one of the eight symmetries, 0 to 7.
    """

    picture: Counts
    top: Counts
    left: Counts
    turn: Counts

    def scaled(self, times: int) -> Picks:
        """The same places in pictures that are `times` as large."""
        return replace(self, top=self.top * times, left=self.left * times)

    def only(self, k: int) -> Picks:
        """One of these places."""
        places = (self.picture, self.top, self.left, self.turn)
        return Picks(*(place[k : k + 1] for place in places))

    def repeated(self, times: int) -> Picks:
        """Every place so many times in a row."""
        places = (self.picture, self.top, self.left, self.turn)
        return Picks(*(np.repeat(place, times) for place in places))


class Pictures:
    """Pictures to cut from. Those of one folder are used where they lie, nothing is copied."""

    def __init__(self, levels: Levels, starts: Counts, heights: Counts, widths: Counts) -> None:
        """Take pixels (P, 3) over, and in them the first row and the size of each picture."""
        self.heights, self.widths, self._starts = heights, widths, starts
        self._levels: Levels = levels.view(np.ndarray)
        self._there: dict[torch.device, Tensor | None] = {}

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> Self:
        """Pictures of photographs; if they are not all of one folder, they are copied together.

        Raises:
            ValueError: there is none.
        """
        if not photos:
            raise ValueError("there is no picture to cut from")
        heights = np.array([p.stored.shape[0] for p in photos], np.int64)
        widths = np.array([p.stored.shape[1] for p in photos], np.int64)
        cache = photos[0].folder_pixels
        if cache is not None and all(photo.folder_pixels is cache for photo in photos):
            starts = np.array([photo.start for photo in photos], np.int64)
            return cls(cache, starts, heights, widths)
        starts = np.cumsum([0, *heights[:-1] * widths[:-1]]).astype(np.int64)
        deep = any(photo.stored.dtype == np.uint16 for photo in photos)
        levels = np.empty((int((heights * widths).sum()), 3), np.uint16 if deep else np.uint8)
        for photo, start in zip(photos, starts, strict=True):
            rows = to_sixteen_bits(photo.stored) if deep else photo.stored
            levels[start : start + rows.shape[0] * rows.shape[1]] = rows.reshape(-1, 3)
        return cls(levels, starts, heights, widths)

    def __len__(self) -> int:
        """How many pictures."""
        return len(self._starts)

    def draw(self, random: np.random.Generator, *, size: int, side: int, step: int = 1) -> Picks:
        """Places for square crops, all places of all pictures being equally likely.

        Args:
            random: where the choice comes from.
            size: how many.
            side: height and width of a crop.
            step: tops and lefts are multiples of it.

        Raises:
            ValueError: a picture is smaller than a crop.
        """
        rows = (self.heights - side) // step + 1
        columns = (self.widths - side) // step + 1
        if min(rows.min(), columns.min()) < 1:
            raise ValueError(f"a picture is smaller than a crop of {side}")
        ends = np.cumsum(rows * columns)
        places = random.integers(ends[-1], size=size)
        turns = random.integers(SYMMETRIES, size=size)
        picture = np.searchsorted(ends, places, side="right")
        inside = places - (ends - rows * columns)[picture]
        top, left = np.divmod(inside, columns[picture])
        return Picks(picture.astype(np.int64), top * step, left * step, turns)

    def cut(
        self, picks: Picks, *, side: int, margin: int = 0, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Cut square crops and turn them.

        Args:
            picks: where.
            side: height and width of a crop.
            margin: pixels more on every side. Beyond the edge of a picture it is mirrored, the
                edge pixel itself repeated, as MATLAB's `imresize` sees it.
            device: where the crops are wanted.

        Returns:
            (N, 3, side + 2 * margin, side + 2 * margin), float32 in [0, 1].
        """
        device = torch.device(device)
        length = side + 2 * margin
        pixels = self._on(device)
        if pixels is not None:
            down, across = self._index(picks, side, margin)
            rows = _to(device, down)[:, :, None] + _to(device, across)[:, None, :]
            found = pixels.index_select(0, rows.view(-1)).view(-1, length, length, 3)
            return _to_unit(found)
        # On a processor in numpy: torch would share this small work among threads and wait for
        # all of them, which takes many times as long when other processes keep them busy.
        crops = [self._crop(picks, k, side, margin) for k in range(len(picks.picture))]
        if device.type != "cpu":
            stacked = np.stack(crops)
            return _to_unit(_to(device, _signed(stacked)))
        most = np.float32(np.iinfo(self._levels.dtype).max)
        planes = np.empty((len(crops), 3, length, length), np.float32)
        for plane, crop in zip(planes, crops, strict=True):
            np.divide(crop.transpose(2, 0, 1), most, out=plane, dtype=np.float32)
        return torch.from_numpy(planes)

    def _crop(self, picks: Picks, k: int, side: int, margin: int) -> Levels:
        """One crop (L, L, 3), turned: a view of its picture, a copy where that ends too soon."""
        picture, turn = picks.picture[k], picks.turn[k]
        height, width = self.heights[picture], self.widths[picture]
        top, left = picks.top[k] - margin, picks.left[k] - margin
        length = side + 2 * margin
        if min(top, left) < 0 or top + length > height or left + length > width:
            down, across = self._index(picks.only(k), side, margin)
            found: Levels = self._levels[down[0][:, None] + across[0][None, :]]
            return found
        start = self._starts[picture]
        pixels = self._levels[start : start + height * width].reshape(height, width, 3)
        crop: Levels = pixels[top : top + length, left : left + length]
        crop = crop[::-1] if turn & MIRROR_ROWS else crop
        crop = crop[:, ::-1] if turn & MIRROR_COLUMNS else crop
        return crop.swapaxes(0, 1) if turn & TRANSPOSE else crop

    def _index(self, picks: Picks, side: int, margin: int) -> tuple[Counts, Counts]:
        """(N, L) down and (N, L) across each crop; their sum is a row of it."""
        along = np.arange(-margin, side + margin)
        k, turn = picks.picture, picks.turn[:, None]
        y = np.where(turn & MIRROR_ROWS, side - 1 - along, along) + picks.top[:, None]
        x = np.where(turn & MIRROR_COLUMNS, side - 1 - along, along) + picks.left[:, None]
        widths = self.widths[k][:, None]
        y = mirrored(y, self.heights[k][:, None]) * widths + self._starts[k][:, None]
        x = mirrored(x, widths)
        transposed = (turn & TRANSPOSE) > 0
        return np.where(transposed, x, y), np.where(transposed, y, x)

    def _on(self, device: torch.device) -> Tensor | None:
        """All pixels on a GPU; None on a processor, or if they would fill more than half of it."""
        if device.type == "cpu":
            return None
        if device not in self._there:
            fits = True
            if device.type == "cuda":
                free, _ = torch.cuda.mem_get_info(device)
                fits = self._levels.nbytes <= _GPU_SHARE * free
            self._there[device] = _to(device, _signed(self._levels)) if fits else None
        return self._there[device]


def mirrored(index: Counts, length: Counts | int) -> Counts:
    """Fold an index beyond either end back into 0 .. length - 1, repeating the edge sample."""
    folded = np.mod(index, 2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def _signed(levels: NDArray[Any]) -> NDArray[Any]:
    """The same bits: torch can move 16-bit numbers without sign, but hardly compute with them."""
    return levels.view(np.int16) if levels.dtype == np.uint16 else levels


def _to(device: torch.device, array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array).to(device)


def _to_unit(levels: Tensor) -> Tensor:
    """(N, H, W, 3), as `_signed` gives them -> (N, 3, H, W), float32 in [0, 1]."""
    planes = levels.permute(0, 3, 1, 2).contiguous()
    if levels.dtype == torch.uint8:
        return planes.to(torch.float32) / 255.0
    return (planes.to(torch.int32) & 0xFFFF).to(torch.float32) / 65535.0

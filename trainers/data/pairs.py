"""Inputs and targets that a user gives as two folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from trainers.base import DataError
from trainers.data.photo import Photo

_NAMED = 3


@dataclass(frozen=True)
class Pair:
    """An input and its target.

    Attributes:
        low: (h, w, 3).
        high: (h * scale, w * scale, 3).
    """

    low: Photo
    high: Photo


def read_pairs(
    lows: Sequence[Photo], highs: Sequence[Photo], *, scale: int, low: str, high: str
) -> list[Pair]:
    """Match photographs by their names.

    Names match if they are equal but for the type of the file and an `x2` (the scale) at the end
    of the input's. A target may have up to `scale` - 1 rows and columns more than its input
    accounts for: they are cut off at the bottom and on the right, as when inputs were made.

    Args:
        lows: inputs.
        highs: targets.
        scale: of a target over its input.
        low: the inputs' folder, for messages.
        high: the targets' folder, for messages.

    Raises:
        DataError: a photograph has no partner, or the sizes of two do not fit.
    """
    by_name = {_stem(photo.name, scale): photo for photo in lows}
    targets = {_stem(photo.name, 1): photo for photo in highs}
    alone = sorted(by_name.keys() ^ targets.keys())
    if alone:
        more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
        raise DataError(
            f"{', '.join(alone[:_NAMED])}{more}: not in both {low} and {high}: every input needs "
            f"a target of the same name (an x{scale} at the end of the input's name is ignored)"
        )
    return [_pair(by_name[name], targets[name], scale) for name in sorted(targets)]


def _pair(low: Photo, high: Photo, scale: int) -> Pair:
    height, width = (n * scale for n in low.stored.shape[:2])
    extra = (high.stored.shape[0] - height, high.stored.shape[1] - width)
    if not all(0 <= n < scale for n in extra):
        raise DataError(
            f"the input {low.name} is {_size(low)}, its target {high.name} {_size(high)}: "
            f"the target must be {scale} times as large"
        )
    if any(extra):
        # Cut off rows are no whole stretch of the shelf any more.
        high = replace(high, stored=high.stored[:height, :width], shelf=None, start=0)
    return Pair(low, high)


def _stem(name: str, scale: int) -> str:
    stem = str(PurePath(name).with_suffix(""))
    return re.sub(rf"[-_]?x{scale}$", "", stem, flags=re.IGNORECASE) if scale > 1 else stem


def _size(photo: Photo) -> str:
    height, width, _ = photo.stored.shape
    return f"{width}x{height}"

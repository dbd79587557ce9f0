"""Inputs and targets that a user gives as two folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    The same name belongs together first; then, among what is left, names that are equal but for
    the type of the file; then those with an `x2` (the scale) at the end of the input's. A target
    may have up to `scale` - 1 rows and columns more than its input accounts for: they are cut off
    at the bottom and on the right, as when inputs were made.

    Args:
        lows: inputs.
        highs: targets.
        scale: of a target over its input.
        low: the inputs' folder, for messages.
        high: the targets' folder, for messages.

    Returns:
        The pairs in the order of their targets' names.

    Raises:
        DataError: a photograph has no partner or could have two, or the sizes of two do not fit.
    """
    inputs, targets = {p.name: p for p in lows}, {p.name: p for p in highs}
    found: dict[str, str] = {}
    for of_input, of_target in (
        (str, str),
        (_stem, _stem),
        (lambda name: _without_scale(name, scale), _stem),
    ):
        left = _by(of_input, inputs.keys() - found.values())
        free = _by(of_target, targets.keys() - found.keys())
        for key in left.keys() & free.keys():
            if len(left[key]) > 1 or len(free[key]) > 1:
                raise _ambiguous(left[key], free[key], low, high)
            found[free[key][0]] = left[key][0]
    idle, lacking = inputs.keys() - found.values(), targets.keys() - found.keys()
    _check_left_over(idle, lacking, found, (low, high), scale)
    alone = sorted({*(_without_scale(name, scale) for name in idle), *map(_stem, lacking)})
    if alone:
        more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
        raise DataError(
            f"{', '.join(alone[:_NAMED])}{more}: not in both {low} and {high}: every input needs "
            f"a target of the same name (an x{scale} at the end of the input's name is ignored)"
        )
    return [_pair(inputs[found[name]], targets[name], scale) for name in sorted(targets)]


def _by(key: Callable[[str], str], names: Iterable[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name in sorted(names):
        grouped.setdefault(key(name), []).append(name)
    return grouped


def _check_left_over(
    idle: Iterable[str],
    lacking: Iterable[str],
    found: Mapping[str, str],
    folders: tuple[str, str],
    scale: int,
) -> None:
    """Refuse those whose partner was taken by a better name: it is not known which is meant."""
    by_target = {_stem(target): target for target in found}
    by_input = {key: target for target, given in found.items()
                for key in (_stem(given), _without_scale(given, scale))}  # fmt: skip
    for name in sorted(idle):
        for key in (_stem(name), _without_scale(name, scale)):
            if key in by_target:
                target = by_target[key]
                raise _ambiguous([found[target], name], [target], *folders)
    for name in sorted(lacking):
        if _stem(name) in by_input:
            target = by_input[_stem(name)]
            raise _ambiguous([found[target]], [target, name], *folders)


def _ambiguous(lows: Sequence[str], highs: Sequence[str], low: str, high: str) -> DataError:
    if len(lows) > 1:
        many, one, where, elsewhere = lows, highs[0], low, high
    else:
        many, one, where, elsewhere = highs, lows[0], high, low
    return DataError(
        f"{', '.join(many)} in {where} all belong to {one} in {elsewhere} by their names: "
        "keep one of them, or rename the others"
    )


def _pair(low: Photo, high: Photo, scale: int) -> Pair:
    height, width = (n * scale for n in low.stored.shape[:2])
    extra = (high.stored.shape[0] - height, high.stored.shape[1] - width)
    if not all(0 <= n < scale for n in extra):
        raise DataError(
            f"the input {low.name} is {_size(low)}, its target {high.name} {_size(high)}: "
            f"the target must be {scale} times as large"
        )
    if any(extra):
        # Cut off rows are no whole stretch of the cache any more.
        high = replace(high, stored=high.stored[:height, :width], folder_pixels=None, start=0)
    return Pair(low, high)


def _stem(name: str) -> str:
    return str(PurePath(name).with_suffix(""))


def _without_scale(name: str, scale: int) -> str:
    stem = _stem(name)
    return re.sub(rf"[-_]?x{scale}$", "", stem, flags=re.IGNORECASE) if scale > 1 else stem


def _size(photo: Photo) -> str:
    height, width, _ = photo.stored.shape
    return f"{width}x{height}"

"""Antialiasing of one picture by itself: jagged edges are found by their contrast and softened.

After Lottes, "FXAA", NVIDIA 2009: the direction of an edge, a search for its two ends, and a
blend across it by how far the nearer end is. A plain reading of the idea, not its shader.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEAST, _RELATIVE = 0.0312, 0.125
"""Contrast, in [0, 1] and as a share of the brightest neighbour, below which nothing is done."""
_SEARCHED = 12
_SPECKS = 0.75
"""How much of a pixel that stands out by itself is taken away."""


def soften_edges(picture: Floats) -> Floats:
    """Soften the edges of a picture, (1, 3, H, W) in [0, 1]."""
    light = np.tensordot(_LUMA, picture[0], axes=1)
    around = {(y, x): _moved(light, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)}
    cross = np.stack([around[place] for place in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))])
    contrast = cross.max(0) - cross.min(0)
    edges = contrast > np.maximum(_LEAST, _RELATIVE * cross.max(0))
    flat = _second(around, down=True) >= _second(around, down=False)
    specks = _specks(around, light, contrast)
    made = picture.copy()
    for down in (True, False):
        ahead, behind = ((1, 0), (-1, 0)) if down else ((0, 1), (0, -1))
        first = np.abs(around[ahead] - light) >= np.abs(around[behind] - light)
        for side, chosen in ((ahead, first), (behind, ~first)):
            here = edges & (flat == down) & chosen
            blend = np.maximum(specks, _across(light, around[side], down=down)) * here
            made += blend * (_moved(picture, *side) - picture)
    return made


def _second(around: dict[tuple[int, int], Floats], *, down: bool) -> Floats:
    """How far a row, or a column, of neighbours stands out from the two beside it."""
    total = np.zeros_like(around[0, 0])
    for along, weight in ((-1, 1), (0, 2), (1, 1)):
        one, middle, other = (
            around[(across, along) if down else (along, across)] for across in (-1, 0, 1)
        )
        total += weight * np.abs(one + other - 2 * middle)
    return total


def _specks(around: dict[tuple[int, int], Floats], light: Floats, contrast: Floats) -> Floats:
    """The blend of pixels that differ from the mean of those around them."""
    weights = {place: 2 - abs(place[0]) * abs(place[1]) for place in around if any(place)}
    total = np.stack([weight * around[place] for place, weight in weights.items()]).sum(0)
    mean = total / sum(weights.values())
    share = np.clip(np.abs(mean - light) / np.maximum(contrast, 1e-6), 0, 1)
    smooth: Floats = (share * share * (3 - 2 * share)) ** 2 * _SPECKS
    return smooth


def _across(light: Floats, beside: Floats, *, down: bool) -> Floats:
    """The blend towards the pixels beside, from how far the ends of the edge between are."""
    middle: Floats = (0.5 * (light + beside)).astype(np.float32)
    least = 0.25 * np.abs(beside - light)
    lengths, ends = [], []
    for sign in (-1, 1):
        length = np.full_like(light, _SEARCHED)
        end = np.zeros_like(light)
        open_ = np.ones(light.shape, bool)
        for step in range(1, _SEARCHED + 1):
            place = (0, sign * step) if down else (sign * step, 0)
            off = _moved(middle, *place) - middle
            found = open_ & (np.abs(off) >= least)
            length, end = np.where(found, step, length), np.where(found, off, end)
            open_ &= ~found
        lengths.append(length)
        ends.append(end)
    nearer = lengths[0] < lengths[1]
    end = np.where(nearer, ends[0], ends[1])
    # The line that the edge stands for is only on one side of each of its pixels.
    crosses = (end < 0) != (light - middle < 0)
    share = 0.5 - np.minimum(*lengths) / (lengths[0] + lengths[1])
    return np.where(crosses & (end != 0), share, 0).astype(np.float32)


def _moved(values: Floats, down: int, across: int) -> Floats:
    """What is so many rows further down and columns to the right; the border is repeated."""
    height, width = values.shape[-2:]
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + across, 0, width - 1)
    return values[..., rows[:, None], columns]

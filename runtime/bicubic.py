"""Bicubic enlargement: what there is without a network, and what chroma and alpha are given."""

from __future__ import annotations

from math import floor

import numpy as np

from runtime.pictures import Floats

REACH = 2
"""Pixels beyond its own place that an enlarged pixel is made of."""
_A = -0.5


def enlarge(values: Floats, factor: int) -> Floats:
    """(..., h, w) -> (..., h * factor, w * factor), neither clipped nor rounded.

    Pixel centres are aligned at half-integers and the edge is mirrored, as MATLAB's `imresize`
    does it.
    """
    if factor == 1:
        return values
    rows = _along_last(values.swapaxes(-1, -2), factor).swapaxes(-1, -2)
    return _along_last(rows, factor)


def _along_last(values: Floats, factor: int) -> Floats:
    length = values.shape[-1]
    around = [(0, 0)] * (values.ndim - 1) + [(REACH, REACH)]
    padded = np.pad(values, around, mode="symmetric")
    made = np.empty((*values.shape[:-1], length * factor), np.float32)
    for phase in range(factor):
        centre = (phase + 0.5) / factor - 0.5
        first = floor(centre) - 1
        weights = [_cubic(centre - first - k) for k in range(4)]
        made[..., phase::factor] = sum(
            np.float32(weight / sum(weights)) * padded[..., start : start + length]
            for start, weight in enumerate(weights, first + REACH)
        )
    return made


def _cubic(x: float) -> float:
    """Keys' kernel with a = -0.5: "Cubic convolution interpolation", 1981, eq. 15."""
    d = abs(x)
    if d <= 1:
        return ((_A + 2) * d - (_A + 3)) * d * d + 1
    return ((_A * d - 5 * _A) * d + 8 * _A) * d - 4 * _A if d < 2 else 0.0

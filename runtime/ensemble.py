"""Self-ensemble: the mean of what a network makes of a picture turned and mirrored eight ways.

Source: Timofte, Rothe and Van Gool, "Seven ways to improve example-based single image super
resolution", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from runtime.pictures import Floats
from runtime.planes import CHANNELS

Values = Callable[[Floats], Floats]
"""(N, C, h, w) -> (N, C, H, W), of any size."""
_MIRRORED, _TRANSPOSED = [1, 0, 3, 2, 4, 5], [0, 2, 1, 3, 4, 5]
"""Where the four phases of a decoder's luma go."""


def eight_ways(values: Values) -> Values:
    """The network as the mean over eight ways to lay its input; eight times the work."""

    def mean(array: Floats) -> Floats:
        total: Floats | None = None
        for turned, back in _ways(array):
            made = back(values(np.ascontiguousarray(turned)))
            total = made.astype(np.float32) if total is None else total + made
        assert total is not None
        return total / np.float32(8)

    return mean


def _ways(array: Floats) -> Iterator[tuple[Floats, Values]]:
    for transposed in (False, True):
        for down in (False, True):
            for across in (False, True):
                yield _turn(array, (transposed, down, across)), _undo(transposed, down, across)


def _undo(transposed: bool, down: bool, across: bool) -> Values:
    def back(made: Floats) -> Floats:
        mirrored = _turn(made, (False, down, across))
        return _turn(mirrored, (transposed, False, False))

    return back


def _turn(array: Floats, way: tuple[bool, bool, bool]) -> Floats:
    """Transpose, then mirror down and across, each where asked."""
    transposed, down, across = way
    phases = array.shape[1] == CHANNELS["ycbcr420"]
    if transposed:
        array = _reordered(array.swapaxes(2, 3), _TRANSPOSED, phases)
    if across:
        array = _reordered(array[..., ::-1], _MIRRORED, phases)
    if down:
        array = _reordered(array[..., ::-1, :], [2, 3, 0, 1, 4, 5], phases)
    return array


def _reordered(array: Floats, order: list[int], phases: bool) -> Floats:
    return array[:, order] if phases else array

"""Whether there is anything in a picture that a network could be judged by."""

from __future__ import annotations

from trainers.base import Pixels
from trainers.data.imresize import enlarge, shrink
from trainers.metrics.pixels import luma

_BAND = 32
"""Rows of the reduced picture that are looked at together."""
_REACH = 4
"""Pixels of the reduced picture that are not looked at along the edges: enlargement mirrors there,
and at the edges of a band there is more of the picture."""
_ROUNDING = 1 / 12
"""Mean square of the error that rounding to whole levels makes."""


def has_detail(high: Pixels, times: int) -> bool:
    """Whether a picture loses more than rounding takes when it is made small and large again.

    One of a single colour does not, nor one that hardly changes. Any network that is not broken
    comes within rounding of such a picture, so what it says of networks is noise; and as PSNR is
    steepest there, that noise would outweigh what every other picture says.

    Args:
        high: (H, W, 3), both sides multiples of `times`.
        times: how much smaller it is made.
    """
    large = min(high.shape[:2]) >= 3 * _REACH * times
    edge = _REACH * times if large else 0
    rows, columns = (side - 2 * edge for side in high.shape[:2])
    allowed, lost = _ROUNDING * rows * columns, 0.0
    for top in range(0, rows, _BAND * times):
        band = high[top : top + _BAND * times + 2 * edge]
        error = luma(enlarge(shrink(band, times), times)) - luma(band)
        lost += float((error[edge : len(band) - edge, edge : edge + columns] ** 2).sum())
        # Photographs are through after a band or two.
        if lost >= allowed:
            return True
    return False

"""How often a classifier is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainers.base import Metric
from trainers.metrics.pixels import as_array

if TYPE_CHECKING:
    from torch import Tensor

TOP1 = Metric("top1", "%", "max")


def top1(
    scores: NDArray[np.floating] | Tensor, labels: NDArray[np.integer] | Tensor
) -> float:
    """Share of samples whose largest score is that of their label, percent.

    Args:
        scores: (N, classes), of a module or an engine; the first of equal scores wins.
        labels: (N,), counted from 0.

    Raises:
        ValueError: there is no sample, or the two do not fit.
        FloatingPointError: a score is not finite.
    """
    values = as_array(scores)
    wanted = labels if isinstance(labels, np.ndarray) else labels.detach().cpu().numpy()
    if values.ndim != 2 or wanted.shape != values.shape[:1] or not len(wanted):
        raise ValueError(
            f"scores {values.shape} and labels {wanted.shape} do not fit: "
            "(N, classes) and (N,) are needed, N at least 1"
        )
    if not np.isfinite(values).all():
        raise FloatingPointError("the network's output has values that are not finite")
    return float(100 * np.mean(values.argmax(axis=1) == wanted))

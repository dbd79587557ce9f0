"""A Gaussian process over the features of networks, with settings chosen by their likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LEAST_STD = 0.1
"""Of a feature. Most shares are 0 in most networks; divided by their own deviation, the few that
have one would lie apart from everything."""
_LENGTHS = (0.5, 1.0, 2.0, 4.0)
_NOISES = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Settings:
    """What the process assumes of a function, for features and values of deviation 1.

    Attributes:
        length: how far values stay alike, in root mean squares of the features' distances.
        noise: variance of a value that was measured again.
    """

    length: float
    noise: float


_CHOICES = [Settings(*each) for each in product(_LENGTHS, _NOISES)]


def likeliest(rows: Floats, values: Floats) -> Settings:
    """The settings under which these values (N,) of these features (N, F) are likeliest.

    A few are compared instead of climbing: what is chosen then does not depend on where a climb
    began, and takes milliseconds.
    """
    return max(_CHOICES, key=lambda s: _likelihood(_fitted(s, rows, values)))


def predict(
    settings: Settings, rows: Floats, values: Floats, ahead: Floats
) -> tuple[Floats, Floats]:
    """Mean and standard deviation at features ahead (M, F), given values (N,) at rows (N, F)."""
    centre, spread = float(values.mean()), float(values.std()) or 1.0
    process = _fitted(settings, rows, values)
    mean, std = process.predict(ahead, return_std=True)
    return centre + spread * mean, spread * std


def scaled(rows: Floats) -> Floats:
    """Features (N, F) about 0 and of deviation about 1."""
    spread = np.maximum(rows.std(axis=0), _LEAST_STD)
    found: Floats = (rows - rows.mean(axis=0)) / spread
    return found


def _fitted(settings: Settings, rows: Floats, values: Floats) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

    count = rows.shape[1]
    # A linear trend beside what is local: far from all evidence, larger is still slower.
    trend = ConstantKernel(1.0 / count) * DotProduct(sigma_0=1.0)
    kernel = Matern(length_scale=settings.length * count**0.5, nu=2.5) + trend
    process = GaussianProcessRegressor(kernel, alpha=settings.noise, optimizer=None)
    return process.fit(rows, (values - values.mean()) / (values.std() or 1.0))


def _likelihood(process: Any) -> float:
    return float(process.log_marginal_likelihood_value_)


def clipped(values: Sequence[float]) -> list[float]:
    """The values without those far below all others, as of a network that did not learn.

    How bad they are says nothing of how good the others are, and would bend the model.
    """
    if not values:
        return []
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    least = float(middle - 4.0 * (high - low)) if high > low else min(values)
    return [max(value, least) for value in values]

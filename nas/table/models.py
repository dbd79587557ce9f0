"""What can be fitted to one number of the measured networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel
from sklearn.linear_model import Ridge

Array = NDArray[np.float64]
_FOLDS = 10


class Model(Protocol):
    """A fit that answers for others, and says what it would have answered for its own."""

    def __call__(self, row: Array) -> float:
        """The answer for one network."""

    def left_out(self) -> Array:
        """What each fitted network would be answered had it not been seen."""


Fit = Callable[[Array, Array], Model]
"""Fits the rows of features (N, F) to values (N,)."""


class Process:
    """A Gaussian process for one number of a network."""

    def __init__(self, rows: Array, values: Array) -> None:
        """Fit; its scales are found by maximal likelihood on all rows."""
        self._mean, self._spread = float(values.mean()), float(values.std()) or 1.0
        self._targets = (values - self._mean) / self._spread
        kernel = (
            ConstantKernel(1.0, (1e-3, 1e3)) * Matern(5.0, (1e-1, 1e3), nu=2.5)
            + ConstantKernel(0.1, (1e-4, 1e2)) * DotProduct(1.0, (1e-2, 1e2))
            + WhiteKernel(0.05, (1e-3, 1.0))
        )
        self._process = GaussianProcessRegressor(kernel, alpha=1e-8)
        with warnings.catch_warnings():
            # A scale at its bound is an answer here: that part of the kernel is not needed.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(rows, self._targets)

    def __call__(self, row: Array) -> float:
        """The mean for one network."""
        return float(self._process.predict(row[None])[0]) * self._spread + self._mean

    def left_out(self) -> Array:
        """What each fitted network would be answered had it been left out.

        Rasmussen and Williams, "Gaussian Processes for Machine Learning", equation 5.12.
        """
        fitted = self._process
        inverse = np.linalg.inv(fitted.L_ @ fitted.L_.T)
        missed = (inverse @ self._targets) / np.diag(inverse)
        return np.asarray((self._targets - missed) * self._spread + self._mean)


class Trees:
    """A linear trend, and boosted trees for what it leaves."""

    def __init__(self, rows: Array, values: Array) -> None:
        """Fit."""
        self._rows, self._values = rows, values
        self._answer = _grown(rows, values)

    def __call__(self, row: Array) -> float:
        """The answer for one network."""
        return float(self._answer(row[None])[0])

    def left_out(self) -> Array:
        """What each would be answered by a fit to nine tenths of the others, without its own."""
        fold = np.random.default_rng(0).permutation(len(self._values)) % _FOLDS
        answered = np.empty_like(self._values)
        for number in range(min(_FOLDS, len(self._values))):
            out = fold == number
            answered[out] = _grown(self._rows[~out], self._values[~out])(self._rows[out])
        return answered


def _grown(rows: Array, values: Array) -> Callable[[Array], Array]:
    trend = Ridge(alpha=3.0).fit(rows, values)
    rest = values - trend.predict(rows)
    trees = GradientBoostingRegressor(
        n_estimators=120, max_depth=3, learning_rate=0.08, subsample=0.7, random_state=0
    ).fit(rows, rest)
    return lambda ahead: np.asarray(trend.predict(ahead) + trees.predict(ahead))


FITS: dict[str, Fit] = {"process": Process, "trees": Trees}

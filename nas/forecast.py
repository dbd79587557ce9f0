"""What a candidate's metric will be after a training, told from its first steps.

What the rest of the training still adds is a linear function of what the probe reached and of how
large and deep the network is, as large ones start slowly. The coefficients begin as those of the
published table of trained networks (`forecast.json`, made by `benchmarks/table/forecast.py`), with
room for a task of another kind, and are corrected by every network of the study that was trained
in full: Bayesian linear regression (Bishop, "Pattern Recognition and Machine Learning", 3.3).

A budget of minutes ranks networks otherwise than the training that a product gets. Those of the
table that were trained on many pictures for `Horizon.steps` tell what such a training adds to the
budget's: more for large networks. Where a study asks for it (`study.horizon`), forecasts are
of that metric.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.candidate import Candidate
from nas.evidence import PROBED, TRAINED
from search_spaces.base import Architecture
from search_spaces.features import features
from search_spaces.skeletons import lower
from trainers.base import Metric

if TYPE_CHECKING:
    from nas.experiment import Experiment

PRIOR = "forecast.json"
SIZES = ("log_macs", "log_params", "depth", "log_receptive_field")
"""What is asked of a network beside its probe, of `search_spaces.features`."""
_DRIFT = 0.15
"""How far a coefficient may move from one task to another, in standardized inputs and the table's
unit (dB): so wide that a few trained networks decide."""
Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Forecast:
    """A metric that is not known yet.

    Attributes:
        mean: what is expected, in the metric's unit.
        sd: its standard deviation; two of them to either side hold it in 19 of 20 cases.
    """

    mean: float
    sd: float


@dataclass(frozen=True)
class Horizon:
    """What a long training on many pictures adds to the metric that a short one ended with.

    Attributes:
        added: from that metric's gain over the baseline and `SIZES` to what is added, in dB, by
            the table's long training after its short one.
        low: (1 + sizes,), the least that the table's long trainings knew.
        high: (1 + sizes,), the most. A network beyond it counts as one at its edge: a larger one
            was expected to win 0.3 dB by what lies within, and won a tenth of that.
        share: of that, what is added here. Gains grow about as the logarithm of the steps.
    """

    added: Belief
    low: Array
    high: Array
    share: float

    def beyond(self, told: Forecast, inputs: Array) -> Forecast:
        """The forecast after the long training, from that after the budget.

        Args:
            inputs: (1 + sizes,), the gain over the baseline after the budget first.
        """
        (mean,), (sd,) = self.added.tell(np.clip(inputs, self.low, self.high))
        # What is told of the budget moves what is added with it.
        slope = 1.0 + self.share * self.added.mean[1] / self.added.spread[0]
        return Forecast(
            told.mean + self.share * float(mean),
            float(np.hypot(slope * told.sd, self.share * float(sd))),
        )


@dataclass(frozen=True)
class Belief:
    """A normal distribution over the coefficients of a linear function, and its noise.

    Attributes:
        centre: (k,), subtracted from inputs, and `spread`, (k,), which they are divided by.
        mean: (k + 1,), of the coefficients, the constant first.
        covariance: (k + 1, k + 1), of the coefficients.
        noise_sd: of an observation around the function.
    """

    centre: Array
    spread: Array
    mean: Array
    covariance: Array
    noise_sd: float

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Belief:
        """Read what `to_json` gave."""
        arrays = {k: np.array(v, float) for k, v in data.items() if k != "noise_sd"}
        return cls(**arrays, noise_sd=float(data["noise_sd"]))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        arrays = {k: v.tolist() for k, v in vars(self).items() if k != "noise_sd"}
        return {**arrays, "noise_sd": self.noise_sd}

    def loosened(self, drift: float) -> Belief:
        """The same with every coefficient free to be elsewhere by `drift`."""
        wider = self.covariance + drift**2 * np.eye(len(self.mean))
        return Belief(self.centre, self.spread, self.mean, wider, self.noise_sd)

    def given(self, inputs: Array, seen: Array) -> Belief:
        """What is believed after (n, k) inputs gave these (n,) values."""
        if not len(seen):
            return self
        x = self._standardized(inputs)
        precision = np.linalg.inv(self.covariance)
        wider = precision + x.T @ x / self.noise_sd**2
        covariance = np.linalg.inv(wider)
        mean = covariance @ (precision @ self.mean + x.T @ seen / self.noise_sd**2)
        return Belief(self.centre, self.spread, mean, covariance, self.noise_sd)

    def tell(self, inputs: Array) -> tuple[Array, Array]:
        """(n, k) inputs -> (n,) expected values and (n,) standard deviations."""
        x = self._standardized(inputs)
        variance = np.einsum("ij,jk,ik->i", x, self.covariance, x) + self.noise_sd**2
        return x @ self.mean, np.sqrt(variance)

    def _standardized(self, inputs: Array) -> Array:
        scaled = (np.atleast_2d(inputs) - self.centre) / self.spread
        return np.hstack([np.ones((len(scaled), 1)), scaled])


def fitted(inputs: Array, seen: Array, *, ridge: float = 10.0) -> Belief:
    """Ridge regression of (n,) values on (n, k) inputs, as a belief."""
    centre, spread = inputs.mean(0), inputs.std(0) + 1e-9
    x = np.hstack([np.ones((len(inputs), 1)), (inputs - centre) / spread])
    precision = x.T @ x + ridge * np.diag([0.0, *[1.0] * inputs.shape[1]])
    mean = np.linalg.solve(precision, x.T @ seen)
    noise = float(np.sqrt(((seen - x @ mean) ** 2).sum() / max(1, len(seen) - len(mean))))
    return Belief(centre, spread, mean, noise**2 * np.linalg.inv(precision), noise)


@cache
def _published() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((files("nas") / PRIOR).read_text())
    return read


def prior(share: float) -> tuple[Belief, float]:
    """What the table says of probes that are this share of the training, and their spread (dB)."""
    rows = _published()["shares"]
    row = min(rows, key=lambda row: abs(np.log(row["share"] / share)))
    return Belief.from_json(row["belief"]), float(row["probe_spread"])


def horizon_of(experiment: Experiment) -> Horizon | None:
    """What is known of a longer training than this study's; None where nothing is, or none asked.

    The table knows enlarging alone, by the metric in dB.
    """
    from trainers.tasks.super_resolution import SuperResolution

    wanted, budget = experiment.plan.horizon, experiment.budget
    fits = isinstance(experiment.task, SuperResolution) and experiment.task.metric.unit == "dB"
    if wanted is None or not fits or wanted <= budget.max_steps:
        return None
    row = _published()["horizon"]
    known = np.log(row["steps"] / row["short_steps"])
    low, high = np.array(row["low"]), np.array(row["high"])
    share = float(np.log(wanted / budget.max_steps) / known)
    return Horizon(Belief.from_json(row["belief"]), low, high, share)


def outlook_of(candidate: Candidate, experiment: Experiment) -> float | None:
    """What the metric of a trained candidate will be after `study.horizon` steps."""
    horizon = horizon_of(experiment)
    if horizon is None or not candidate.has(TRAINED):
        return None
    metric, baseline = experiment.task.metric, experiment.task.baseline()
    reached = Forecast(candidate[TRAINED].metric, 0.0)
    return horizon.beyond(reached, _after(candidate, reached, metric, baseline)).mean


@cache
def sizes_of(architecture: Architecture) -> tuple[float, ...]:
    """The numbers of `SIZES` for one network."""
    found = features(lower(architecture))
    return tuple(found[name] for name in SIZES)


def forecasts(
    candidates: Sequence[Candidate], experiment: Experiment
) -> dict[str, Forecast]:
    """The metric after the full training of everyone who was probed or trained, by name.

    Where the study looks farther (`study.horizon`), it is the metric after that. Of a candidate
    that was trained, the metric after the full training is known. What is known of the others
    comes from these candidates alone, so the same evidence gives the same forecasts.
    """
    metric, baseline = experiment.task.metric, experiment.task.baseline()
    share = experiment.plan.probe_steps / experiment.budget.max_steps
    belief, usual = prior(min(1.0, share))
    probed = [c for c in candidates if c.has(PROBED)]
    inputs = np.array([_inputs(c, metric, baseline) for c in probed]).reshape(-1, 1 + len(SIZES))
    unit = _unit(inputs, metric, usual)
    inputs[:, :1] /= unit
    trained = [k for k, c in enumerate(probed) if c.has(TRAINED)]
    added = np.array([_added(probed[k], metric) / unit for k in trained])
    belief = belief.loosened(_DRIFT).given(inputs[trained], added)
    told: dict[str, Forecast] = {}
    for candidate, more, sd in zip(probed, *belief.tell(inputs), strict=True):
        mean = candidate[PROBED].metric + _sign(metric) * unit * float(more)
        told[candidate.name] = Forecast(mean, unit * float(sd))
    for candidate in candidates:
        if candidate.has(TRAINED):
            told[candidate.name] = Forecast(candidate[TRAINED].metric, 0.0)
    horizon = horizon_of(experiment)
    if horizon is None:
        return told
    return {
        c.name: horizon.beyond(told[c.name], _after(c, told[c.name], metric, baseline))
        for c in candidates if c.name in told
    }


def _after(candidate: Candidate, told: Forecast, metric: Metric, baseline: float) -> Array:
    """(1 + sizes,), what `Horizon` is asked with."""
    return np.array([_sign(metric) * (told.mean - baseline), *sizes_of(candidate.architecture)])


def _inputs(candidate: Candidate, metric: Metric, baseline: float) -> list[float]:
    gain = _sign(metric) * (candidate[PROBED].metric - baseline)
    return [gain, *sizes_of(candidate.architecture)]


def _added(candidate: Candidate, metric: Metric) -> float:
    return _sign(metric) * (candidate[TRAINED].metric - candidate[PROBED].metric)


def _unit(inputs: Array, metric: Metric, usual: float) -> float:
    """How much of this metric is as much as a decibel of the table: by the spread of probes."""
    if metric.unit == "dB" or len(inputs) < 2:
        return 1.0
    return float(inputs[:, 0].std()) / usual or 1.0


def _sign(metric: Metric) -> float:
    return 1.0 if metric.mode == "max" else -1.0

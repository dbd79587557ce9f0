"""Compare policies, short trainings and rules for finalists on the table, with intervals.

    python benchmarks/table/compare.py benchmarks/table/x2.json
    python benchmarks/table/compare.py x2.json --policy my_policy:MyPolicy --rows mine breeding

A search is simulated to its end for many seeds. The share is that of the best hypervolume known:
of all that any of these runs has seen and of all networks of the table, above the metric without
a network and below the limit. What is in brackets is a 95 % bootstrap interval over the seeds.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from explore import QUICK, Moment, explore, moments, volume
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from numpy.typing import NDArray
from optuna.samplers import TPESampler
from rules import Frame, Probe, Rule, Seen, bands, by_hypervolume, everyone

from nas.policies.base import Policy
from nas.policies.breeding import Breeding
from nas.policies.gaussian_process import GaussianProcess
from nas.policies.optuna import Optuna
from nas.policies.random import Random
from nas.table.answers import Table
from nas.table.models import FITS
from search_spaces.base import SearchSpace
from search_spaces.skeletons import lower

REACHED, WITHIN_S = 0.95, 750.0
_RESAMPLES = 4000


@dataclass(frozen=True)
class Row:
    """One way to search.

    Attributes:
        own: whether the short training has a schedule of its own, or is the full one's beginning.
        forecast: whether the policy is told a forecast from it, or its bare metric.
    """

    name: str
    words: str
    policy: Callable[[], Policy]
    rule: Rule
    own: bool = False
    forecast: bool = True


def rows() -> list[Row]:
    """Every way that is compared; a policy of the search is one line here."""
    return [
        Row("random", "random, all trained in full", Random, everyone),
        Row("before", "TPE, own schedule, bands: as it was", tpe, bands, own=True,
            forecast=False),
        Row("cut", "+ short training cut from the full one", tpe, bands, forecast=False),
        Row("finalists", "+ forecast, finalists by hypervolume", tpe, by_hypervolume),
        Row("control", "random instead of TPE", Random, by_hypervolume),
        Row("breeding", "breeding instead of TPE", Breeding, by_hypervolume),
        Row("process", "Gaussian process instead of TPE", GaussianProcess, by_hypervolume),
    ]


def tpe() -> Policy:
    """What the search proposed by before there were policies."""
    return Optuna(partial(TPESampler, n_startup_trials=16, multivariate=False))


def policy_at(where: str) -> Callable[[], Policy]:
    """The class or function `module:name`, imported when it is called."""

    def make() -> Policy:
        module, _, name = where.partition(":")
        made: Policy = getattr(importlib.import_module(module), name)()
        return made

    return make


@dataclass(frozen=True)
class Result:
    """What one row came to, a value for each seed.

    Attributes:
        quick: share of the best hypervolume after a search of the quick study's size.
        quick_s: when that ends.
        within: the same after `WITHIN_S` seconds, of the largest search that ends by then.
        reached_s: when the first search ends that has `REACHED` of it; infinite where none does.
    """

    quick: NDArray[np.float64]
    quick_s: NDArray[np.float64]
    within: NDArray[np.float64]
    reached_s: NDArray[np.float64]


def compare(
    table: Table, space: SearchSpace, chosen: Sequence[Row], *, seeds: int, limit_ms: float
) -> dict[str, Result]:
    """Simulate every row for every seed."""
    probes = {own: Probe(table, own=own) for own in {row.own for row in chosen}}
    about = table.about
    explored: dict[tuple[object, ...], list[Seen]] = {}
    for row in chosen:
        for seed in range(seeds):
            key = (*_explores(row), seed)
            if key not in explored:
                explored[key] = explore(
                    table, space, row.policy(), probes[row.own],
                    seed=seed, limit_ms=limit_ms, within_s=WITHIN_S, forecast=row.forecast,
                )
        print(f"{row.name}: {seeds} searches", file=sys.stderr, flush=True)
    exact = Frame(about.baseline, limit_ms, 0.0)
    everything = [s for run in explored.values() for s in run if s.probed is not None]
    everything += _entries(table, probes[next(iter(probes))], limit_ms)
    best = volume(everything, exact, about.metric)
    found = {}
    for row in chosen:
        frame = Frame(about.baseline, limit_ms, probes[row.own].doubt)
        found[row.name] = _result([
            moments(explored[*_explores(row), seed], row.rule, frame, about.metric,
                    probes=row.rule is not everyone)
            for seed in range(seeds)
        ], best)
    return found


def _explores(row: Row) -> tuple[object, ...]:
    """What proposals depend on: rows that differ in the rule alone share them."""
    return row.policy, row.own, row.forecast


def _entries(table: Table, probe: Probe, limit_ms: float) -> list[Seen]:
    trained = [e for e in table.entries if e.quick and e.quick.metric is not None]
    seen = [
        probe.seen(table.answer(e.architecture), lower(e.architecture), seed=0, limit_ms=limit_ms)
        for e in trained
    ]
    return [s for s in seen if s.probed is not None]


def _result(runs: Sequence[Sequence[Moment]], best: float) -> Result:
    quick = [next((m for m in run if m.candidates >= QUICK[0]), run[-1]) for run in runs]
    within = [max((m.volume for m in run if m.ends_s <= WITHIN_S), default=0.0) for run in runs]
    reached = [
        min((m.ends_s for m in run if m.volume >= REACHED * best), default=float("inf"))
        for run in runs
    ]
    return Result(
        np.array([m.volume for m in quick]) / best,
        np.array([m.ends_s for m in quick]),
        np.array(within) / best,
        np.array(reached),
    )


def interval(
    values: NDArray[np.float64], of: Callable[..., NDArray[np.float64]]
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a statistic over seeds."""
    picks = np.random.default_rng(0).integers(0, len(values), (_RESAMPLES, len(values)))
    drawn = np.sort(of(values[picks], axis=1))
    return float(drawn[int(0.025 * _RESAMPLES)]), float(drawn[int(0.975 * _RESAMPLES)])


def _share(values: NDArray[np.float64]) -> str:
    low, high = interval(values, np.mean)
    return f"{values.mean():.1%} ({low:.1%} to {high:.1%})"


def _upper_median(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    # The mean of two middle values would be infinite where one of them is.
    return np.sort(values, axis=axis).take(values.shape[axis] // 2, axis=axis)


def _seconds(values: NDArray[np.float64]) -> str:
    def text(value: float) -> str:
        return f"{value:.0f} s" if np.isfinite(value) else "never"

    low, high = interval(values, _upper_median)
    share = np.isfinite(values).mean()
    return f"{text(float(_upper_median(values)))} ({text(low)} to {text(high)}), {share:.0%}"


def show(chosen: Sequence[Row], results: dict[str, Result]) -> None:
    """Print the table."""
    heads = ("", "quick study", "ends", f"after {WITHIN_S:.0f} s", f"to {REACHED:.0%}, reached by")
    lines = [heads]
    for row in chosen:
        result = results[row.name]
        lines.append((
            row.words, _share(result.quick), f"{result.quick_s.mean():.0f} s",
            _share(result.within), _seconds(result.reached_s),
        ))
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def main() -> None:
    """Read the arguments, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit-ms", type=float, default=50.0)
    parser.add_argument("--space", default="super_resolution", help="a file in conf/search_space")
    parser.add_argument("--estimates", choices=FITS, default="process",
                        help="what answers for networks that are not in the table")
    parser.add_argument("--policy", help="one of yours, as module:Class; its row is called mine")
    parser.add_argument("--rows", nargs="*", help="names of rows, all of them if left out")
    asked = parser.parse_args()
    sys.path.append(".")
    every = rows()
    if asked.policy:
        every.append(Row("mine", asked.policy, policy_at(asked.policy), by_hypervolume))
    unknown = set(asked.rows or ()) - {row.name for row in every}
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(r.name for r in every)}")
    chosen = [row for row in every if not asked.rows or row.name in asked.rows]
    with initialize_config_module("conf", version_base="1.3"):
        space = instantiate(
            compose("config", [f"search_space={asked.space}"]).search_space, _convert_="all"
        )
    table = Table.at(asked.table, fit=FITS[asked.estimates])
    show(chosen, compare(table, space, chosen, seeds=asked.seeds, limit_ms=asked.limit_ms))


if __name__ == "__main__":
    main()

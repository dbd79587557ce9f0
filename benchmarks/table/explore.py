"""One search against the table, as a list of what it saw in turn, and what that was worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import Trial, TrialState
from rules import Frame, Probe, Rule, Seen

from nas.policies.base import Known, Policy, Question
from nas.table.answers import Table
from nas.winners import hypervolume
from search_spaces.base import SearchSpace
from search_spaces.draws import draw
from search_spaces.skeletons import lower
from search_spaces.vary import mutate
from trainers.base import Metric

AT_ONCE = 2
"""Finalists that train at the same time."""
QUICK = (60, 7)
"""Candidates and finalists of the quick study; a longer search has as many finalists in ratio."""
_MOST_REPEATS = 500


@dataclass(frozen=True)
class Moment:
    """A search of so many candidates: when it ends, and the hypervolume of what it delivers."""

    candidates: int
    ends_s: float
    volume: float


def explore(
    table: Table,
    space: SearchSpace,
    policy: Policy,
    probe: Probe,
    *,
    seed: int,
    limit_ms: float,
    within_s: float,
    forecast: bool = True,
) -> list[Seen]:
    """Propose, look up and tell: the quick study, and on until a search would take so long.

    Args:
        forecast: whether the policy is told what the short training lets expect, or its metric.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    metric = table.about.metric
    study = optuna.create_study(directions=["maximize", "minimize"])
    for start in getattr(space, "start", ()):
        found = draw(space, seed=0, wanted=start).choices
        fitting = {k: v for k, v in start.items() if found.get(k) == v}
        study.enqueue_trial(fitting)
    seen: list[Seen] = []
    known: list[Known] = []
    spent, repeats = 0.0, 0
    while (
        len(seen) < QUICK[0] or spent + _finalists_s(seen) < within_s
    ) and repeats < _MOST_REPEATS:
        number = len(study.get_trials(deepcopy=False, states=(
            TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)))
        question = Question(space, metric, limit_ms, number, seed, tuple(known))
        study.sampler = policy.propose(question).sampler
        trial = study.ask()
        graph = lower(space.propose(trial))
        name = graph.canonical_hash()
        if any(name == k.graph for k in known):
            repeats += 1
            near = mutate(space, trial.params, seed=seed * 100_003 + trial.number)
            study.enqueue_trial(dict(near.choices))
            study.tell(trial, state=TrialState.FAIL)
            continue
        answer = table.answer(draw(space, seed=0, wanted=trial.params).architecture)
        one = probe.seen(answer, graph, seed=seed, limit_ms=limit_ms)
        seen.append(one)
        spent += one.screen_s + one.probe_s
        quality = one.expected if forecast and one.probed is not None else one.probed
        known.append(Known(
            f"trial-{trial.number:05d}", dict(trial.params), quality, one.latency_ms, False, name,
        ))
        _tell(study, trial, quality, one.latency_ms, limit_ms)
    return seen


def _finalists_s(seen: Sequence[Seen]) -> float:
    """About what the finalists of so many candidates take."""
    return sum(s.train_s for s in seen) / len(seen) * _finalists(len(seen)) / AT_ONCE


def _finalists(candidates: int) -> int:
    return max(1, round(candidates * QUICK[1] / QUICK[0]))


def _tell(
    study: optuna.Study, trial: Trial, quality: float | None, latency_ms: float, limit_ms: float
) -> None:
    if quality is None:
        trial.set_constraint("latency_ms", latency_ms / limit_ms - 1.0)
        study.tell(trial, state=TrialState.PRUNED)
    else:
        trial.set_constraint("latency_ms", -1.0)
        study.tell(trial, [quality, latency_ms])


def moments(
    seen: Sequence[Seen], rule: Rule, frame: Frame, metric: Metric, *, probes: bool
) -> list[Moment]:
    """What searches of growing length, of which this is the beginning, would come to.

    Args:
        probes: whether the short training is made and paid for.
    """
    lengths = [*range(10, len(seen), 10), len(seen)]
    return [_moment(seen[:n], rule, frame, metric, probes=probes) for n in lengths]


def _moment(
    seen: Sequence[Seen], rule: Rule, frame: Frame, metric: Metric, *, probes: bool
) -> Moment:
    fast = [s for s in seen if s.probed is not None]
    chosen = rule(fast, _finalists(len(seen)), frame)
    spent = sum(s.screen_s for s in seen)
    if probes:
        spent += sum(s.probe_s for s in seen) + sum(s.train_s for s in chosen) / AT_ONCE
    else:
        spent += sum(s.train_s + s.probe_s for s in chosen) / AT_ONCE
    return Moment(len(seen), spent, volume(chosen, frame, metric))


def volume(seen: Sequence[Seen], frame: Frame, metric: Metric) -> float:
    """The hypervolume of the full metrics of these."""
    points: list[tuple[float, float]] = [(s.full, s.latency_ms) for s in seen]
    limits: dict[str, Any] = {
        "worst_quality": frame.baseline, "worst_latency_ms": frame.limit_ms
    }
    return hypervolume(points, metric, **limits)

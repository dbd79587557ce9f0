"""The main corridor of the house, on one screen.

    propose -> screened -> probed -> settled -> trained -> quantized -> exported

A stage takes a candidate and returns one with more evidence, or with a rejection; their order is
that of `nas.stages.STAGES` and stands nowhere else. The evidence is written after each stage, so a
search that died on any line goes on where it stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from latency_models.base import CompileError, DeviceError
from nas.candidate import PUBLISHED, Candidate, Rejection
from nas.events import Finished, Started
from nas.evidence import EXPORTED, PROBED, QUANTIZED, SCREENED, SETTLED, TRAINED, Evidence
from nas.experiment import Experiment, Stage
from nas.finalists import choose_finalists, contenders
from nas.forecast import forecasts
from nas.parallel import train_at_once
from nas.stages.training import drop_checkpoints
from nas.study import Study, StudyExhausted
from nas.winners import best_within, front
from nas.workers.base import LostClaim
from search_spaces.base import InvalidArchitecture
from search_spaces.references import reference

_MOST_DEVICE_ERRORS = 3
_MOST_FAILURES = 20
_FAILURES = {
    "compiles": ("compile", ""),
    "trains": ("train", ": lower budget.learning_rate"),
}
"""What candidate after candidate is refused for when something else than they is at fault."""


class NothingFastEnough(Exception):
    """The limit cannot be met: the answer to the search is that there is none."""


class BrokenMachine(Exception):
    """So many failures in a row that the machine, not the candidates, must be at fault."""


def advance(
    candidate: Candidate, experiment: Experiment, *, upto: Evidence[Any]
) -> Candidate:
    """Take a candidate through every stage it has no evidence of, until `upto` or a rejection."""
    for stage in experiment.stages:
        if candidate.rejected is not None:
            break
        if stage.proposals_only and not candidate.is_proposal:
            continue
        if not candidate.has(stage.evidence):
            experiment.workers.safe_point(doing=f"{candidate.name} {stage.name}")
            experiment.tell(Started(candidate, stage))
            candidate = _retried(stage, candidate, experiment)
            experiment.workers.check(candidate.name)
            experiment.ledger.save(candidate)
            drop_checkpoints(candidate, experiment)
            experiment.tell(Finished(candidate, stage))
        if stage.evidence == upto:
            break
    return candidate


def _retried(stage: Stage, candidate: Candidate, experiment: Experiment) -> Candidate:
    """Run a stage; a failure of the machine is tried again and never blamed on the candidate.

    A graph that the engine refuses at any stage, or that does not fit a size, is rejected.
    """
    for attempt in range(1, _MOST_DEVICE_ERRORS + 1):
        try:
            return stage.body(candidate, experiment)
        except (CompileError, InvalidArchitecture) as error:
            return replace(candidate, rejected=Rejection("compiles", str(error)))
        except DeviceError as error:
            experiment.note(f"{candidate.name}: {error} (attempt {attempt})")
            last = error
    raise BrokenMachine(f"{_MOST_DEVICE_ERRORS} attempts failed; the last: {last}") from last


def run_study(experiment: Experiment, study: Study) -> list[Candidate]:
    """Search: propose and rank, train the finalists and the published networks, export the front.

    Any number of workers may run this on one study, each in its own process. Which candidates
    are next follows from the evidence alone, so that all come to the same answer; who takes which
    is settled by claims.

    Returns:
        Every candidate of the study with all its evidence.

    Raises:
        NothingFastEnough: no candidate is within the limit, or none came through the training.
        BrokenMachine: the device keeps failing.
    """
    show_known(experiment)
    if experiment.workers.alone:
        study.start_from(experiment.space)
    explore(experiment, study)
    while left := _unsettled(contenders(experiment, experiment.ledger.all())):
        together(experiment, left, upto=SETTLED)
    published = [
        Candidate(name, PUBLISHED, reference(name, experiment.task.signature.scale))
        for name in experiment.plan.references
    ]
    if experiment.workers.alone and (not experiment.simulated or not experiment.trains):
        together(experiment, published, upto=SCREENED)
    if not experiment.trains:
        return experiment.ledger.all()
    chosen = train_finalists(experiment, published)
    together(experiment, [*published, *chosen], upto=QUANTIZED)
    if experiment.simulated:
        return experiment.ledger.all()
    _require_any(_now(experiment, [*published, *chosen]), experiment)
    last = experiment.stages[-1].evidence
    while best := [c for c in shipping(_now(experiment, chosen), experiment) if not c.has(last)]:
        together(experiment, best, upto=last)
    for candidate in experiment.ledger.all():
        drop_checkpoints(candidate, experiment, over=True)
    return experiment.ledger.all()


def _require_any(ended: Sequence[Candidate], experiment: Experiment) -> None:
    """Refuse to end with nothing: whoever asked for a network must not take that for success.

    Raises:
        NothingFastEnough: no network, not even a published one, came through.
    """
    if any(c.has(QUANTIZED) and not c.rejected for c in ended):
        return
    every = [*proposals(experiment.ledger.all()), *ended]
    reasons = [c.rejected.reason for c in every if c.rejected is not None]
    why = f"; the last was refused: {reasons[-1]}" if reasons else ""
    raise NothingFastEnough(f"no network could be trained and quantized{why}")


def train_finalists(
    experiment: Experiment, published: Sequence[Candidate]
) -> list[Candidate]:
    """Train in full: published networks and the first finalists, then those chosen after them."""
    beside, chosen = list(published), choose_finalists(experiment, experiment.ledger.all())
    while True:
        if experiment.workers.alone and not experiment.simulated:
            train_at_once(experiment, _now(experiment, [*beside, *chosen]))
        together(experiment, [*beside, *chosen], upto=TRAINED)
        more = choose_finalists(experiment, experiment.ledger.all())
        if [c.name for c in more] == [c.name for c in chosen]:
            return more
        beside, chosen = [], more


def together(
    experiment: Experiment, candidates: Sequence[Candidate], *, upto: Evidence[Any]
) -> None:
    """Bring all of these so far, each by the worker that claims it first; return when all are."""
    while left := [c for c in _now(experiment, candidates) if not _is_through(c, upto)]:
        if not any([_take_on(experiment, c, upto=upto) for c in left]):
            experiment.workers.wait()


def _take_on(experiment: Experiment, candidate: Candidate, *, upto: Evidence[Any]) -> bool:
    """Claim a candidate and bring it so far; false when it is another worker's."""
    workers = experiment.workers
    if not workers.take(candidate.name):
        return False
    try:
        # What is known may have grown before it was claimed.
        (newest,) = _now(experiment, [candidate])
        advance(newest, experiment, upto=upto)
        workers.release(candidate.name)
    except LostClaim as lost:
        experiment.note(str(lost))
    return True


def _now(experiment: Experiment, candidates: Iterable[Candidate]) -> list[Candidate]:
    return [experiment.ledger.load(c.name) or c for c in candidates]


def _unsettled(candidates: Iterable[Candidate]) -> list[Candidate]:
    return [c for c in candidates if not _is_through(c, SETTLED)]


def _is_through(candidate: Candidate, upto: Evidence[Any]) -> bool:
    return candidate.rejected is not None or candidate.has(upto)


def show_known(experiment: Experiment) -> None:
    """Tell what earlier runs of this study have found."""
    for candidate in experiment.ledger.all():
        known = [stage for stage in experiment.stages if candidate.has(stage.evidence)]
        for stage in known or experiment.stages[:1]:
            experiment.tell(Finished(candidate, stage, again=True))


def explore(experiment: Experiment, study: Study) -> None:
    """Propose, screen and probe until the plan's number of candidates has been timed."""
    plan = experiment.plan
    started = time.monotonic()
    while True:
        trials = proposals(experiment.ledger.all())
        _check_progress(trials, experiment)
        timed = [c for c in trials if c.has(SCREENED) or c.rejected]
        complete = [c for c in timed if c.has(PROBED) or c.rejected or not experiment.trains]
        if len(complete) >= plan.candidates:
            return
        if plan.max_minutes and time.monotonic() - started > plan.max_minutes * 60:
            study.close(f"study.max_minutes reached after {len(complete)} candidates")
        try:
            candidate = study.next(experiment.space, experiment.workers)
        except StudyExhausted as end:
            study.close(str(end))
            candidate = None
        if candidate is not None:
            _examine(experiment, study, candidate)
        elif study.is_over(experiment.workers):
            if study.closed:
                experiment.note(study.closed)
            return
        else:
            experiment.workers.wait()


def _examine(experiment: Experiment, study: Study, candidate: Candidate) -> None:
    """Screen and probe a proposal, tell the sampler, and let its claim go."""
    (newest,) = _now(experiment, [candidate])
    try:
        candidate = advance(newest, experiment, upto=PROBED)
        known = experiment.ledger.all() if experiment.trains else []
        expected = forecasts(known, experiment).get(candidate.name)
        study.tell(candidate, quality=expected.mean if expected else None)
        experiment.workers.release(candidate.name)
    except LostClaim as lost:
        experiment.note(str(lost))


def _check_progress(trials: Sequence[Candidate], experiment: Experiment) -> None:
    """Stop early when the limit is out of reach or nothing compiles any more."""
    most = min(_MOST_FAILURES, experiment.plan.candidates)
    last = [c.rejected for c in trials[-most:]]
    failures = [r for r in last if r is not None]
    for constraint, (what, remedy) in _FAILURES.items():
        if len(failures) == most and all(r.constraint == constraint for r in failures):
            raise BrokenMachine(
                f"{most} candidates in a row did not {what}; the last: {failures[-1].reason}"
                f"{remedy}"
            )
    target, plan = experiment.target, experiment.plan
    times = [c.first_latency_ms for c in trials if c.receipts]
    slow = [c for c in trials if c.rejected and c.rejected.constraint == "latency_ms"]
    if len(times) >= min(plan.patience, plan.candidates) and len(slow) == len(times):
        fastest = f"the fastest of {len(times)} takes {min(times):.3g} ms"
        if plan.compiles:
            least_ms = min(float(c[SCREENED].conditions["compute_ms"]) for c in slow)
            fastest = (
                f"at the card's peak the least multiply-adds of {len(times)} take {least_ms:.3g} "
                "ms"
            )
        if experiment.limits_ms:
            raise NothingFastEnough(_none_meets_all(trials, experiment))
        raise NothingFastEnough(
            f"no network is within target.max_latency_ms={target.max_latency_ms:g}: {fastest} at "
            f"{target.height}x{target.width} in {target.precision}; raise the limit, shrink the "
            "input, or offer smaller networks (search_space.widths)"
        )


def _none_meets_all(trials: Sequence[Candidate], experiment: Experiment) -> str:
    """Which of several limits how many miss, and what to change."""
    missed = Counter(max(c.shares, key=c.shares.__getitem__) for c in trials if c.shares)
    told = (
        f"{count} over {experiment.limits_ms[name]:g} ms on {name}"
        for name, count in missed.most_common()
    )
    return (
        f"no network of {missed.total()} is within every limit ({', '.join(told)}): raise it, "
        "make that target's input smaller, or offer smaller networks (search_space.widths)"
    )


def proposals(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that the search proposed, published networks left out."""
    return [c for c in candidates if c.is_proposal]


def shipping(candidates: Sequence[Candidate], experiment: Experiment) -> list[Candidate]:
    """Who ships: the front, and the best under each limit of the plan, as far as it is known."""
    alive = [c for c in candidates if c.has(QUANTIZED) and not c.rejected]
    metric = experiment.task.metric
    best = (best_within(alive, limit_ms, metric) for limit_ms in experiment.plan.limits)
    ships = [*shippable(candidates, experiment), *(c for c in best if c is not None)]
    return list({c.name: c for c in ships}.values())


def shippable(candidates: Iterable[Candidate], experiment: Experiment) -> list[Candidate]:
    """The front of the quantized candidates, by what was known before any was exported.

    One whose shipped file missed the limit hides nobody: those behind it come forward.
    """
    quantized = {c.name: c for c in candidates if c.has(QUANTIZED) and not c.rejected}
    before = [c.without(EXPORTED) for c in quantized.values()]
    return [quantized[c.name] for c in front(before, experiment.task.metric)]

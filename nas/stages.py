"""The bodies of the stages: each takes a candidate and returns one with more evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from latency_models.base import CompileError, LatencyReport
from latency_models.device import each_wait_once, shared
from latency_models.intervals import CLOSE
from latency_models.protocol import MeasuringProtocol
from nas.candidate import Candidate, Rejection
from nas.experiment import Experiment
from nas.forecast import outlook_of
from nas.ledger import pack_scales, save_arrays
from nas.trained import FLOAT_WEIGHTS, INT8_WEIGHTS, engine_run, trained_network
from search_spaces.graph import Graph
from search_spaces.quantize import place
from search_spaces.skeletons import lower
from search_spaces.untrained import untrained
from trainers.base import Diverged, Progress, QuantReport, TrainReport
from trainers.budget import Budget

if TYPE_CHECKING:
    from search_spaces.modules import Network

SCREENING = MeasuringProtocol(
    warmup_s=0.05,
    half_width=0.02,
    widest_ok=0.03,
    budget_s=1.2,
    tails=CLOSE,
    rank_half_width=0.03,
    rank_s=0.2,
)
"""Enough for the limit and a rough rank; what is compared is `settled`, what ships is measured by
the full protocol."""
_FEWEST_ATTEMPTS, _MOST_ATTEMPTS = 2, 4
_TRAINING = "training.ckpt"
_FINE_TUNING = "quantized.ckpt"


def screen(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Compile the untrained network as it will ship, time it, and reject it when it is too slow.

    The limit is decided first, which takes a handful of runs far from it and seconds near it; a
    candidate within it is then measured on until it can be ranked roughly, in the same run of
    the engine. Published networks get a full receipt and are never rejected.
    """
    limit_ms, precision = experiment.target.max_latency_ms, experiment.target.precision
    onnx = untrained_file(lower(candidate.architecture), experiment)
    try:
        if candidate.is_reference:
            return replace(candidate, screened=settled(experiment, onnx))
        report = experiment.screening.measure(onnx, precision, limit_ms=limit_ms)
    except CompileError as error:
        return replace(candidate, rejected=Rejection("compiles", str(error)))
    return replace(candidate, screened=report, rejected=too_slow(report, limit_ms))


def settle(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Time the untrained network again and longer, for it may be chosen or make others pass.

    The first receipt only had to tell the side of the limit and a rough rank.
    """
    onnx = untrained_file(lower(candidate.architecture), experiment)
    report = experiment.screening.measure(onnx, experiment.target.precision)
    slow = too_slow(report, experiment.target.max_latency_ms)
    return replace(candidate, settled=report, rejected=slow)


def settled(experiment: Experiment, onnx: bytes) -> LatencyReport:
    """The receipt that a file is compared by; an unsettled machine gets time to settle.

    Of several attempts the first that is `ok` counts, else the one with the narrowest interval.
    """
    limit_ms = experiment.target.max_latency_ms
    attempts: list[LatencyReport] = []
    while len(attempts) < _MOST_ATTEMPTS:
        report = experiment.latency.measure(onnx, experiment.target.precision)
        if report.verdict == "ok":
            return report
        attempts.append(report)
        if len(attempts) >= _FEWEST_ATTEMPTS and report.median_ms <= limit_ms:
            break
    return min(attempts, key=_half_width)


def _half_width(report: LatencyReport) -> float:
    return (report.ci_high_ms - report.ci_low_ms) / 2 / report.median_ms


def too_slow(report: LatencyReport, limit_ms: float) -> Rejection | None:
    """Why a candidate with this receipt goes no further, or None."""
    if report.median_ms <= limit_ms:
        return None
    reason = f"{report.median_ms:.3g} ms is over the limit of {limit_ms:g} ms"
    return Rejection("latency_ms", reason, report.median_ms, limit_ms)


def probe(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Take the first steps of the full training, from which `train` goes on.

    They rank far better than as many steps with a schedule of their own: that one reaches its
    full learning rate after a few steps, which large and deep networks take badly.
    """
    steps = experiment.plan.probe_steps
    budget = replace(experiment.budget, judge_every=0)
    return _fit(candidate, experiment, "probed", budget, until_step=steps)


def train(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Train with the whole budget, from where the probe ended."""
    trained = _fit(candidate, experiment, "trained", experiment.budget)
    return replace(trained, outlook=outlook_of(trained, experiment))


def drop_checkpoints(candidate: Candidate, experiment: Experiment, *, over: bool = False) -> None:
    """Remove the checkpoints of stages whose evidence is saved; all of them when it is `over`."""
    home = experiment.ledger.home(candidate.name)
    ended = over or candidate.rejected is not None
    if ended or candidate.trained:
        (home / _TRAINING).unlink(missing_ok=True)
    if ended or candidate.quantized:
        for file in home.glob(f"*{_FINE_TUNING}"):
            file.unlink(missing_ok=True)


def _fit(
    candidate: Candidate,
    experiment: Experiment,
    evidence: str,
    budget: Budget,
    until_step: int | None = None,
) -> Candidate:
    from search_spaces.branches import is_branched
    from search_spaces.modules import build, load_some_weights, weights_of
    from trainers.fit import fit

    home = experiment.ledger.home(candidate.name)
    network = build(
        lower(candidate.architecture),
        seed=experiment.plan.seed,
        branches=budget.branches,
        norm=budget.norm,
        int8=experiment.target.precision == "int8",
    )
    if budget.branches != "none" and not any(map(is_branched, network.layers.values())):
        note = f"branches={budget.branches}: nothing in this network takes them, it trains without"
        experiment.view.note(note)
    if experiment.weights is not None:
        load_some_weights(network, experiment.weights)
    try:
        with _giving_way(experiment) as progress:
            report = fit(
                network,
                experiment.task,
                budget,
                seed=experiment.plan.seed,
                until_step=until_step,
                checkpoint=home / _TRAINING,
                progress=progress,
                judged=experiment.view.judged if budget.judge_every else None,
                companion=experiment.teacher() if experiment.teacher else None,
            )
    except Diverged as error:
        return replace(candidate, rejected=Rejection("trains", str(error)))
    if evidence == "trained":
        # Whoever lost the claim meanwhile must not replace what another has judged.
        experiment.crew.check(candidate.name)
        sha256 = save_arrays(home / FLOAT_WEIGHTS, weights_of(network))
        report = replace(report, weights_sha256=sha256)
    return _with_report(candidate, evidence, report)


@contextmanager
def _giving_way(experiment: Experiment) -> Iterator[Progress]:
    """Training holds a share of the device and hands it back whenever it tells its progress.

    So no other search on this machine times a network while this one trains.
    """
    waits = each_wait_once(experiment.view.note, tick=experiment.view.tick)
    with ExitStack() as share:

        def progress(done: int, total: int, loss: float) -> None:
            share.close()
            experiment.view.step(done, total, loss)
            if experiment.device:
                share.enter_context(shared(experiment.device, notice=waits))

        if experiment.device:
            share.enter_context(shared(experiment.device, notice=waits))
        yield progress


def _with_report(candidate: Candidate, evidence: str, report: TrainReport) -> Candidate:
    if evidence == "probed":
        return replace(candidate, probed=report)
    return replace(candidate, trained=report)


def quantize(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Bring the network to the precision that ships and judge it by the engine's own output."""
    from trainers.fit import finite_scores

    assert candidate.trained is not None
    home = experiment.ledger.home(candidate.name)
    steps, train_s, in_float, sha256 = 0, 0.0, frozenset[int](), ""
    if experiment.target.precision == "int8":
        from search_spaces.fake_quantize import convert, prepare
        from trainers.calls import all_inputs
        from trainers.qat import fine_tune

        network = trained_network(candidate, experiment)
        in_float = _in_float(network, experiment)
        if in_float == place(network.graph, experiment.rules).layers:
            return replace(candidate, rejected=_hurt(experiment))
        shown = experiment.task.calibration(experiment.budget.quant_calibration)
        prepared = prepare(
            network,
            experiment.rules,
            keep_float=in_float,
            inputs=all_inputs(network, experiment.task.signature, shown),
            tensors_first=True,
        )
        try:
            with _giving_way(experiment) as progress:
                tuned = fine_tune(
                    prepared,
                    experiment.task,
                    experiment.budget,
                    seed=experiment.plan.seed,
                    checkpoint=home / _FINE_TUNING,
                    progress=progress,
                    judged=experiment.view.judged if experiment.budget.judge_every else None,
                    companion=experiment.teacher() if experiment.teacher else None,
                )
        except Diverged as error:
            return replace(candidate, rejected=Rejection("quantizes", str(error)))
        weights, _, scales = convert(prepared)
        experiment.crew.check(candidate.name)
        sha256 = save_arrays(home / INT8_WEIGHTS, dict(weights) | pack_scales(scales))
        steps, train_s = tuned.steps, tuned.train_s
    try:
        scores = finite_scores(engine_run(candidate, experiment), experiment.task)
    except Diverged as error:
        return replace(candidate, rejected=Rejection("quantizes", str(error)))
    metric = float(np.mean(scores))
    drop = candidate.trained.metric - metric
    if experiment.task.metric.mode == "min":
        drop = -drop
    precision = experiment.target.precision
    report = QuantReport(
        metric, drop, precision, steps, train_s, len(in_float), scores, sha256
    )
    return replace(candidate, quantized=report)


def _in_float(network: Network, experiment: Experiment) -> frozenset[int]:
    """The layers that int8 would hurt more than the budget allows."""
    from nas.precision import choose_float_layers

    budget = experiment.budget
    if budget.quant_max_drop is None:
        return frozenset()
    experiment.view.note("int8: looking for layers that have to stay in float")
    choice = choose_float_layers(
        network,
        experiment.task,
        experiment.rules,
        most_drop=budget.quant_max_drop,
        calibration=budget.quant_calibration,
    )
    return choice.layers


def _hurt(experiment: Experiment) -> Rejection:
    most = experiment.budget.quant_max_drop
    metric = experiment.task.metric
    reason = (
        f"int8 takes more than {most:g} {metric.unit} off in every layer: allow more "
        "(budget.quant_max_drop), or ship it in float (target.precision=fp32)"
    )
    return Rejection("quantizes", reason)


def untrained_file(graph: Graph, experiment: Experiment) -> bytes:
    """The network as the target would be given it, with weights that were only drawn."""
    target = experiment.target
    return untrained(
        graph,
        precision=target.precision,
        height=target.height,
        width=target.width,
        rules=experiment.rules,
    )

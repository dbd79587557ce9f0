"""Quantized: the network at the precision that ships, judged by the engine's own output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nas.candidate import Candidate, Rejection
from nas.evidence import QUANTIZED, TRAINED
from nas.experiment import Experiment, Stage, Words
from nas.ledger import pack_scales, save_arrays
from nas.stages.training import FINE_TUNING, beside, giving_way, looks
from nas.trained import INT8_WEIGHTS, engine_run, trained_network
from search_spaces.quantize import place
from trainers.base import Diverged, QuantReport

if TYPE_CHECKING:
    from search_spaces.modules import Network


def quantize(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Bring the network to the precision that ships and judge it by the engine's own output."""
    from trainers.fit import finite_scores

    home = experiment.ledger.home(candidate.name)
    steps, train_s, in_float, sha256 = 0, 0.0, frozenset[int](), ""
    if experiment.target.precision == "int8":
        from search_spaces.fake_quantize import convert, prepare
        from trainers.calls import all_inputs
        from trainers.qat import fine_tune

        network = trained_network(candidate, experiment)
        in_float = _in_float(network, experiment)
        if in_float == place(network.graph, experiment.main.rules).layers:
            return replace(candidate, rejected=_hurt(experiment))
        shown = experiment.task.calibration(experiment.budget.quant_calibration)
        prepared = prepare(
            network,
            experiment.main.rules,
            keep_float=in_float,
            inputs=all_inputs(network, experiment.task.signature, shown),
            tensors_first=True,
        )
        try:
            with (
                giving_way(candidate, experiment, QUANTIZED) as progress,
                beside(candidate, experiment, QUANTIZED) as extras,
            ):
                tuned = fine_tune(
                    prepared,
                    experiment.task,
                    experiment.budget,
                    seed=experiment.plan.seed,
                    checkpoint=home / FINE_TUNING,
                    progress=progress,
                    judged=looks(candidate, experiment, QUANTIZED),
                    teacher=experiment.teacher() if experiment.teacher else None,
                    extras=extras,
                )
        except Diverged as error:
            return replace(candidate, rejected=Rejection("quantizes", str(error)))
        weights, _, scales = convert(prepared)
        experiment.workers.check(candidate.name)
        sha256 = save_arrays(home / INT8_WEIGHTS, dict(weights) | pack_scales(scales))
        steps, train_s = tuned.steps, tuned.train_s
    try:
        scores = finite_scores(engine_run(candidate, experiment), experiment.task)
    except Diverged as error:
        return replace(candidate, rejected=Rejection("quantizes", str(error)))
    metric = float(np.mean(scores))
    drop = candidate[TRAINED].metric - metric
    if experiment.task.metric.mode == "min":
        drop = -drop
    precision = experiment.target.precision
    report = QuantReport(
        metric, drop, precision, steps, train_s, len(in_float), scores, sha256
    )
    return candidate.having(QUANTIZED, report)


def _in_float(network: Network, experiment: Experiment) -> frozenset[int]:
    """The layers that int8 would hurt more than the budget allows."""
    from nas.float_layers import choose_float_layers

    budget = experiment.budget
    if budget.quant_max_drop is None:
        return frozenset()
    experiment.note("int8: looking for layers that have to stay in float")
    choice = choose_float_layers(
        network,
        experiment.task,
        experiment.main.rules,
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


QUANTIZE = Stage(QUANTIZED, quantize, Words("quantizing", done="quantized"))

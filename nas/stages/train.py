"""Trained: the whole budget, for the finalists and the published networks."""

from __future__ import annotations

from dataclasses import replace

from nas.candidate import Candidate, Rejection
from nas.evidence import TRAINED
from nas.experiment import Experiment, Stage, Words
from nas.forecast import outlook_of
from nas.ledger import save_arrays
from nas.stages.training import full_training
from nas.trained import FLOAT_WEIGHTS
from trainers.base import Diverged


def train(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Train with the whole budget, from where the probe ended."""
    from search_spaces.modules import weights_of

    try:
        network, report = full_training(candidate, experiment, experiment.budget)
    except Diverged as error:
        return replace(candidate, rejected=Rejection("trains", str(error)))
    # Whoever lost the claim meanwhile must not replace what another has judged.
    experiment.workers.check(candidate.name)
    path = experiment.ledger.home(candidate.name) / FLOAT_WEIGHTS
    sha256 = save_arrays(path, weights_of(network))
    trained = candidate.having(TRAINED, replace(report, weights_sha256=sha256))
    return replace(trained, outlook=outlook_of(trained, experiment))


TRAIN = Stage(
    TRAINED,
    train,
    Words("full training", done="trained in full", bar="the best of them trained in full"),
)

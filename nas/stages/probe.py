"""Probed: the first steps of the full training, to rank proposals by."""

from __future__ import annotations

from dataclasses import replace

from nas.candidate import Candidate, Rejection
from nas.evidence import PROBED
from nas.experiment import Experiment, Stage, Words
from nas.stages.training import full_training
from trainers.base import Diverged


def probe(candidate: Candidate, experiment: Experiment) -> Candidate:
    """Take the first steps of the full training, from which `train` goes on.

    They rank far better than as many steps with a schedule of their own: that one reaches its
    full learning rate after a few steps, which large and deep networks take badly.
    """
    budget, steps = experiment.budget, experiment.plan.probe_steps
    try:
        _, report = full_training(candidate, experiment, budget, until_step=steps)
    except Diverged as error:
        return replace(candidate, rejected=Rejection("trains", str(error)))
    return candidate.having(PROBED, report)


PROBE = Stage(
    PROBED,
    probe,
    Words("short training", done="trained briefly", bar="fast enough: trained briefly"),
    proposals_only=True,
)
